"""What a caller must be allowed to do for each operation, as (action, resource, context).

Sources: Service Authorization Reference (Cloud Map, App Mesh, EKS) for resources, and the Cloud Map developer guide's "API permissions
reference" for the actions of other services that Cloud Map does in the caller's name: Route 53 for instances of services with DNS records.
"""

from dataclasses import dataclass, field
from typing import Any

from world.aws.models.app_mesh import AppMesh
from world.aws.models.app_mesh_kinds import KINDS
from world.aws.models.cloud_map import CloudMap
from world.aws.models.eks import Eks
from world.aws.models.errors import AwsError

Document = dict[str, Any]
_BY_SERVICE = frozenset(
    [
        "DeleteService",
        "DeleteServiceAttributes",
        "DeregisterInstance",
        "GetInstance",
        "GetInstancesHealthStatus",
        "GetService",
        "GetServiceAttributes",
        "ListInstances",
        "RegisterInstance",
        "UpdateInstanceCustomHealthStatus",
        "UpdateService",
        "UpdateServiceAttributes",
    ]
)
_HEALTH = {
    "RegisterInstance": ("GetHealthCheck", "CreateHealthCheck", "UpdateHealthCheck"),
    "DeregisterInstance": ("GetHealthCheck", "DeleteHealthCheck", "UpdateHealthCheck"),
    "UpdateService": ("GetHealthCheck", "CreateHealthCheck", "DeleteHealthCheck", "UpdateHealthCheck"),
}
_ZONES = ("CreateHostedZone", "GetHostedZone", "ListHostedZonesByName")


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that must be allowed."""

    action: str
    resource: str = "*"
    context: dict[str, Any] = field(default_factory=dict, hash=False)


def cloud_map_needs(model: CloudMap, operation: str, request: Document) -> list[Need]:
    """What Cloud Map asks. A resource that does not exist is asked for by its would-be ARN."""
    action = f"servicediscovery:{operation}"
    tagging = (
        [Need("servicediscovery:TagResource", context=_tag_keys(request))] if request.get("Tags") and operation.startswith("Create") else []
    )
    if operation in _BY_SERVICE:
        return _service_needs(model, operation, request)
    if operation in ("DiscoverInstances", "DiscoverInstancesRevision"):
        return _discovery_needs(model, action, request)
    if operation == "CreateService":
        namespace = _arn(model, "namespace", request.get("NamespaceId") or (request.get("DnsConfig") or {}).get("NamespaceId") or "")
        context = {"servicediscovery:NamespaceArn": namespace}
        return [Need(action, namespace, context), Need(action, model.arn("service/*"), context), *tagging]
    if operation in ("CreatePrivateDnsNamespace", "CreatePublicDnsNamespace"):
        private = [Need("ec2:DescribeVpcs"), Need("ec2:DescribeRegions")] if operation == "CreatePrivateDnsNamespace" else []
        return [Need(action), *(Need(f"route53:{name}") for name in _ZONES), *private, *tagging]
    if operation == "DeleteNamespace":
        held = model.namespaces.get(request["Id"].rpartition("/")[2])
        zone = [Need("route53:DeleteHostedZone", _zone(held.zone))] if held and held.zone else []
        return [Need(action, _arn(model, "namespace", request["Id"])), *zone]
    if operation == "TagResource":
        return [Need(action, context=_tag_keys(request))]
    if operation == "GetOperation":
        known = model.operations.get(request["OperationId"])
        namespace = known.targets.get("NAMESPACE") if known else None
        return [Need(action, _arn(model, "namespace", namespace) if namespace else model.arn("namespace/*"))]
    if "Namespace" in operation and "Id" in request:
        return [Need(action, _arn(model, "namespace", request["Id"]))]
    return [Need(action), *tagging]


def _service_needs(model: CloudMap, operation: str, request: Document) -> list[Need]:
    arn = _arn(model, "service", request.get("ServiceId") or request["Id"])
    needs = [Need(f"servicediscovery:{operation}", arn, {"servicediscovery:ServiceArn": arn, **_resource_tags(model.tags.get(arn, {}))})]
    service = model.services.get(arn.rpartition("/")[2])
    if service and service.dns and operation in _HEALTH:
        needs.append(Need("route53:ChangeResourceRecordSets", _zone(model.namespaces[service.namespace_id].zone)))
        for name in _HEALTH[operation]:
            needs.append(Need(f"route53:{name}", "*" if name == "CreateHealthCheck" else "arn:aws:route53:::healthcheck/*"))
    return needs


def _discovery_needs(model: CloudMap, action: str, request: Document) -> list[Need]:
    context = {"servicediscovery:NamespaceName": request["NamespaceName"], "servicediscovery:ServiceName": request["ServiceName"]}
    owner = request.get("OwnerAccount", model.account)
    name = request["NamespaceName"] if owner == model.account else f"{owner}/{request['NamespaceName']}"
    namespace = model.namespaces.get(model.namespace_ids.get(name, ""))
    service = namespace.services.get(namespace.named(request["ServiceName"])) if namespace else None
    return [
        Need(action, namespace.arn if namespace else model.arn("namespace/*"), context),
        Need(action, service.arn if service else model.arn("service/*"), context),
    ]


def _tag_keys(request: Document) -> dict[str, list[str]]:
    return {"aws:TagKeys": [tag["Key"] for tag in request.get("Tags") or ()]}


def _resource_tags(tags: dict[str, str]) -> dict[str, str]:
    return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def _arn(model: CloudMap, kind: str, reference: str) -> str:
    return reference if reference.startswith("arn:") else model.arn(f"{kind}/{reference or '*'}")


def _zone(zone: str) -> str:
    return f"arn:aws:route53:::hostedzone/{zone}"


def app_mesh_needs(model: AppMesh, operation: str, request: Document) -> list[Need]:
    """What App Mesh asks: the resource's own ARN; for a list what it lies in. Tags asked for, and those it carries, are context."""
    action = f"appmesh:{operation}"
    asked = {f"aws:RequestTag/{tag['key']}": tag["value"] for tag in request.get("tags") or ()}
    if "resourceArn" in request:
        return [Need(action, request["resourceArn"], asked | _resource_tags(model.tags_of(request["resourceArn"])))]
    if "meshName" not in request:
        return [Need(action)]
    path = f"mesh/{request['meshName']}"
    for kind in KINDS.values():
        if kind.parent and f"{kind.name}Name" in request:
            path += f"/{kind.path}/{request[kind.name_member]}"
    arn = f"arn:aws:appmesh:{model.region}:{model.account}:{path}"
    tagging = [Need("appmesh:TagResource", arn, asked)] if asked else []
    return [Need(action, arn, asked | _resource_tags(model.tags_of(arn))), *tagging]


def eks_needs(model: Eks, operation: str, request: Document) -> list[Need]:
    """What EKS asks: the cluster, or the access entry."""
    action, cluster = f"eks:{operation}", request.get("name") or request.get("clusterName")
    if cluster is None:
        return [Need(action)]
    held = model.clusters.get(cluster)
    entry = held.entries.get(request.get("principalArn", "")) if held else None
    if entry and operation != "CreateAccessEntry":
        return [Need(action, entry["accessEntryArn"])]
    passing = [Need("iam:PassRole", request["roleArn"])] if operation == "CreatePodIdentityAssociation" else []
    return [Need(action, model.cluster_arn(cluster)), *passing]


def denied(principal: str, need: Need, reason: str) -> AwsError:
    """As AWS words it."""
    return AwsError(
        "AccessDeniedException", f"User: {principal} is not authorized to perform: {need.action} on resource: {need.resource} {reason}"
    )
