"""Where the two clouds differ: who is right by AWS's documentation, and what the right answer is. Neither side may change without this list."""

from typing import Any

import msgspec

Document = dict[str, Any]
CLOUD_MAP = "Cloud Map API reference, "
APP_MESH = "App Mesh API reference, "


class Crashed(str):
    """What a question ended with that no cloud answered."""

    __slots__ = ()


class Difference(msgspec.Struct, frozen=True):
    """One question that the clouds answer differently."""

    right: Any  # what AWS answers
    source: str  # where AWS says so
    told_by: str = "world"  # who gives that answer


REFUSED = "RefusedError InvalidInput"
NONE = "NotFound NotFoundException"

DIFFERENCES: dict[str, Difference] = {
    "a service is found in its own namespace only": Difference([True, True], CLOUD_MAP + "ListServices: Filters"),
    "services are listed by namespace": Difference("one", CLOUD_MAP + "ListServices: Filters"),
    "namespaces are listed by name": Difference("one", CLOUD_MAP + "ListNamespaces: Filters"),
    "the same intent twice makes one service": Difference(True, CLOUD_MAP + "CreateService: CreatorRequestId"),
    "another intent for the same name is refused": Difference(
        "Conflict ServiceAlreadyExists", CLOUD_MAP + "CreateService: ServiceAlreadyExists"
    ),
    "names of services that differ in case only": Difference("Conflict ServiceAlreadyExists", CLOUD_MAP + "CreateService: Name"),
    "a service in no namespace": Difference("refused NamespaceNotFound", CLOUD_MAP + "CreateService: NamespaceNotFound"),
    "the http name of a namespace": Difference([True, True], CLOUD_MAP + "DiscoverInstances: NamespaceName"),
    "a namespace once more": Difference("refused NamespaceAlreadyExists", CLOUD_MAP + "CreatePrivateDnsNamespace: Errors"),
    "two namespaces in one vpc": Difference(
        ["begun", "begun"], CLOUD_MAP + "CreatePrivateDnsNamespace: Errors (ConflictingDomainExists is none)"
    ),
    "registering again replaces all attributes": Difference(
        [("i-1", {"AWS_INSTANCE_IPV4": "10.20.0.7", "color": "red"})], CLOUD_MAP + "RegisterInstance: creates or updates"
    ),
    "deleting a service that is not there": Difference("NotFound ServiceNotFound", CLOUD_MAP + "DeleteService: ServiceNotFound"),
    "a service with instances cannot be deleted": Difference("Conflict ResourceInUse", CLOUD_MAP + "DeleteService: ResourceInUse"),
    "a namespace with services cannot be deleted": Difference("refused ResourceInUse", CLOUD_MAP + "DeleteNamespace: ResourceInUse"),
    "the revision rises with a deregistration": Difference(True, CLOUD_MAP + "DiscoverInstancesRevision: an increasing revision"),
    "lists of more than a page": Difference(
        {
            "listed by the adapter": 105,
            "discovered by the adapter": 105,
            "listed at once": 100,
            "more to come": True,
            "discovered by default": 100,
            "discovered with MaxResults": 7,
        },
        CLOUD_MAP + "ListInstances and DiscoverInstances: MaxResults",
    ),
    "health of a service that keeps it": Difference(
        (True, {"i-1": "HEALTHY", "i-2": "UNHEALTHY"}), CLOUD_MAP + "RegisterInstance: AWS_INIT_HEALTH_STATUS"
    ),
    "discovery by health": Difference(
        [["i-1"], ["i-2"], ["i-1", "i-2"], ["i-1"]], CLOUD_MAP + "RegisterInstance: AWS_INIT_HEALTH_STATUS; DiscoverInstances: HealthStatus"
    ),
    "health where none is kept": Difference(
        ({"i-1": "UNKNOWN"}, "NotFound CustomHealthNotFound", ["i-1"]),
        CLOUD_MAP + "UpdateInstanceCustomHealthStatus: CustomHealthNotFound; GetInstancesHealthStatus",
    ),
    "limits of attributes and ids": Difference(
        (
            {
                "thirty of our own": "taken",
                "thirty-one of our own": REFUSED,
                "a value of 1,025": REFUSED,
                "a key of 256": REFUSED,
                "5,001 characters in all": REFUSED,
                "no address": REFUSED,
                "no port": REFUSED,
                "an empty value": "taken",
            },
            REFUSED,
        ),
        CLOUD_MAP + "RegisterInstance: Attributes, InstanceId; Cloud Map quotas",
    ),
    "an instance without the address that its record needs": Difference(REFUSED, CLOUD_MAP + "RegisterInstance: AWS_INSTANCE_IPV4"),
    "tags of a service": Difference(
        ({"crossmesh:owner": "t", "crossmesh:deployment": "d"}, "refused ResourceNotFoundException"),
        CLOUD_MAP + "ListTagsForResource: Errors",
    ),
    "operations by service and status": Difference(("SUCCESS", "one"), CLOUD_MAP + "ListOperations: Filters"),
    "how many instances a service has": Difference(2, CLOUD_MAP + "Service: InstanceCount"),
    "a mesh comes back as it was given": Difference(({}, "ACTIVE", {"crossmesh:owner": "t"}), APP_MESH + "MeshSpec: no member is required"),
    "a mesh resource once more": Difference("Conflict ConflictException", APP_MESH + "CreateRoute: ConflictException"),
    "mesh resources that are not there": Difference(
        {"described": [None, None, None], "deleted": [NONE, NONE, NONE], "listed": (), "updated": NONE},
        APP_MESH + "NotFoundException of every operation",
    ),
    "a route to a node that is not there": Difference(NONE, APP_MESH + "CreateRoute: NotFoundException"),
    "a mesh resource that others use cannot be deleted": Difference(
        ["Conflict ResourceInUseException"] * 3, APP_MESH + "DeleteMesh, DeleteVirtualNode"
    ),
    "mesh resources are deleted in order": Difference([None] * 4, APP_MESH + "DescribeMesh: NotFoundException"),
    "virtual services and gateways": Difference(([None, None], [["s.local"], ["g"]]), APP_MESH + "CreateVirtualService"),
    "how a cluster is reached": Difference(
        {"endpoint": "https", "ipv6": False, "group": True, "vpc": True}, "EKS API reference, VpcConfigResponse"
    ),
    "alarms by prefix": Difference(["INSUFFICIENT_DATA", "ALARM"], "CloudWatch API reference, PutMetricAlarm: the state of a new alarm"),
    "alarms of a prefix that ring": Difference(["ring-b"], "CloudWatch API reference, DescribeAlarms: StateValue"),
    "a group that is not there": Difference(
        "RefusedError InvalidGroup.NotFound", "EC2 API reference, Error codes: InvalidGroup.NotFound", told_by="moto"
    ),
    "an execution started by name once more": Difference(
        ["the first", "refused ExecutionAlreadyExists", "refused ExecutionAlreadyExists"],
        "Step Functions API reference, StartExecution: idempotent for STANDARD workflows",
        told_by="moto",
    ),
}


def problems(name: str, answers: Document, listed: dict[str, Difference]) -> list[str]:
    """What is wrong with a question's answers by cloud: an unlisted difference, a listed one that has gone, or a right answer that is given no more."""
    world, moto, known = answers["world"], answers["moto"], listed.get(name)
    crashed = [f"{name}, on {cloud}: {said}" for cloud, said in answers.items() if isinstance(said, Crashed)]
    if crashed:
        return crashed
    if known is None:
        return [] if world == moto else [f"{name}: the world says {world!r}, moto {moto!r}; find what AWS documents, mend the world or list it"]
    found = [f"{name}: both say {world!r} now; take it off the list"] if world == moto else []
    if answers[known.told_by] != known.right:
        found.append(f"{name}: {known.told_by} says {answers[known.told_by]!r}, and {known.source} {known.right!r}")
    return found
