"""Which virtual node a pod belongs to: by the node's selector, or by the rules of v1beta1 where it
has none.
"""

from collections.abc import Sequence
from typing import Protocol

from crossmesh.core.observed import Pod
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import VirtualNode


def counts_here(node: VirtualNode, cluster: ClusterSettings) -> bool:
    """Whether pods of `cluster` may back `node`."""
    return cluster.nodes is None or node.key in cluster.nodes


class Selectable(Protocol):
    """What decides which virtual node a pod belongs to, in a look's `Pod` as in a diagnosis'
    `PodFacts`.
    """

    @property
    def namespace(self) -> str:
        """Its Kubernetes namespace."""

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""

    @property
    def virtual_node(self) -> str:
        """Its annotation appmesh.k8s.aws/virtualNode (v1beta1)."""

    @property
    def deployment(self) -> str:
        """The Deployment that it belongs to."""


def selects(node: VirtualNode, pod: Selectable) -> bool:
    """Whether `node` selects `pod`. A node with neither selector nor v1beta1 rule selects nothing,
    as in AWS's controller.
    """
    if pod.namespace != node.namespace:
        return False
    if node.selector is not None:
        return node.selector.matches(pod.labels)
    if not node.legacy:
        return False
    if pod.virtual_node:
        return pod.virtual_node in (node.name, node.key, node.aws_name)
    return pod.deployment == node.name


class SelectorIndex:
    """Virtual nodes by a label that their selector demands, so that a pod is compared with the few
    that can fit and not with all.
    """

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
        found.sort(key=lambda entry: entry[0])
        return tuple(node for _, node in found)
