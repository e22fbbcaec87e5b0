"""What was read of an account: ways into its clusters, subnets, endpoints of VPCs, trails. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

Way = Literal["internet", "vpc", "none"]


class ClusterFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What DescribeCluster says of how a cluster is reached and who is let in."""

    name: str
    eks: str
    region: str
    public: bool
    cidrs: tuple[str, ...] = ()
    private: bool = False
    vpc: str = ""
    subnets: tuple[str, ...] = ()
    group: str = ""
    owner: str | None = None  # the group's tag crossmesh:owner; None = not read
    mode: str = ""
    entries: tuple[str, ...] | None = None  # ARNs of principals with an access entry; None = not read

    @property
    def way(self) -> Way:
        """How functions reach its API. Lambda's public addresses are in no list of CIDR blocks but
        the whole Internet.
        """
        if self.public and _everywhere(self.cidrs):
            return "internet"
        return "vpc" if self.private else "none"


class SubnetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """`public`: its default route is an Internet gateway, through which a function in it gets
    nowhere. `out`: another default route.
    """

    id: str
    vpc: str
    public: bool
    out: bool


class TrailFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A trail that is seen in the Region, and whether it records the writes of Cloud Map there."""

    name: str
    logging: bool
    writes: bool


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of the account, as far as it could be. `endpoints`: VPC -> names of services,
    such as "states". `trails` None: not known.
    """

    clusters: tuple[ClusterFacts, ...] = ()
    subnets: tuple[SubnetFacts, ...] = ()
    endpoints: Mapping[str, tuple[str, ...]] = {}
    trails: tuple[TrailFacts, ...] | None = None
    unread: tuple[str, ...] = ()


def _everywhere(cidrs: Iterable[str]) -> bool:
    """Whether blocks together are the whole of IPv4."""
    try:
        blocks = [
            block
            for one in cidrs
            if isinstance(block := ipaddress.ip_network(one, strict=False), ipaddress.IPv4Network)
        ]
    except ValueError:
        return False
    return any(block.prefixlen == 0 for block in ipaddress.collapse_addresses(blocks))
