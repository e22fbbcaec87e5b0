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


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class _Index:
    """Virtual nodes by a label that their selector demands, so that a pod is compared with the few that can fit and not with all."""

    def __init__(self, nodes: Sequence[VirtualNode], cluster: ClusterSettings) -> None:
        self._by_label: dict[tuple[str, str, str], list[tuple[int, VirtualNode]]] = {}
        self._others: dict[str, list[tuple[int, VirtualNode]]] = {}
        for rank, node in enumerate(nodes):
            if not counts_here(node, cluster):
                continue
            if node.selector is not None and node.selector.labels:
                key, value = node.selector.labels[-1]
                self._by_label.setdefault((node.namespace, key, value), []).append((rank, node))
            else:
                self._others.setdefault(node.namespace, []).append((rank, node))

    def of(self, pod: Pod) -> tuple[VirtualNode, ...]:
        """The virtual nodes that select a pod, in the order they were given."""
        namespace, by_label = pod.namespace, self._by_label
        found = [
            entry
            for label in pod.labels.items()
            if (namespace, *label) in by_label
            for entry in by_label[namespace, *label]
            if selects(entry[1], pod)
        ]
        found += [entry for entry in self._others.get(namespace, ()) if selects(entry[1], pod)]
        if len(found) > 1:
            found.sort(key=lambda entry: entry[0])
        return tuple(node for _, node in found)


class _Fixed(msgspec.Struct, frozen=True):
    """The attributes that all pods of a virtual node in a cluster and zone share, those before and those after a pod's own, and their size."""

    before: dict[str, str]
    after: dict[str, str]
    count: int
    characters: int


def fixed_attributes(node: VirtualNode, *, cluster: str, owner: str, zone: tuple[str, str], ipv6: bool = False) -> _Fixed:
    """Computed once for many pods. Precedence is the controller's: the node's own attributes, then address and port, names, zone, our marks."""
    before = dict(node.cloud_map.attributes) if node.cloud_map else {}
    after: dict[str, str] = {}
    if node.listeners:
        after[PORT] = str(node.listeners[0].port)
    region, availability_zone = zone
    after |= {MESH: node.mesh, VIRTUAL_NODE: node.aws_name}
    if region:
        after["REGION"] = region
    if availability_zone:
        after["AVAILABILITY_ZONE"] = availability_zone
    after |= {OWNER: owner, CLUSTER: cluster}
    both = {**before, **after}
    own = (IPV6 if ipv6 else IPV4, POD, NAMESPACE, POD_UID)  # each pod adds these four
    shared = {key: value for key, value in both.items() if key not in own}
    characters = sum(len(k) + len(v) for k, v in shared.items()) + sum(map(len, own)) + len(INIT_HEALTH) + len("UNHEALTHY")
    return _Fixed(before, after, len(shared) + len(own) + 1, characters)  # AWS_INIT_HEALTH_STATUS takes one


def attributes_of(pod: Pod, fixed: _Fixed) -> tuple[dict[str, str], tuple[str, ...]]:
    """The attributes of a pod's instance, and the labels dropped to keep Cloud Map's budget of 30 attributes and 5,000 characters.

    Labels are dropped deterministically: those too long first, then from the end of the alphabet.
    """
    own = {IPV6 if ":" in pod.ip else IPV4: pod.ip, POD: pod.name, NAMESPACE: pod.namespace, POD_UID: pod.uid}
    labels = pod.labels
    characters = fixed.characters + len(pod.ip) + len(pod.name) + len(pod.namespace) + len(pod.uid)
    wanted = len("".join(labels)) + len("".join(labels.values()))
    if len(labels) + fixed.count <= MAX_ATTRIBUTES and wanted <= MAX_KEY and characters + wanted <= MAX_CHARACTERS:
        return {**labels, **fixed.before, **own, **fixed.after}, ()
    taken = {**fixed.before, **own, **fixed.after}
    room, left = MAX_ATTRIBUTES - fixed.count, MAX_CHARACTERS - characters
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for key, value in sorted(labels.items()):
        if key in taken:
            continue
        size = len(key) + len(value)
        if len(key) > MAX_KEY or len(value) > MAX_VALUE or len(kept) >= room or size > left:
            dropped.append(key)
            continue
        kept[key] = value
        left -= size
    return {**kept, **taken}, tuple(dropped)


def desired(
    nodes: Sequence[VirtualNode], clusters: Mapping[str, ClusterSettings], views: Iterable[Seen], *, owner: str
) -> tuple[tuple[Endpoint, ...], tuple[Claimed, ...]]:
    """The endpoints of all seen clusters, sorted by id, and the pods that several virtual nodes claim.

    Nodes without Cloud Map discovery select pods like the others but want no instance.
    """
    endpoints, claimed = [], []
    for view in views:
        index = _Index(nodes, clusters[view.cluster])
        shared: dict[tuple[str, tuple[str, str], bool], _Fixed] = {}
        for pod in view.pods:
            if not pod.ready:
                continue
            nodes_of_pod = index.of(pod)
            if not nodes_of_pod:
                continue
            name = f"{pod.namespace}/{pod.name}"
            if len(nodes_of_pod) > 1:
                places = tuple(f"{node.key} ({node.place})" for node in nodes_of_pod)
                claimed.append(Claimed(cluster=view.cluster, pod=name, uid=pod.uid, nodes=places))
                continue
            node = nodes_of_pod[0]
            if node.cloud_map is None:
                continue
            zone, ipv6 = view.zones.get(pod.node, ("", "")), ":" in pod.ip
            fixed = shared.get((node.aws_name, zone, ipv6))
            if fixed is None:
                fixed = fixed_attributes(node, cluster=view.cluster, owner=owner, zone=zone, ipv6=ipv6)
                shared[node.aws_name, zone, ipv6] = fixed
            attributes, dropped = attributes_of(pod, fixed)
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
