"""What is published, as docs/reference/snapshots.md has it: a pointer, a root, and parts that hold
proxies or endpoints.

Every object is named by the SHA-256 of its JSON. An object is taken only if it has that digest, a
known format and a bounded size.
"""

import hashlib
import re
import zlib
from typing import Any, TypeVar

import msgspec

FORMATS = (1,)  # that this server reads: the newest and the one before
STORED_LIMIT = 8 << 20  # bytes of one object as it is stored
OBJECT_LIMIT = 64 << 20  # bytes of one object's JSON
PARTS_LIMIT = 1_024  # parts of one root
PROXIES_LIMIT = 5_000
ENDPOINT_SETS_LIMIT = 20_000

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINEAGE = re.compile(r"[0-9a-f]{32}")
_GZIP = 31  # zlib's window bits for gzip

T = TypeVar("T")


class Unusable(ValueError):
    """What was read is not what the format allows; the message says why. It is never served."""


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """Which snapshot is in force."""

    lineage: str
    epoch: int
    number: int
    root: str


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    """The lineage that another one follows, with its last number."""

    lineage: str
    number: int


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that the predecessor had, and why it is gone: the planner's reason."""

    endpoints: str  # name of the set
    address: str
    reason: str


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """All endpoint sets of the mesh. `number`: in which one of them last changed."""

    number: int
    parts: tuple[str, ...] = ()


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot: where its proxies and endpoints are, and what left."""

    format: int
    lineage: str
    epoch: int
    number: int
    proxies: tuple[str, ...]
    endpoints: Endpoints
    parent: Parent | None = None
    predecessor: str = ""
    left: tuple[Left, ...] = ()
    # Hashes of resources that go out again though Envoys refused them
    released: tuple[str, ...] = ()


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask for a proxy. Without `accounts`: every service account of the namespaces."""

    cluster: str
    namespaces: tuple[str, ...]
    accounts: tuple[str, ...] = ()


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of one type in Envoy's JSON. `number`: in which this content first appeared."""

    number: int
    resources: tuple[msgspec.Raw, ...] = ()


class PublishedProxy(msgspec.Struct, frozen=True, kw_only=True):
    """What the Envoys of one virtual node or gateway get."""

    allowed: tuple[Allowed, ...]
    clusters: Resources
    listeners: Resources
    routes: Resources


class ProxiesPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the proxies by their id."""

    format: int
    proxies: dict[str, PublishedProxy]


class EndpointsPart(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the endpoint sets by name: a ClusterLoadAssignment each, in Envoy's JSON."""

    format: int
    endpoints: dict[str, msgspec.Raw]


def digest_of(data: bytes) -> str:
    """The name of an object with this JSON."""
    return hashlib.sha256(data).hexdigest()


def read_pointer(item: dict[str, Any]) -> Pointer:
    """The pointer from the plain values of its item. Raises Unusable."""
    try:
        found = msgspec.convert(
            {key: item.get(key) for key in ("lineage", "epoch", "number", "root")}, Pointer, strict=True
        )
    except msgspec.ValidationError as error:
        raise Unusable(f"the pointer: {error}") from error
    if not _LINEAGE.fullmatch(found.lineage):
        raise Unusable("the pointer: the lineage must be 32 hexadecimal digits")
    if not _DIGEST.fullmatch(found.root):
        raise Unusable("the pointer: the root must be 64 hexadecimal digits")
    if found.epoch < 0 or found.number < 1:
        raise Unusable(f"the pointer: epoch {found.epoch} and number {found.number}")
    return found


def opened(digest: str, stored: bytes) -> bytes:
    """The JSON of a stored object, if it is the one that `digest` names. Raises Unusable."""
    if len(stored) > STORED_LIMIT:
        raise Unusable(f"object {digest}: more than {STORED_LIMIT} bytes stored")
    inflate = zlib.decompressobj(_GZIP)
    try:
        data = inflate.decompress(stored, OBJECT_LIMIT + 1)
    except zlib.error as error:
        raise Unusable(f"object {digest}: {error}") from error
    if len(data) > OBJECT_LIMIT:
        raise Unusable(f"object {digest}: more than {OBJECT_LIMIT} bytes of JSON")
    if not inflate.eof:
        raise Unusable(f"object {digest}: cut")
    if digest_of(data) != digest:
        raise Unusable(f"object {digest}: its content has the digest {digest_of(data)}")
    return data


def read_root(pointer: Pointer, stored: bytes) -> Root:
    """The root that a pointer names, if it says the same as the pointer. Raises Unusable."""
    root = _decoded(pointer.root, stored, Root)
    for field in ("lineage", "epoch", "number"):
        if getattr(root, field) != getattr(pointer, field):
            raise Unusable(
                f"root {pointer.root}: {field} {getattr(root, field)}, but the pointer says {getattr(pointer, field)}"
            )
    parts = (*root.proxies, *root.endpoints.parts)
    if len(parts) > PARTS_LIMIT:
        raise Unusable(f"root {pointer.root}: {len(parts)} parts, more than {PARTS_LIMIT}")
    wrong = [part for part in parts if not _DIGEST.fullmatch(part)]
    if wrong or len(set(parts)) != len(parts):
        raise Unusable(f"root {pointer.root}: parts must be different digests")
    if root.endpoints.number > root.number:
        raise Unusable(f"root {pointer.root}: endpoints of number {root.endpoints.number}, after its own")
    return root


def read_proxies(root: Root, digest: str, stored: bytes) -> dict[str, PublishedProxy]:
    """The proxies of a part. Raises Unusable."""
    part = _decoded(digest, stored, ProxiesPart)
    for name, proxy in part.proxies.items():
        for kind in (proxy.clusters, proxy.listeners, proxy.routes):
            if not 1 <= kind.number <= root.number:
                raise Unusable(f"object {digest}: {name} has content of number {kind.number} in snapshot {root.number}")
    return part.proxies


def read_endpoints(digest: str, stored: bytes) -> dict[str, msgspec.Raw]:
    """The endpoint sets of a part. Raises Unusable."""
    return _decoded(digest, stored, EndpointsPart).endpoints


def _decoded(digest: str, stored: bytes, kind: type[T]) -> T:
    data = opened(digest, stored)
    try:
        found_format = msgspec.json.decode(data, type=_Formatted).format
        if found_format not in FORMATS:
            raise Unusable(f"object {digest}: format {found_format}; this server reads {', '.join(map(str, FORMATS))}")
        return msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Unusable(f"object {digest}: {error}") from error


class _Formatted(msgspec.Struct, frozen=True):
    format: int
