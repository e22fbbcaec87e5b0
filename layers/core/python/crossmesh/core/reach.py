"""Which addresses a diagnosis may ask directly: registered instances inside a cluster's own network, on a declared port, and nothing else. Pure.

Whoever may register an instance chooses an address that we would connect to: without this rule Cloud Map would be a way to make crossmesh ask the
instance metadata service, the loopback interface, or a stranger (server-side request forgery).
"""

import ipaddress
from collections.abc import Iterable

from crossmesh.core import endpoints as ep
from crossmesh.core.topology import VirtualNode
from crossmesh.core.views import Instance

_METADATA = ipaddress.ip_address("fd00:ec2::254")  # EC2's instance metadata over IPv6; over IPv4 it is link-local


def inside(address: str, cidrs: Iterable[str]) -> bool:
    """Whether `address` lies in one of a network's blocks and is neither link-local, metadata, multicast nor unspecified."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return False
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip == _METADATA:
        return False
    return any(ip in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def address_of(instance: Instance) -> str:
    """The address that an instance is registered with, "" = none."""
    return instance.attributes.get(ep.IPV4) or instance.attributes.get(ep.IPV6, "")


def port_of(instance: Instance, nodes: Iterable[VirtualNode]) -> int:
    """The port to ask it on: its own, where a virtual node of its service declares it; 0 = none."""
    declared = {listener.port for node in nodes for listener in node.listeners}
    given = instance.attributes.get(ep.PORT, "")
    return int(given) if given.isdigit() and int(given) in declared else 0


def path_of(nodes: Iterable[VirtualNode], fallback: str) -> str:
    """What to ask for: the health check of the listener where one is declared over HTTP, else `fallback`."""
    for node in nodes:
        for listener in node.spec.get("listeners") or ():
            path = (listener.get("healthCheck") or {}).get("path")
            if path:
                return str(path)
    return fallback
