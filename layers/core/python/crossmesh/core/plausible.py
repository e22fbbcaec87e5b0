"""Whether a pod is one that its cluster may speak for. A cluster's API is believed in what it says
of its own pods, within these bounds. Pure.

An address that is no unicast address of a pod would lead traffic to the proxy itself, to instance
metadata, or to another cluster. A uid outside its alphabet could make the id of another cluster's
instance.
"""

import ipaddress
import re
from collections.abc import Mapping

from crossmesh.core.observed import Pod
from crossmesh.core.settings import ClusterSettings

# Kubernetes makes UUIDs; without a dot `cluster.uid` is never another pod's id
_UID = re.compile(r"[0-9A-Za-z_-]{1,63}").fullmatch
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"(?:{_BYTE}\.){{3}}{_BYTE}").fullmatch
# IPv4 that a pod may have
_USUAL = re.compile(rf"(?!0\.|127\.|169\.254\.|2(?:2[4-9]|[345][0-9])\.)(?:{_BYTE}\.){{3}}{_BYTE}").fullmatch
_RESERVED6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "fd00:ec2::/32",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::/96",
    )  # AWS's own; those that hold an IPv4 address
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Plausible:
    """The bounds of one cluster: its own networks where the settings name them, else every unicast
    address outside the networks named for others.
    """

    def __init__(self, cluster: str, clusters: Mapping[str, ClusterSettings]) -> None:
        settings = clusters[cluster]
        self._own = _networks(settings.pod_cidrs)
        self._exempt = _networks(settings.exempt)
        self._others = [
            (other.name, network)
            for other in clusters.values()
            if other.name != cluster and not self._own
            for network in _networks(other.pod_cidrs)
        ]

    def doubt(self, pod: Pod) -> str:
        """Why a pod with an address is not believed; "" = it is."""
        if _UID(pod.uid) is None:
            return "its uid is none that Kubernetes makes"
        if not (self._own or self._others or self._exempt):
            return "" if _USUAL(pod.ip) else _unicast(pod.ip)
        try:
            address = ipaddress.ip_address(pod.ip)
        except ValueError:
            return _NO_ADDRESS
        if any(address in network for network in self._exempt):
            return ""
        if self._own and not any(address in network for network in self._own):
            return f"its address {pod.ip} is outside the cluster's pod_cidrs"
        for other, network in self._others:
            if address in network:
                return f"its address {pod.ip} lies in the pod_cidrs of cluster {other}"
        return "" if self._own else _unicast(pod.ip)


_NO_ADDRESS = "its address is none"


def _networks(cidrs: tuple[str, ...]) -> list[_Network]:
    return [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]


def _unicast(ip: str) -> str:
    """Why an address is nobody's; "" = it may be a pod's. IPv4 without `ipaddress`, which takes ten
    times as long.
    """
    if _IPV4(ip):
        return "" if _USUAL(ip) else f"its address {ip} is no unicast address that a pod can have"
    try:
        address = ipaddress.IPv6Address(ip)
    except ValueError:
        return _NO_ADDRESS
    odd = (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_site_local
        or address.is_reserved
    )
    if odd or address.scope_id or address.ipv4_mapped or any(address in block for block in _RESERVED6):
        return f"its address {address} is no unicast address that a pod can have"
    return ""
