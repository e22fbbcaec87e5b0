"""The names of virtual nodes and services in settings, resolved against the manifests:
`namespace/name`, bare where unique.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.mesh.expected_split import shares
from crossmesh.core.settings import CanarySettings, ClusterSettings, Settings
from crossmesh.core.suggestions import nearest
from crossmesh.core.topology import Topology
from crossmesh.manifests.yaml_documents import line_of


def resolve_names(
    settings: Settings, topology: Topology, file: str, lines: dict[str, int], lost: Mapping[str, str] | None = None
) -> tuple[Settings, list[Finding]]:
    """The settings with all names as `namespace/name`, and what names nothing or more than one
    thing.

    `lost`: by bare name, what to do first where a mistake keeps a document out of the topology.
    """
    names = _Names(topology, file, lines, lost or {})
    clusters = tuple(names.cluster(cluster) for cluster in settings.clusters)
    if not names.findings:
        names.uncounted(clusters)
        names.pinned(settings.mesh.namespaces)
    canaries = tuple(names.canary(canary) for canary in settings.canaries)
    return msgspec.structs.replace(settings, clusters=clusters, canaries=canaries), names.findings


class _Names:
    def __init__(self, topology: Topology, file: str, lines: dict[str, int], lost: Mapping[str, str]) -> None:
        self.topology, self.file, self.lines, self.lost = topology, file, lines, lost
        self.nodes = [node.key for node in topology.nodes]
        self.services = [service.key for service in topology.services]
        self.findings: list[Finding] = []

    def cluster(self, cluster: ClusterSettings) -> ClusterSettings:
        if cluster.nodes is None:
            return cluster
        field = f"clusters.{cluster.name}.nodes"
        nodes = tuple(
            self._find("virtual node", name, self.nodes, f"{field}[{index}]")
            for index, name in enumerate(cluster.nodes)
        )
        return msgspec.structs.replace(cluster, nodes=nodes)

    def canary(self, canary: CanarySettings) -> CanarySettings:
        mix = canary.expect.mix
        if mix is None:
            return canary
        field = f"canaries.{canary.name}.expect.mix"
        of = self._find("virtual service", mix.of, self.services, f"{field}.of")
        bodies = tuple(
            (body, self._find("virtual node", name, self.nodes, f"{field}.bodies.{body}")) for body, name in mix.bodies
        )
        self._routed(of, bodies, field)
        self._bodies(canary, of, bodies, field)
        made = msgspec.structs.replace(canary.expect, mix=msgspec.structs.replace(mix, of=of, bodies=bodies))
        return msgspec.structs.replace(canary, expect=made)

    def pinned(self, namespaces: Iterable[tuple[str, str]]) -> None:
        """Namespaces of the settings that no virtual node names: mistyped, or left over."""
        used = sorted({node.cloud_map.namespace for node in self.topology.nodes if node.cloud_map is not None})
        for name, _ in namespaces:
            if used and name not in used:
                message = f"no virtual node names the Cloud Map namespace {name!r}"
                self._report(
                    f"mesh.namespaces.{name}",
                    "unused-namespace",
                    message,
                    f"they name: {', '.join(used[:10]) or 'none'}",
                    "warning",
                )

    def uncounted(self, clusters: tuple[ClusterSettings, ...]) -> None:
        """Nodes with Cloud Map discovery whose pods count in no cluster will have no instances."""
        if any(cluster.nodes is None for cluster in clusters):
            return
        counted = {name for cluster in clusters for name in cluster.nodes or ()}
        for node in self.topology.nodes:
            if node.cloud_map is not None and node.key not in counted:
                message = f"the pods of virtual node {node.key} count in no cluster"
                self._report("clusters", "uncounted-node", message, "name it in some cluster's nodes", "warning")

    def _routed(self, of: str, bodies: Iterable[tuple[str, str]], field: str) -> None:
        """A body of a node that the service's routes never reach is never seen."""
        service = next((s for s in self.topology.services if s.key == of), None)
        if service is None:
            return
        provider = service.spec.get("provider", {})
        reached = {provider.get("virtualNode", {}).get("@VirtualNode")}
        router = provider.get("virtualRouter", {}).get("@VirtualRouter")
        routers = [
            candidate
            for candidate in self.topology.routers
            if (candidate.mesh, candidate.aws_name) == (service.mesh, router)
        ]
        if router is not None and not routers:
            return  # that is told
        for candidate in routers:
            reached |= {name for key, name in candidate.references.items() if key.startswith("spec.routes")}
        names = {node.key: node.aws_name for node in self.topology.nodes if node.mesh == service.mesh}
        for body, node in bodies:
            if node in names and names[node] not in reached:
                message = f"no route of virtual service {of} leads to {node}"
                self._report(
                    f"{field}.bodies.{body}", "unrouted-node", message, "name nodes that its routes target", "warning"
                )

    def _bodies(self, canary: CanarySettings, of: str, bodies: tuple[tuple[str, str], ...], field: str) -> None:
        """Every virtual node that the routes send requests to needs a body, or its answers count as
        wrong.
        """
        assert canary.expect.mix is not None
        mix = msgspec.structs.replace(canary.expect.mix, of=of)
        promised = shares(
            self.topology, msgspec.structs.replace(canary, expect=msgspec.structs.replace(canary.expect, mix=mix))
        )
        keys = {node.aws_name: node.key for node in self.topology.nodes}
        known = {node for _, node in bodies}
        for name, share in sorted(promised.items()):
            if share and keys.get(name, "") not in known and name in keys:
                message = (
                    f"mix.bodies names no body for {keys[name]}, to which the routes of {of} send requests: its answers"
                    " count as failed"
                )
                self._report(
                    f"{field}.bodies", "missing-body", message, f"add the body that {keys[name]} answers", "warning"
                )

    def _find(self, what: str, name: str, known: list[str], field: str) -> str:
        fitting = [key for key in known if key == name or ("/" not in name and key.rpartition("/")[2] == name)]
        if len(fitting) == 1:
            return fitting[0]
        code = what.replace("virtual ", "unknown-") if not fitting else "ambiguous-name"
        if fitting:
            self._report(field, code, f"{name!r} means several {what}s: {', '.join(fitting)}", "write namespace/name")
        else:
            near = nearest(name, known) or nearest(name, [key.rpartition("/")[2] for key in known])
            fix = (f"did you mean {near}? " if near else "") + f"declared are: {', '.join(known[:10]) or 'none'}"
            fix = self.lost.get(name.rpartition("/")[2], fix)
            self._report(field, code, f"no manifest declares the {what} {name!r}", fix)
        return name

    def _report(
        self, field: str, code: str, message: str, fix: str, level: Literal["error", "warning"] = "error"
    ) -> None:
        place = SourceLocation(file=self.file, line=line_of(self.lines, field), field=field)
        self.findings.append(Finding(level=level, code=code, place=place, message=message, fix=fix))
