"""From pods to endpoints: which pod is registered where, under which id, with which attributes.

Attributes and their order of precedence are those of AWS's App Mesh controller (pkg/cloudmap/instances_reconciler.go, buildInstanceAttributes), then our marks.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import VirtualNode
from crossmesh.core.views import Pod, Seen

OWNER, CLUSTER, POD_UID = "crossmesh/owner", "crossmesh/cluster", "crossmesh/pod-uid"
POD, NAMESPACE = "k8s.io/pod", "k8s.io/namespace"
MESH, VIRTUAL_NODE = "appmesh.k8s.aws/mesh", "appmesh.k8s.aws/virtualNode"
IPV4, IPV6, PORT, INIT_HEALTH = "AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_PORT", "AWS_INIT_HEALTH_STATUS"

MAX_ATTRIBUTES, MAX_CHARACTERS, MAX_KEY, MAX_VALUE, MAX_ID = 30, 5_000, 255, 1_024, 64  # Cloud Map quotas page; API model


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A ready pod as desired in the registry. `dropped` names the labels that the attribute budget left no room for."""

    id: str
    cluster: str
    node: str  # the virtual node's AWS name
    namespace: str  # Cloud Map namespace
    service: str  # Cloud Map service
    pod: str  # "namespace/name"
    uid: str
    attributes: dict[str, str]
    dropped: tuple[str, ...] = ()


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that more than one virtual node selects: withheld, with all of them named."""

    cluster: str
    pod: str
    uid: str
    nodes: tuple[str, ...]


def instance_id(cluster: str, uid: str) -> str:
    """The id of a pod's instance, at most 64 characters (rule 3). A long cluster name is shortened to a digest that keeps it unique."""
    whole = f"{cluster}.{uid}"
    if len(whole) <= MAX_ID:
        return whole
    room = MAX_ID - len(uid) - 1
    if room < 8:
        return hashlib.sha256(whole.encode()).hexdigest()[:MAX_ID]
    return f"{hashlib.sha256(cluster.encode()).hexdigest()[:room]}.{uid}"


def counts_here(node: VirtualNode, cluster: ClusterSettings) -> bool:
    """Whether pods of `cluster` may back `node`."""
    return cluster.nodes is None or node.key in cluster.nodes


def selects(node: VirtualNode, pod: Pod) -> bool:
    """Whether `node` selects `pod`. A node with neither selector nor v1beta1 rule selects nothing, as in AWS's controller."""
    if pod.namespace != node.namespace:
        return False
    if node.selector is not None:
        return node.selector.matches(pod.labels)
    if not node.legacy:
        return False
    if pod.virtual_node:
        return pod.virtual_node in (node.name, node.key, node.aws_name)
    return pod.deployment == node.name


def owners(nodes: Sequence[VirtualNode], cluster: ClusterSettings, pods: Iterable[Pod]) -> dict[str, tuple[VirtualNode, ...]]:
    """pod uid -> the virtual nodes that select it in this cluster (usually one), in the order of `nodes`."""
    by_namespace: dict[str, list[VirtualNode]] = {}
    for node in nodes:
        if counts_here(node, cluster):
            by_namespace.setdefault(node.namespace, []).append(node)
    found = {}
    for pod in pods:
        chosen = tuple(node for node in by_namespace.get(pod.namespace, ()) if selects(node, pod))
        if chosen:
            found[pod.uid] = chosen
    return found


def attributes_of(pod: Pod, node: VirtualNode, *, cluster: str, owner: str, zone: tuple[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The attributes of a pod's instance, and the labels dropped to keep Cloud Map's budget of 30 attributes and 5,000 characters.

    Later wins: pod labels, the node's own attributes, address, port of the first listener, Kubernetes and mesh names, region and zone, our marks.
    Labels are dropped deterministically: those too long first, then from the end of the alphabet.
    """
    fixed = dict(node.cloud_map.attributes) if node.cloud_map else {}
    fixed[IPV6 if ":" in pod.ip else IPV4] = pod.ip
    if node.listeners:
        fixed[PORT] = str(node.listeners[0].port)
    fixed |= {POD: pod.name, NAMESPACE: pod.namespace, MESH: node.mesh, VIRTUAL_NODE: node.aws_name}
    region, availability_zone = zone
    if region:
        fixed["REGION"] = region
    if availability_zone:
        fixed["AVAILABILITY_ZONE"] = availability_zone
    fixed |= {OWNER: owner, CLUSTER: cluster, POD_UID: pod.uid}
    room = MAX_ATTRIBUTES - len(fixed) - 1  # AWS_INIT_HEALTH_STATUS takes one
    characters = MAX_CHARACTERS - sum(len(k) + len(v) for k, v in fixed.items()) - len(INIT_HEALTH) - len("UNHEALTHY")
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for key, value in sorted(pod.labels.items()):
        if key in fixed:
            continue
        size = len(key) + len(value)
        if len(key) > MAX_KEY or len(value) > MAX_VALUE or len(kept) >= room or size > characters:
            dropped.append(key)
            continue
        kept[key] = value
        characters -= size
    return {**kept, **fixed}, tuple(dropped)


def desired(
    nodes: Sequence[VirtualNode], clusters: Mapping[str, ClusterSettings], views: Iterable[Seen], *, owner: str
) -> tuple[tuple[Endpoint, ...], tuple[Claimed, ...]]:
    """The endpoints of all seen clusters, sorted by id, and the pods that several virtual nodes claim.

    Nodes without Cloud Map discovery select pods like the others but want no instance.
    """
    endpoints, claimed = [], []
    for view in views:
        cluster = clusters[view.cluster]
        chosen = owners(nodes, cluster, view.pods)
        for pod in view.pods:
            nodes_of_pod = chosen.get(pod.uid, ())
            if not pod.ready or not nodes_of_pod:
                continue
            name = f"{pod.namespace}/{pod.name}"
            if len(nodes_of_pod) > 1:
                places = tuple(f"{node.key} ({node.place})" for node in nodes_of_pod)
                claimed.append(Claimed(cluster=view.cluster, pod=name, uid=pod.uid, nodes=places))
                continue
            node = nodes_of_pod[0]
            if node.cloud_map is None:
                continue
            attributes, dropped = attributes_of(pod, node, cluster=view.cluster, owner=owner, zone=view.zones.get(pod.node, ("", "")))
            endpoints.append(
                Endpoint(
                    id=instance_id(view.cluster, pod.uid),
                    cluster=view.cluster,
                    node=node.aws_name,
                    namespace=node.cloud_map.namespace,
                    service=node.cloud_map.service,
                    pod=name,
                    uid=pod.uid,
                    attributes=attributes,
                    dropped=dropped,
                )
            )
    return tuple(sorted(endpoints, key=lambda e: e.id)), tuple(claimed)
