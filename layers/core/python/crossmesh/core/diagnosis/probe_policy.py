"""Which addresses crossmesh may connect to. Pure.

Whoever registers an instance, or answers for a front's name, chooses an address that crossmesh
would connect to. Without these rules that person could make crossmesh ask the instance metadata
service, the loopback interface or a stranger (server-side request forgery).

A diagnosis asks registered instances inside a cluster's own network, on a declared port. The prober
asks unicast addresses that a front may have.
"""

import ipaddress
from collections.abc import Iterable

from crossmesh.core.observed import Instance
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.topology import VirtualNode

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# EC2's instance metadata over IPv6; over IPv4 it is link-local
_METADATA = ipaddress.ip_address("fd00:ec2::254")
# Instance metadata, resolver, time, Pod Identity's agent
_AMAZON = ipaddress.ip_network("fd00:ec2::/32")
# IETF protocol assignments (RFC 6890); Python's versions differ about parts of it
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")
# Where internal load balancers stand: RFC 1918, 6598, 2544 (EKS names 100.64.0.0/10 and
# 198.19.0.0/16 for pods), 4193
_INTERNAL = tuple(
    map(
        ipaddress.ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "fc00::/7"),
    )
)
_GLOBAL = ipaddress.ip_network("2000::/3")  # all global unicast of IPv6 (IANA)
# IPv6 networks whose addresses carry an IPv4 address, and how many bits to the right of it (RFC
# 4291, 6052, 8215, 3056)
_EMBEDDING = (
    (ipaddress.ip_network("::ffff:0:0/96"), 0),
    (ipaddress.ip_network("::ffff:0:0:0/96"), 0),
    (ipaddress.ip_network("::/96"), 0),
    (ipaddress.ip_network("64:ff9b::/96"), 0),
    (ipaddress.ip_network("64:ff9b:1::/48"), 0),
    (ipaddress.ip_network("2002::/16"), 80),
)


def unwrapped(address: str) -> Address:
    """The address that is meant: the IPv4 address inside an IPv6 one that carries it. Raises
    ValueError for what is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and int(ip) > 1:  # :: and ::1 carry none
        for network, right in _EMBEDDING:
            if ip in network:
                return ipaddress.IPv4Address(int(ip) >> right & 0xFFFF_FFFF)
    return ip


def is_internal(address: str) -> bool:
    """Whether it is an address of a private network. Raises ValueError for what is no address."""
    ip = unwrapped(address)
    return any(ip.version == network.version and ip in network for network in _INTERNAL)


def probeable(address: str, also: Iterable[str] = ()) -> bool:
    """Whether a front may have this address: one of the Internet or of a private network, and never
    one of this machine or of AWS's own services.

    `also`: further blocks that are allowed as they are. Raises ValueError for what is no address.
    """
    ip = unwrapped(address)
    if any(ip.version == (block := ipaddress.ip_network(cidr, strict=False)).version and ip in block for cidr in also):
        return True
    if ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local or ip in _AMAZON or ip in _PROTOCOLS:
        return False
    return is_internal(str(ip)) or (ip.is_global and not ip.is_reserved and (ip.version == 4 or ip in _GLOBAL))


def inside(address: str, cidrs: Iterable[str]) -> bool:
    """Whether `address` lies in one of a network's blocks and is neither link-local, metadata,
    multicast nor unspecified.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        return False
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified or ip == _METADATA:
        return False
    return any(ip in ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)


def port_of(instance: Instance, nodes: Iterable[VirtualNode]) -> int:
    """The port to ask it on: its own, where a virtual node of its service declares it; 0 = none."""
    declared = {listener.port for node in nodes for listener in node.listeners}
    given = instance.attributes.get(ep.PORT, "")
    return int(given) if given.isdigit() and int(given) in declared else 0


def path_of(nodes: Iterable[VirtualNode], fallback: str) -> str:
    """What to ask for: the health check of the listener where one is declared over HTTP, else
    `fallback`.
    """
    for node in nodes:
        for listener in node.spec.get("listeners") or ():
            path = (listener.get("healthCheck") or {}).get("path")
            if path:
                return str(path)
    return fallback
