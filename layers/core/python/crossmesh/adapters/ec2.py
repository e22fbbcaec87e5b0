"""EC2 as the `Networks` port: a cluster's security group with its ingress rules, and the address
blocks of its VPC.
"""

import time
from collections.abc import Mapping
from typing import Any

from crossmesh.adapters import aws
from crossmesh.adapters.eks import Eks
from crossmesh.core.diagnosis.facts import NetworkFacts, RuleFacts
from crossmesh.core.settings import ClusterSettings


class Ec2Networks:
    """Implements `ports.Networks`. Where a cluster is in another account its role is asked, as for
    the cluster itself.
    """

    def __init__(self, region: str, eks: Eks | None = None) -> None:
        self._eks = eks or Eks(region)

    def observe(self, cluster: ClusterSettings) -> NetworkFacts:
        """DescribeCluster, DescribeSecurityGroups, DescribeVpcs."""
        now = time.time()
        access = self._eks.access(cluster, now)
        with aws.translated():
            ec2 = self._client(cluster)
            groups = ec2.describe_security_groups(GroupIds=[access.group])["SecurityGroups"] if access.group else []
            vpcs = ec2.describe_vpcs(VpcIds=[access.vpc])["Vpcs"] if access.vpc else []
        return NetworkFacts(
            cluster=cluster.name,
            group=access.group,
            account=groups[0].get("OwnerId", "") if groups else "",
            region=cluster.region,
            vpc=access.vpc,
            cidrs=tuple(sorted({cidr for vpc in vpcs for cidr in _cidrs(vpc)})),
            rules=tuple(rule for group in groups for held in group.get("IpPermissions", ()) for rule in _rules(held)),
        )

    def open(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """AuthorizeSecurityGroupIngress."""
        with aws.translated():
            try:
                permission = _permission(source_group, port, mark, account)
                self._client(cluster).authorize_security_group_ingress(GroupId=group, IpPermissions=[permission])
            except aws.ClientError as error:
                if error.response["Error"]["Code"] != "InvalidPermission.Duplicate":
                    raise

    def close(
        self, cluster: ClusterSettings, group: str, source_group: str, port: int, mark: str, account: str = ""
    ) -> None:
        """RevokeSecurityGroupIngress."""
        with aws.translated():
            try:
                permission = _permission(source_group, port, mark, account)
                self._client(cluster).revoke_security_group_ingress(GroupId=group, IpPermissions=[permission])
            except aws.ClientError as error:
                if error.response["Error"]["Code"] != "InvalidPermission.NotFound":
                    raise

    def _client(self, cluster: ClusterSettings) -> Any:
        return aws.client("ec2", cluster.region, credentials=self._eks.keys(cluster, time.time()))


def _permission(source_group: str, port: int, mark: str, account: str) -> dict[str, Any]:
    """`account`: of the source group, without which EC2 finds no group of a peered VPC in another
    account.
    """
    pair = {"GroupId": source_group, "Description": mark} | ({"UserId": account} if account else {})
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [pair]}


def _cidrs(vpc: Mapping[str, Any]) -> list[str]:
    more = [held["CidrBlock"] for held in vpc.get("CidrBlockAssociationSet") or ()]
    wide = [held["Ipv6CidrBlock"] for held in vpc.get("Ipv6CidrBlockAssociationSet") or ()]
    return [cidr for cidr in (vpc.get("CidrBlock"), *more, *wide) if cidr]


def _rules(held: Mapping[str, Any]) -> list[RuleFacts]:
    """One rule a group, for each has a description of its own, and one for all address blocks."""
    ports = {"protocol": held["IpProtocol"], "first": held.get("FromPort", 0), "last": held.get("ToPort", 65_535)}
    blocks = [one["CidrIp"] for one in held.get("IpRanges") or ()] + [
        one["CidrIpv6"] for one in held.get("Ipv6Ranges") or ()
    ]
    pairs = held.get("UserIdGroupPairs") or ()
    rules = [
        RuleFacts(**ports, groups=(pair["GroupId"],), mark=pair.get("Description", ""), account=pair.get("UserId", ""))
        for pair in pairs
        if "GroupId" in pair
    ]
    return [*rules, RuleFacts(**ports, cidrs=tuple(blocks))] if blocks else rules
