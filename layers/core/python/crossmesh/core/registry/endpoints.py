"""From pods to endpoints: which pod is registered where, under which id, with which attributes.

Attributes and their order of precedence are those of AWS's App Mesh controller
(pkg/cloudmap/instances_reconciler.go, buildInstanceAttributes), then our marks.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter

import msgspec

from crossmesh.core.observed import Instance, Pod, Seen
from crossmesh.core.plausible import Plausible
from crossmesh.core.registry.pod_selection import SelectorIndex
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import VirtualNode

OWNER, CLUSTER, POD_UID = "crossmesh/owner", "crossmesh/cluster", "crossmesh/pod-uid"
POD, NAMESPACE = "k8s.io/pod", "k8s.io/namespace"
MESH, VIRTUAL_NODE = "appmesh.k8s.aws/mesh", "appmesh.k8s.aws/virtualNode"
PLACED = (
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
)  # labels that Kubernetes puts on pods, from 1.35 on (PodTopologyLabels)
IPV4, IPV6, PORT, INIT_HEALTH = "AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", "AWS_INSTANCE_PORT", "AWS_INIT_HEALTH_STATUS"

# Cloud Map quotas page; API model
MAX_ATTRIBUTES, MAX_CHARACTERS, MAX_KEY, MAX_VALUE, MAX_ID = 30, 5_000, 255, 1_024, 64


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A ready pod as desired in the registry. `dropped`: labels that are no attributes, for Cloud
    Map keeps the name or its limits leave no room.
    """

    id: str
    cluster: str
    node: str  # the virtual node's AWS name
    namespace: str  # Cloud Map namespace
    service: str  # Cloud Map service
    key: str  # of the service (`core.keys`)
    pod: str  # "namespace/name"
    uid: str
    attributes: dict[str, str]
    dropped: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """The address that it is registered with."""
        return self.attributes.get(IPV4) or self.attributes.get(IPV6, "")


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that is withheld: more than one virtual node selects it (`nodes` names them), or its
    cluster shows what no pod of it has (`doubt`).
    """

    cluster: str
    pod: str
    uid: str
    nodes: tuple[str, ...] = ()
    doubt: str = ""


def instance_id(cluster: str, uid: str) -> str:
    """The id of a pod's instance, at most 64 characters (rule 3). A long cluster name is shortened
    to a digest that keeps it unique.
    """
    whole = f"{cluster}.{uid}"
    if len(whole) <= MAX_ID:
        return whole
    room = MAX_ID - len(uid) - 1
    if room < 8:
        return hashlib.sha256(whole.encode()).hexdigest()[:MAX_ID]
    return f"{hashlib.sha256(cluster.encode()).hexdigest()[:room]}.{uid}"


def address_of(instance: Instance) -> str:
    """The address that an instance is registered with, "" = none."""
    return instance.attributes.get(IPV4) or instance.attributes.get(IPV6, "")


class _Kind:
    """What pods share that are alike in labels, namespace, zone and family of address, as a
    Deployment's are: worked out once for all of them.
    """

    __slots__ = ("_address", "_after", "_before", "_labels", "_quick", "_unusable", "node", "nodes")

    def __init__(
        self, pod: Pod, nodes: tuple[VirtualNode, ...], cluster: str, owner: str, zone: tuple[str, str]
    ) -> None:
        self.nodes = nodes
        self.node = nodes[0] if len(nodes) == 1 and nodes[0].cloud_map else None
        if self.node is None or self.node.cloud_map is None:
            return
        self._address = IPV6 if ":" in pod.ip else IPV4
        self._labels = {k: v for k, v in pod.labels.items() if not reserved(k) and _KEY(k) and _VALUE(v)}
        self._unusable = tuple(sorted(pod.labels.keys() - self._labels.keys()))
        self._after = _after(self.node, cluster, owner, zone)
        own = dict.fromkeys((self._address, POD, NAMESPACE, POD_UID), "")
        self._before = {**dict(self.node.cloud_map.attributes), **own, NAMESPACE: pod.namespace}
        label_characters = sum(len(k) + len(v) for k, v in self._labels.items())
        short = all(len(k) <= MAX_KEY and len(v) <= MAX_VALUE for k, v in self._labels.items())
        most = (
            len(self._labels) + _count(self._before | self._after),
            _characters(self._before | self._after) + label_characters + _OWN_AT_MOST,
        )
        self._quick = short and most[0] <= MAX_ATTRIBUTES and most[1] <= MAX_CHARACTERS
        if self._quick:
            self._before = {**self._labels, **self._before}

    def attributes(self, pod: Pod) -> tuple[dict[str, str], tuple[str, ...]]:
        """The attributes of a pod's instance, and the labels dropped to keep Cloud Map's budget.

        Precedence is the controller's: labels, the node's own attributes, address, names, then
        port, mesh, zone and our marks.
        """
        attributes = self._before.copy()
        attributes[self._address] = pod.ip
        attributes[POD] = pod.name
        attributes[POD_UID] = pod.uid
        attributes.update(self._after)
        if self._quick:
            return attributes, self._unusable
        kept, dropped = _with_labels(attributes, self._labels)
        return kept, (*self._unusable, *dropped)


_KEY = re.compile(r"[!-~]+").fullmatch  # AttrKey and AttrValue (API model)
_VALUE = re.compile(r"(?:[!-~][ \t!-~]*)?").fullmatch


def reserved(label: str) -> bool:
    """Whether Cloud Map, or whoever reads a zone, would take a label for an attribute of its
    own.
    """
    return label.startswith("AWS_") or label in ("REGION", "AVAILABILITY_ZONE")


_OWN_AT_MOST = 45 + 253 + 64  # characters of an address, a pod's name, its uid


def _after(node: VirtualNode, cluster: str, owner: str, zone: tuple[str, str]) -> dict[str, str]:
    """What stands after a pod's own attributes."""
    port = {PORT: str(node.listeners[0].port)} if node.listeners else {}
    service_names = {key: value for key, value in zip(("REGION", "AVAILABILITY_ZONE"), zone, strict=True) if value}
    return {**port, MESH: node.mesh, VIRTUAL_NODE: node.aws_name, **service_names, OWNER: owner, CLUSTER: cluster}


def _count(attributes: Mapping[str, str]) -> int:
    return len(attributes) + 1  # AWS_INIT_HEALTH_STATUS takes one


def _characters(attributes: Mapping[str, str]) -> int:
    return sum(len(k) + len(v) for k, v in attributes.items()) + len(INIT_HEALTH) + len("UNHEALTHY")


def _with_labels(attributes: dict[str, str], labels: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """As many labels as fit into 30 attributes and 5,000 characters. Dropped are those too long;
    then what REGION and AVAILABILITY_ZONE say already, then from the end of the alphabet.
    """
    room, left = MAX_ATTRIBUTES - _count(attributes), MAX_CHARACTERS - _characters(attributes)
    kept: dict[str, str] = {}
    dropped: list[str] = []
    for key, value in sorted(labels.items(), key=lambda label: (label[0] in PLACED, label[0])):
        if key in attributes:
            continue
        size = len(key) + len(value)
        if len(key) > MAX_KEY or len(value) > MAX_VALUE or len(kept) >= room or size > left:
            dropped.append(key)
            continue
        kept[key] = value
        left -= size
    return {**kept, **attributes}, tuple(dropped)


def desired(
    nodes: Sequence[VirtualNode], clusters: Mapping[str, ClusterSettings], views: Iterable[Seen], *, owner: str
) -> tuple[tuple[Endpoint, ...], tuple[Claimed, ...]]:
    """The endpoints of all seen clusters, sorted by id, and the pods that are withheld: several
    virtual nodes claim them, or they are not plausible.

    Nodes without Cloud Map discovery select pods like the others but want no instance. Pods in a
    zone that traffic was shifted away from are endpoints only where their virtual node would have
    none without them.
    """
    endpoints: list[Endpoint] = []
    away: list[Endpoint] = []
    claimed: list[Claimed] = []
    for view in views:
        index, kinds = SelectorIndex(nodes, clusters[view.cluster]), dict[tuple[object, ...], _Kind]()
        plausible = Plausible(view.cluster, clusters)
        for pod in view.pods:
            if not pod.ready:
                continue
            zone = view.zones.get(pod.node, _NOWHERE)
            alike = (pod.namespace, pod.virtual_node, pod.deployment, zone, ":" in pod.ip, *pod.labels.items())
            kind = kinds.get(alike)
            if kind is None:
                kind = kinds[alike] = _Kind(pod, index.of(pod), view.cluster, owner, zone)
            if kind.node is not None:
                if doubt := plausible.doubt(pod):
                    claimed.append(
                        Claimed(cluster=view.cluster, pod=f"{pod.namespace}/{pod.name}", uid=pod.uid, doubt=doubt)
                    )
                    continue
                made = _endpoint(view.cluster, pod, kind.node, *kind.attributes(pod))
                (away if view.shifted and view.away(pod.node) else endpoints).append(made)
            elif len(kind.nodes) > 1:
                service_names = tuple(f"{node.key} ({node.place})" for node in kind.nodes)
                claimed.append(
                    Claimed(cluster=view.cluster, pod=f"{pod.namespace}/{pod.name}", uid=pod.uid, nodes=service_names)
                )
    if away:
        elsewhere = {endpoint.node for endpoint in endpoints}
        endpoints += [endpoint for endpoint in away if endpoint.node not in elsewhere]
    endpoints.sort(key=attrgetter("id"))
    return tuple(endpoints), tuple(claimed)


def pods_pending(nodes: Sequence[VirtualNode], clusters: Mapping[str, ClusterSettings], views: Iterable[Seen]) -> bool:
    """Whether a pod that is to be registered somewhere lives and is not ready yet: more is to come,
    as in a rolling update.
    """
    for view in views:
        index = SelectorIndex(nodes, clusters[view.cluster])
        if any(node.cloud_map for pod in view.pods if not (pod.dead or pod.ready) for node in index.of(pod)):
            return True
    return False


_NOWHERE = ("", "")


def _endpoint(
    cluster: str, pod: Pod, node: VirtualNode, attributes: dict[str, str], dropped: tuple[str, ...]
) -> Endpoint:
    assert node.cloud_map is not None
    return Endpoint(
        id=instance_id(cluster, pod.uid),
        cluster=cluster,
        node=node.aws_name,
        namespace=node.cloud_map.namespace,
        service=node.cloud_map.service,
        key=node.cloud_map.key,
        pod=f"{pod.namespace}/{pod.name}",
        uid=pod.uid,
        attributes=attributes,
        dropped=dropped,
    )
