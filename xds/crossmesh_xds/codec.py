"""Envoy's JSON to the bytes that Envoy reads, and its requests. The message types come from
descriptors in a file, not from generated code.
"""

import gzip
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory

from .mesh import Kind, Resource
from .published import Unusable, digest_of

DESCRIPTORS = Path(__file__).parent / "envoy.binpb.gz"
DISCOVERY = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_NAMED_BY = {Kind.ENDPOINTS: "cluster_name"}  # the others have a name
_KINDS = {kind.value: kind for kind in Kind}
# Fields of DiscoveryResponse with their lengths before them
_VERSION, _RESOURCE, _TYPE, _NONCE, _CONTROL = 0x0A, 0x12, 0x22, 0x2A, 0x32


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it came. `kind` is None for types that are not served."""

    kind: Kind | None
    version: str
    nonce: str
    names: tuple[str, ...]
    error: str
    node: str  # "" in all but the first
    minor: str  # of Envoy: 1.40


@cache
def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(gzip.decompress(DESCRIPTORS.read_bytes())).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def _type(name: str) -> Any:
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def resource(kind: Kind, raw: bytes, clusters: Iterable[str] = ()) -> Resource:
    """A resource from its JSON. `clusters` are those of the same proxy, to know which of them it
    names. Raises Unusable.
    """
    try:
        value = msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise Unusable(f"a {kind.name.lower()} resource: {error}") from error
    if value.get("@type", kind.value) != kind.value:
        raise Unusable(f"a {value['@type']} among the {kind.name.lower()}")
    name = value.get(_NAMED_BY.get(kind, "name"))
    if not isinstance(name, str) or not name:
        raise Unusable(f"one of the {kind.name.lower()} has no name")
    uses = frozenset(_texts(value)).intersection(clusters) if kind in (Kind.LISTENERS, Kind.ROUTES) else frozenset()
    return Resource(
        name=name,
        hash=digest_of(raw)[:16],
        body=_body(kind, name, value),
        uses=uses,
        endpoints=_set_of(kind, name, value),
    )


def empty(name: str) -> Resource:
    """An endpoint set without endpoints."""
    return Resource(name=name, hash="empty", body=_body(Kind.ENDPOINTS, name, {"cluster_name": name}))


def response(kind: Kind, version: str, nonce: str, resources: Iterable[Resource], server: str = "") -> bytes:
    """A DiscoveryResponse. The bodies are joined as they are: a thousand streams share them."""
    control = _field(0x0A, server.encode())
    tail = (
        _field(_TYPE, kind.value.encode()),
        _field(_NONCE, nonce.encode()),
        _field(_CONTROL, control) if server else b"",
    )
    return b"".join((_field(_VERSION, version.encode()), *(one.body for one in resources), *tail))


def request(data: bytes) -> Asked:
    """A DiscoveryRequest. Raises Unusable."""
    try:
        said = _type("envoy.service.discovery.v3.DiscoveryRequest").FromString(data)
    except message.DecodeError as error:
        raise Unusable(f"no discovery request: {error}") from error
    version = said.node.user_agent_build_version.version
    return Asked(
        kind=_KINDS.get(said.type_url),
        version=said.version_info,
        nonce=said.response_nonce,
        names=tuple(said.resource_names),
        error=said.error_detail.message[:2_000] or ("refused" if said.HasField("error_detail") else ""),
        node=said.node.id,
        minor=f"{version.major_number}.{version.minor_number}",
    )


def _body(kind: Kind, name: str, value: Mapping[str, Any]) -> bytes:
    try:
        whole = json_format.ParseDict(
            {**value, "@type": kind.value}, _type("google.protobuf.Any")(), descriptor_pool=_pool()
        )
    except (json_format.ParseError, TypeError) as error:
        raise Unusable(f"{kind.name.lower()} {name}: {error}") from error
    return _field(_RESOURCE, whole.SerializeToString(deterministic=True))


def _set_of(kind: Kind, name: str, value: Mapping[str, Any]) -> str:
    if kind is not Kind.CLUSTERS or value.get("type") != "EDS":
        return ""
    given = value.get("eds_cluster_config", {}).get("service_name", "")
    return str(given or name)


def _texts(value: Any) -> Iterable[str]:
    """Every text in it, keys aside: whatever names a cluster is among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _field(tag: int, data: bytes) -> bytes:
    length, size = bytearray(), len(data)
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return bytes((tag, *length)) + data
