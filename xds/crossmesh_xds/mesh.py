"""A snapshot as it is served: resources as Envoy gets them, with the names that their order goes
by. Pure values.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum

import msgspec

from .published import Allowed, Pointer


class Kind(Enum):
    """The types that are served, in the order in which they are sent."""

    CLUSTERS = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
    ENDPOINTS = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
    LISTENERS = "type.googleapis.com/envoy.config.listener.v3.Listener"
    ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

    __hash__ = object.__hash__  # the enum's own one is slow, and keys by kind are looked up in every step


ROLLED_OUT = (Kind.CLUSTERS, Kind.LISTENERS, Kind.ROUTES)  # by steps; endpoints go to all at once


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource. `body` is its field of a response, ready to be sent and shared by all
    streams.
    """

    name: str
    hash: str
    body: bytes = b""
    uses: frozenset[str] = frozenset()  # clusters of the same proxy that a listener or route names
    endpoints: str = ""  # the endpoint set that a cluster asks for


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """All resources of one type for one proxy."""

    number: int
    resources: Mapping[str, Resource]


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """What the Envoys of one virtual node or gateway get, endpoints apart."""

    allowed: tuple[Allowed, ...]
    contents: Mapping[Kind, Content]

    @property
    def numbers(self) -> tuple[int, ...]:
        """What tells one state of a proxy from another."""
        return tuple(self.contents[kind].number for kind in ROLLED_OUT)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that is served."""

    pointer: Pointer
    proxies: Mapping[str, Proxy]
    endpoints: Mapping[str, Resource]
    endpoints_number: int
    released: frozenset[str] = frozenset()


def set_hash(resources: Mapping[str, Resource]) -> str:
    """The same for the same names and contents, on every replica."""
    text = "\n".join(f"{name}\t{resources[name].hash}" for name in sorted(resources))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def number_of(version: str) -> int:
    """The number in a version that an Envoy presents; 0 where there is none, or where it is not one
    of ours.
    """
    number, _, _ = version.partition(".")
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 19 else 0
