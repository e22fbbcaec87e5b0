"""A proxy's configuration, and how one is put together: each cluster once, under a name that its
callers share where they may. Pure.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from crossmesh.core.mesh.xds import clusters, names, tls
from crossmesh.core.mesh.xds.declared import Declared, Face, Target, face_targets
from crossmesh.core.mesh.xds.defaults import Json


class ProxyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one virtual node's or gateway's Envoys are given: resources in Envoy's JSON, each tuple
    sorted by name.

    `key` is `namespace/name` of the document. Endpoints are apart, for proxies share them.
    """

    id: str
    mesh: str
    kind: str
    key: str
    listeners: tuple[Json, ...] = ()
    routes: tuple[Json, ...] = ()
    clusters: tuple[Json, ...] = ()


class Upstreams:
    """The clusters by which one proxy asks its backends."""

    def __init__(self, declared: Declared, key: str, spec: dict[str, Any], shared: dict[str, Json]) -> None:
        self.declared, self.shared, self.waived = declared, shared, key in declared.plaintext
        self.defaults = spec.get("backendDefaults") or {}
        self.found: dict[str, Json] = {}
        self._own: dict[str, Json] = {}
        self._several: set[str] = set()

    def take(self, faces: dict[str, tuple[Face, ...]], own: dict[str, Json]) -> None:
        """Learn of every backend before a cluster is named: `faces` and client policies by virtual
        service.
        """
        self._own = own
        policies: dict[str, set[str]] = {}
        for service, shown in faces.items() if own else ():
            policy = repr(tls.client_policy(self.defaults, own.get(service)))
            for face in shown:
                for target in face_targets(self.declared, face):
                    policies.setdefault(self._base(target), set()).add(policy)
        self._several = {base for base, found in policies.items() if len(found) > 1}

    def of(self, service: str) -> Callable[[Target], str]:
        """Names the cluster of a target for requests to `service`, and makes it.

        A virtual node that is asked through two services with different policies has a cluster for
        each policy of a backend's own.
        """
        own = self._own.get(service)

        def cluster_of(target: Target) -> str:
            name = base = self._base(target)
            if own is not None and base in self._several:
                name = f"{base}_{service}"
            if name not in self.found:
                self.found[name] = self._cluster(target, name, tls.client_policy(self.defaults, own))
            return name

        return cluster_of

    def _base(self, target: Target) -> str:
        return names.egress_cluster(self.declared.mesh, target.name, target.protocol, target.port)

    def _cluster(self, target: Target, name: str, policy: Json) -> Json:
        if policy:
            return clusters.egress(self.declared, target, name, tls.upstream(policy, target, waived=self.waived))
        if name not in self.shared:  # the same for every proxy that has no policy
            self.shared[name] = clusters.egress(self.declared, target, name, tls.upstream({}, target))
        return self.shared[name]


def by_name(resources: dict[str, Json]) -> tuple[Json, ...]:
    """Resources in the order of their names."""
    return tuple(resource for _, resource in sorted(resources.items()))
