"""EKS, as far as a deployment needs it: clusters to find, access entries to let principals in."""

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from world.aws.models.eks_pod_identity import Associations
from world.aws.models.errors import AwsError
from world.aws.models.pages import page

Document = dict[str, Any]
OPERATIONS = (
    "DescribeCluster",
    "ListClusters",
    "CreateAccessEntry",
    "DescribeAccessEntry",
    "UpdateAccessEntry",
    "DeleteAccessEntry",
    "ListAccessEntries",
    "AssociateAccessPolicy",
    "DisassociateAccessPolicy",
    "ListAssociatedAccessPolicies",
    "CreatePodIdentityAssociation",
    "DescribePodIdentityAssociation",
    "DeletePodIdentityAssociation",
    "ListPodIdentityAssociations",
)
CLUSTER_ADMIN = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(slots=True)
class Cluster:
    """A cluster; `authority` is where its CA certificate lies (read when asked for: the cluster writes it when it starts)."""

    name: str
    endpoint: str
    authority: Path
    security_group: str
    entries: dict[str, Document] = field(default_factory=dict)
    policies: dict[str, dict[str, Document]] = field(default_factory=dict)


class Eks:
    """`call` is the whole interface."""

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        account: str,
        region: str,
        clusters: list[Cluster],
        network: Callable[[str], Document] = lambda _: {},
    ) -> None:
        self.clock, self.rng, self.account, self.region, self.network = clock, rng, account, region, network
        self.clusters = {cluster.name: cluster for cluster in clusters}
        self.created = clock()
        self.associations = {
            name: Associations(
                name, clock, rng, lambda ident, name=name: f"arn:aws:eks:{region}:{account}:podidentityassociation/{name}/{ident}"
            )
            for name in self.clusters
        }
        self._handlers = {
            "DescribeCluster": self._describe_cluster,
            "ListClusters": lambda request: self._listed(sorted(self.clusters), request, "clusters"),
            "CreateAccessEntry": self._create_entry,
            "DescribeAccessEntry": lambda request: {"accessEntry": self._entry(request)},
            "UpdateAccessEntry": self._update_entry,
            "DeleteAccessEntry": self._delete_entry,
            "ListAccessEntries": self._list_entries,
            "AssociateAccessPolicy": self._associate,
            "DisassociateAccessPolicy": self._disassociate,
            "ListAssociatedAccessPolicies": self._list_policies,
            "CreatePodIdentityAssociation": lambda request: self._associations(request).create(request),
            "DescribePodIdentityAssociation": lambda request: self._associations(request).described(request),
            "DeletePodIdentityAssociation": lambda request: self._associations(request).delete(request),
            "ListPodIdentityAssociations": lambda request: self._listed(self._associations(request).listed(request), request, "associations"),
        }

    def call(self, operation: str, request: Document) -> Document:
        """Raises AwsError."""
        if operation not in self._handlers:
            raise AwsError("UnknownOperationException", f"This EKS has no {operation}.")
        return self._handlers[operation](request)

    def cluster_arn(self, name: str) -> str:
        """A cluster's ARN, existing or not."""
        return f"arn:aws:eks:{self.region}:{self.account}:cluster/{name}"

    def groups(self, name: str) -> dict[str, list[str]]:
        """Principal ARN -> Kubernetes groups. The cluster-admin policy is `system:masters`; any other is a group of its own to bind:
        `eks-access-policy:<name>` (whole cluster) or `eks-access-policy:<name>:<namespace>`."""
        cluster = self._cluster(name)
        found = {}
        for principal, entry in cluster.entries.items():
            groups = list(entry["kubernetesGroups"])
            for arn, policy in cluster.policies.get(principal, {}).items():
                groups += _policy_groups(arn, policy["accessScope"])
            found[principal] = groups
        return found

    def _cluster(self, name: str) -> Cluster:
        if name not in self.clusters:
            raise AwsError("ResourceNotFoundException", f"No cluster found for name: {name}.", clusterName=name)
        return self.clusters[name]

    def _associations(self, request: Document) -> Associations:
        return self.associations[self._cluster(request["clusterName"]).name]

    def _describe_cluster(self, request: Document) -> Document:
        cluster = self._cluster(request["name"])
        authority = base64.b64encode(cluster.authority.read_bytes()).decode() if cluster.authority.exists() else ""
        network = self.network(cluster.security_group)
        return {
            "cluster": {
                "name": cluster.name,
                "arn": self.cluster_arn(cluster.name),
                "createdAt": self.created,
                "version": "1.33",
                "endpoint": cluster.endpoint,
                "roleArn": f"arn:aws:iam::{self.account}:role/{cluster.name}-control-plane",
                "resourcesVpcConfig": {
                    "subnetIds": [],
                    "securityGroupIds": [],
                    "clusterSecurityGroupId": network.get("security_group_id", ""),
                    "vpcId": network.get("vpc_id", ""),
                    "endpointPublicAccess": True,
                    "endpointPrivateAccess": True,
                    "publicAccessCidrs": ["0.0.0.0/0"],
                },
                "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.100.0.0/16", "ipFamily": "ipv4"},
                "accessConfig": {"authenticationMode": "API"},
                "status": "ACTIVE",
                "certificateAuthority": {"data": authority},
                "platformVersion": "eks.1",
                "tags": {},
            }
        }

    def _entry(self, request: Document) -> Document:
        cluster = self._cluster(request["clusterName"])
        if request["principalArn"] not in cluster.entries:
            raise AwsError("ResourceNotFoundException", f"No access entry of {request['principalArn']}.", clusterName=cluster.name)
        return cluster.entries[request["principalArn"]]

    def _create_entry(self, request: Document) -> Document:
        cluster, principal = self._cluster(request["clusterName"]), request["principalArn"]
        if principal in cluster.entries:
            raise AwsError("ResourceInUseException", f"{principal} has an access entry.", clusterName=cluster.name)
        kind, _, name = principal.rpartition(":")[2].partition("/")
        path = f"access-entry/{cluster.name}/{kind}/{self.account}/{name}/{self.rng.getrandbits(64):016x}"
        entry = {
            "clusterName": cluster.name,
            "principalArn": principal,
            "kubernetesGroups": request.get("kubernetesGroups", []),
            "accessEntryArn": f"arn:aws:eks:{self.region}:{self.account}:{path}",
            "createdAt": self.clock(),
            "modifiedAt": self.clock(),
            "tags": request.get("tags", {}),
            "username": request.get("username", principal),
            "type": request.get("type", "STANDARD"),
        }
        if any(group.startswith("system:") for group in entry["kubernetesGroups"]):
            raise AwsError("InvalidParameterException", "The groups of an access entry must not begin with system:.", clusterName=cluster.name)
        cluster.entries[principal] = entry
        return {"accessEntry": entry}

    def _update_entry(self, request: Document) -> Document:
        entry = self._entry(request)
        entry["kubernetesGroups"] = request.get("kubernetesGroups", entry["kubernetesGroups"])
        entry["username"] = request.get("username", entry["username"])
        entry["modifiedAt"] = self.clock()
        return {"accessEntry": entry}

    def _delete_entry(self, request: Document) -> Document:
        self._entry(request)
        cluster = self._cluster(request["clusterName"])
        del cluster.entries[request["principalArn"]]
        cluster.policies.pop(request["principalArn"], None)
        return {}

    def _list_entries(self, request: Document) -> Document:
        cluster, wanted = self._cluster(request["clusterName"]), request.get("associatedPolicyArn")
        names = [name for name in cluster.entries if wanted is None or wanted in cluster.policies.get(name, {})]
        return self._listed(names, request, "accessEntries")

    def _associate(self, request: Document) -> Document:
        self._entry(request)
        policies = self._cluster(request["clusterName"]).policies.setdefault(request["principalArn"], {})
        now = self.clock()
        policy = {"policyArn": request["policyArn"], "accessScope": request["accessScope"], "associatedAt": now, "modifiedAt": now}
        policies[request["policyArn"]] = policy
        return {"clusterName": request["clusterName"], "principalArn": request["principalArn"], "associatedAccessPolicy": policy}

    def _disassociate(self, request: Document) -> Document:
        self._entry(request)
        self._cluster(request["clusterName"]).policies.get(request["principalArn"], {}).pop(request["policyArn"], None)
        return {}

    def _list_policies(self, request: Document) -> Document:
        self._entry(request)
        policies = self._cluster(request["clusterName"]).policies.get(request["principalArn"], {})
        return {
            "clusterName": request["clusterName"],
            "principalArn": request["principalArn"],
            **self._listed(list(policies.values()), request, "associatedAccessPolicies"),
        }

    def _listed(self, items: list[Any], request: Document, name: str) -> Document:
        chosen, token = page(items, list(range(1, len(items) + 1)), request.get("nextToken"), request.get("maxResults", 100))
        return {name: chosen} | ({"nextToken": token} if token else {})


def _policy_groups(arn: str, scope: Document) -> list[str]:
    if arn == CLUSTER_ADMIN and scope["type"] == "cluster":
        return ["system:masters"]
    name = f"eks-access-policy:{arn.rpartition('/')[2]}"
    return [name] if scope["type"] == "cluster" else [f"{name}:{namespace}" for namespace in scope.get("namespaces", ())]
