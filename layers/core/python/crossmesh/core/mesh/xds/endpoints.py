"""The endpoints of virtual nodes as Envoy's load assignments, mesh-wide: one for each node and
port, whoever asks. Pure.

They follow the endpoint decision, never a count: what it does not let go stays. A node has every
instance of its Cloud Map service that carries its attributes, whose ever it is, as App Mesh
filtered them.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.declared import Declared, Preference, listeners
from crossmesh.core.mesh.xds.defaults import ENDPOINTS, Json
from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.decision import EndpointDecision, by_service
from crossmesh.core.topology import VirtualNode

REGION, ZONE = "REGION", "AVAILABILITY_ZONE"
_Zone = tuple[str, str]


class Host(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An instance that may be asked."""

    id: str
    address: str
    attributes: dict[str, str]
    healthy: bool = True


def hosts(
    decision: EndpointDecision, in_force: Mapping[str, Iterable[Instance]], unhealthy: Collection[tuple[str, str]] = ()
) -> dict[str, list[Host]]:
    """The hosts of each Cloud Map service by its key: what is ready, and what is in force and may
    not go.

    `in_force`: instances by service's key as last seen, foreign ones too. `unhealthy`: (service's
    key, id) of those that were so, and that no view tells more of.
    """
    fates = by_service(decision.decided)
    found: dict[str, list[Host]] = {}
    seen: dict[str, set[str]] = {}
    for endpoint in decision.endpoints:
        decided = fates.get(endpoint.key, {}).get(endpoint.id) if fates else None
        if decided is None or decided.fate != "may-go":
            host = Host(
                id=endpoint.id, address=endpoint.address, attributes=endpoint.attributes, healthy=decided is None
            )
            found.setdefault(endpoint.key, []).append(host)
        seen.setdefault(endpoint.key, set()).add(endpoint.id)
    for key, instances in in_force.items():
        known, decisions = seen.get(key, set()), fates.get(key, {})
        for instance in instances:
            decided = decisions.get(instance.id)
            if instance.id in known or (decided is not None and decided.fate == "may-go"):
                continue
            outliers = (decided is not None and decided.fate == "unhealthy") or (key, instance.id) in unhealthy
            host = Host(
                id=instance.id, address=ep.address_of(instance), attributes=instance.attributes, healthy=not outliers
            )
            found.setdefault(key, []).append(host)
    return found


def assignments(declared: Declared, found: Mapping[str, Iterable[Host]]) -> dict[str, Json]:
    """The load assignments of a mesh's nodes in Cloud Map, by name. A node without a host has an
    empty one.
    """
    made: dict[str, Json] = {}
    for node in declared.nodes.values():
        if node.cloud_map is not None:
            zones = _zones(node, found.get(node.cloud_map.key, ()), declared.preference)
            made |= {name: _assignment(name, port, zones) for name, port in _ports(declared, node)}
    return made


def services(declared: Declared) -> dict[str, str]:
    """The key of the Cloud Map service of each load assignment, by name."""
    return {
        name: node.cloud_map.key
        for node in declared.nodes.values()
        if node.cloud_map is not None
        for name, _ in _ports(declared, node)
    }


def _ports(declared: Declared, node: VirtualNode) -> list[tuple[str, int]]:
    """(name of the load assignment, port) of each port of a node."""
    ports = [listener["portMapping"] for listener in listeners(node.spec)]
    return [
        (names.egress_cluster(declared.mesh, node.aws_name, port["protocol"], port["port"]), port["port"])
        for port in ports
    ]


def _zones(
    node: VirtualNode, found: Iterable[Host], preference: Preference
) -> list[tuple[_Zone, list[tuple[str, str, bool]]]]:
    """(address, id, healthy) of a node's hosts by (region, zone), all in a fixed order. Addresses
    of a family that the mesh does not use are left out, and of two at one address the second.
    """
    assert node.cloud_map is not None
    wanted, taken = node.cloud_map.attributes, set[str]()
    zones: dict[_Zone, list[tuple[str, str, bool]]] = {}
    for host in found:
        attributes = host.attributes
        if (
            not host.address
            or host.address in taken
            or (preference and (":" in host.address) != (preference == "IPv6_ONLY"))
        ):
            continue
        if all(attributes.get(key) == value for key, value in wanted):
            taken.add(host.address)
            where = (attributes.get(REGION, ""), attributes.get(ZONE, ""))
            zones.setdefault(where, []).append((host.address, host.id, host.healthy))
    return [(zone, sorted(zones[zone])) for zone in sorted(zones)]


def _assignment(name: str, port: int, zones: list[tuple[_Zone, list[tuple[str, str, bool]]]]) -> Json:
    made: Json = {"@type": ENDPOINTS, "cluster_name": name}
    if zones:
        made["endpoints"] = [
            {
                **({"locality": {"region": region, "zone": zone}} if region or zone else {}),
                "lb_endpoints": [
                    {
                        "endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}},
                        "health_status": "HEALTHY" if healthy else "UNHEALTHY",
                    }
                    for address, _, healthy in hosts_there
                ],
            }
            for (region, zone), hosts_there in zones
        ]
    return made
