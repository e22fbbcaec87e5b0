"""The path of a request from the user to a pod, in layers, and what a diagnosis says about one of
them.
"""

from typing import Literal

import msgspec

Layer = Literal[
    # Not broken: what people ordered and is in force, a drain, a pause, Mode=observe, a shift
    "ordered",
    "permission",  # crossmesh itself may not look (or ask) as it must
    "cluster",  # a cluster's API gives no complete view
    "dns",  # name of the front load balancer
    "listener",  # it listens on the port
    "certificate",  # TLS
    "targets",  # it has healthy targets
    "pods",  # front's pods are ready
    "node",  # the Kubernetes nodes under them are
    "sidecar",  # each carries its Envoy, ready
    "mesh",  # routes, routers, services, nodes as declared
    "namespace",  # Cloud Map namespace and service
    "instances",  # each virtual node has instances
    "network",  # security groups let the listener port through
    "instance",  # every instance is a live pod that answers, quickly and as what it is registered
    "answers",  # every layer is in order as far as it can be seen, and still the answers are not
]

Certainty = Literal["certain", "likely"]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """One broken thing: where on the path, what, how it is known, and how to fix it.

    `subject` is the thing's own name (an instance id, a route, a cluster): the same break seen
    twice has the same layer and subject. `heals`: whether the next run of crossmesh fixes it.
    `fix`: the remediation.
    """

    layer: Layer
    subject: str
    what: str
    evidence: tuple[str, ...] = ()
    fix: str
    certainty: Certainty = "certain"
    heals: bool = False

    @property
    def key(self) -> str:
        """By which the same break is known again."""
        return f"{self.layer}:{self.subject}"
