"""What every step knows without asking: the settings and manifests it was deployed with, and which
deployment it is.
"""

from typing import Literal

import msgspec

from crossmesh.core.settings import CanarySettings, ClusterSettings, Settings
from crossmesh.core.topology import Topology
from crossmesh.errors import RefusedError


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """`config` is the digest of the configuration layer; `deployment` this deployment's id
    (account/region/stack); `version` crossmesh's.
    """

    settings: Settings
    topology: Topology
    config: str
    deployment: str
    mode: Literal["observe", "apply"] = "apply"
    version: str = ""
    live: str = ""  # digest of the documents read from clusters, where they come from there

    def cluster(self, name: str) -> ClusterSettings:
        """The settings of a cluster. Raises RefusedError where there is none of that name."""
        for cluster in self.settings.clusters:
            if cluster.name == name:
                return cluster
        raise RefusedError("UnknownCluster", f"{name} is not in crossmesh.yaml")

    def canary(self, name: str) -> CanarySettings:
        """The settings of a canary. Raises RefusedError where there is none of that name: it must
        not pass for a good one.
        """
        for canary in self.settings.canaries:
            if canary.name == name:
                return canary
        names = ", ".join(canary.name for canary in self.settings.canaries)
        raise RefusedError("UnknownCanary", f"{name} is not in crossmesh.yaml; there are: {names or 'none'}")


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The part of every request that names the run: its id, execution, lease epoch, and the
    configuration it began with.
    """

    id: str
    execution: str
    epoch: int = 0
    config: str = ""
    look: str = ""  # run-store key of the look that asked for it
    started: float = 0.0
    # Digest of the documents that were in force when it began, where they are read from clusters
    live: str = ""
    cause: str = ""  # what started the look that asked for it, or `manual`
    passes: int = 0  # how often the run began again because it was asked to
