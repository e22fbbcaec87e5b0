"""The whole rendering: every proxy of every mesh, and the endpoints that they share. The same
inputs give the same values, in the same order. Pure.
"""

from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core.documents import Finding
from crossmesh.core.mesh.xds import declared as one_mesh
from crossmesh.core.mesh.xds.declared import Declared
from crossmesh.core.mesh.xds.defaults import Json
from crossmesh.core.mesh.xds.endpoints import Host, assignments, services
from crossmesh.core.mesh.xds.gateways import gateway
from crossmesh.core.mesh.xds.lost import Judgement, Withheld, judge
from crossmesh.core.mesh.xds.nodes import Shared, sidecar
from crossmesh.core.mesh.xds.proxy import ProxyConfig
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """`proxies` by id. `endpoints`: by mesh and name. `sets`: the Cloud Map service of each, by
    name.

    `withheld`: what is rendered in its form before, or not at all (a finding says why).
    """

    proxies: tuple[ProxyConfig, ...] = ()
    endpoints: dict[str, dict[str, Json]] = {}
    sets: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()
    withheld: tuple[Withheld, ...] = ()


def render(
    topology: Topology,
    settings: EnvoySettings,
    *,
    hosts: Mapping[str, Iterable[Host]] | None = None,
    ip_family: str = "ipv4",
    before: Topology | None = None,
) -> Rendered:
    """`topology` has the weights in force. `hosts`: by key of the Cloud Map service
    (`endpoints.hosts`).

    `before`: the topology that was rendered last. What is withheld keeps the form that it has
    there; at first there is none.
    """
    proxies: list[ProxyConfig] = []
    endpoints: dict[str, dict[str, Json]] = {}
    sets: dict[str, str] = {}
    findings: list[Finding] = []
    withheld: set[Withheld] = set()
    former = (
        {mesh.mesh: mesh for mesh in one_mesh.meshes(before, ip_family, settings.plaintext)}
        if before is not None
        else {}
    )
    for mesh in one_mesh.meshes(topology, ip_family, settings.plaintext):
        found = judge(mesh)
        kept, without = _kept(mesh, found, former.get(mesh.mesh))
        proxies += _proxies(kept, without, settings)
        endpoints[mesh.mesh] = assignments(kept, hosts or {})
        sets |= services(kept)
        findings += found.findings
        withheld |= found.withheld
    return Rendered(
        proxies=tuple(sorted(proxies, key=lambda proxy: proxy.id)),
        endpoints=endpoints,
        sets=sets,
        findings=tuple(sorted(set(findings), key=lambda finding: (finding.place, finding.code, finding.message))),
        withheld=tuple(sorted(withheld, key=lambda one: (one.mesh, one.kind, one.name))),
    )


def _kept(mesh: Declared, found: Judgement, former: Declared | None) -> tuple[Declared, set[str]]:
    """The mesh with what is withheld in its form before, and the proxies that have none (as
    kind/name).
    """
    if not found.withheld:
        return mesh, set()
    broken = judge(former).withheld if former is not None else frozenset()
    routers, nodes, gateways = dict(mesh.routers), dict(mesh.nodes), dict(mesh.gateways)
    gateway_routes, without = dict(mesh.gateway_routes), set()
    for one in found.withheld:
        good = former if one not in broken else None
        if one.kind == "VirtualRouter":
            router = routers.pop(one.name)
            if good is not None and one.name in good.routers:
                routers[one.name] = good.routers[one.name]
            else:
                routers[one.name] = msgspec.structs.replace(router, routes=())
        elif one.kind == "VirtualNode" and good is not None and one.name in good.nodes:
            nodes[one.name] = good.nodes[one.name]
        elif one.kind == "VirtualGateway" and good is not None and one.name in good.gateways:
            gateways[one.name] = good.gateways[one.name]
            gateway_routes[one.name] = good.gateway_routes.get(one.name, ())
        else:
            without.add(f"{one.kind}/{one.name}")
    kept = msgspec.structs.replace(mesh, routers=routers, nodes=nodes, gateways=gateways, gateway_routes=gateway_routes)
    return kept, without


def _proxies(mesh: Declared, without: set[str], settings: EnvoySettings) -> Iterable[ProxyConfig]:
    shared = Shared(mesh)
    for node in mesh.nodes.values():
        if f"VirtualNode/{node.aws_name}" not in without:
            yield sidecar(mesh, node, settings, shared)
    for resource in mesh.gateways.values():
        if f"VirtualGateway/{resource.aws_name}" not in without:
            yield gateway(mesh, resource, settings, shared)
