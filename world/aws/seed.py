"""What is there before anything is deployed: the shared VPC, whose addresses the pods have as on EKS, a security group for each cluster's nodes, the Cloud Map namespace."""

import json
import time
import urllib.request
from typing import Any

from world.aws.clients import client
from world.aws.config import Document, read_world, url

NAMESPACE = "appmesh-demo.pvt.aws.local"
WAIT_S = 30.0


def seed(world: Any) -> Document:
    """Make what is missing, leave what is there; answers {"vpc_id", "groups": {name: id}, "namespace_id"}."""
    document = read_world(world)
    ec2 = client(document, "ec2")
    vpc = _vpc(ec2, document["pod_network"])
    groups = {cluster["security_group"]: _group(ec2, vpc, cluster["security_group"]) for cluster in document["clusters"].values()}
    network = {"vpc_id": vpc, "groups": groups}
    tell = urllib.request.Request(f"{url(document, 'aws')}/_world/network", data=json.dumps(network).encode(), method="POST")
    with urllib.request.urlopen(tell, timeout=5) as answer:
        answer.read()
    return network | {"namespace_id": _namespace(client(document, "servicediscovery"), vpc)}


def _vpc(ec2: Any, cidr: str) -> str:
    found = [vpc for vpc in ec2.describe_vpcs()["Vpcs"] if vpc["CidrBlock"] == cidr]
    return found[0]["VpcId"] if found else ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"]


def _groups(ec2: Any, name: str) -> list[Document]:
    return ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [name]}])["SecurityGroups"]


def _group(ec2: Any, vpc: str, name: str) -> str:
    found = [group for group in _groups(ec2, name) if group["VpcId"] == vpc]
    return found[0]["GroupId"] if found else ec2.create_security_group(GroupName=name, Description=f"Nodes: {name}", VpcId=vpc)["GroupId"]


def _namespace(cloud_map: Any, vpc: str) -> str:
    asked = {"Filters": [{"Name": "NAME", "Values": [NAMESPACE], "Condition": "EQ"}]}
    until = time.monotonic() + WAIT_S
    begun = False
    while True:
        found = cloud_map.list_namespaces(**asked)["Namespaces"]
        if found:
            return found[0]["Id"]
        if not begun:
            cloud_map.create_private_dns_namespace(Name=NAMESPACE, Vpc=vpc, Description="The walkthrough's namespace")
            begun = True
        if time.monotonic() > until:
            raise TimeoutError(f"the namespace {NAMESPACE} did not appear within {WAIT_S:.0f} s")
        time.sleep(0.05)


def close_port(world: Any, target: str, source: str, port: int) -> None:
    """Take away every rule by which the group of cluster `source` reaches `port` of that of `target`, whoever gave it."""
    document = read_world(world)
    ec2 = client(document, "ec2")
    to, of = (_groups(ec2, document["clusters"][name]["security_group"])[0] for name in (target, source))
    for rule in to["IpPermissions"]:
        pairs = [pair for pair in rule.get("UserIdGroupPairs", ()) if pair["GroupId"] == of["GroupId"]]
        if rule.get("FromPort") == port and pairs:
            kept = {"GroupId": of["GroupId"], **({"Description": pairs[0]["Description"]} if pairs[0].get("Description") else {})}
            permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [kept]}
            ec2.revoke_security_group_ingress(GroupId=to["GroupId"], IpPermissions=[permission])


def open_port(world: Any, target: str, source: str, port: int) -> None:
    """Let the group `source` (by name, or a cluster's name) reach `port` of the group `target`; nothing where that is so already."""
    document = read_world(world)
    ec2 = client(document, "ec2")
    names = [document["clusters"].get(name, {}).get("security_group", name) for name in (target, source)]
    ids = [_groups(ec2, name)[0]["GroupId"] for name in names]
    for rule in _groups(ec2, names[0])[0]["IpPermissions"]:
        peers = {pair["GroupId"] for pair in rule.get("UserIdGroupPairs", ())}
        if rule.get("FromPort") == port == rule.get("ToPort") and ids[1] in peers:
            return
    permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": ids[1]}]}
    ec2.authorize_security_group_ingress(GroupId=ids[0], IpPermissions=[permission])
