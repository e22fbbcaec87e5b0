"""A snapshot: everything the proxies should have at one moment, as the objects, root and pointer of
docs/reference/snapshots.md. Pure.

The same inputs give the same bytes. An endpoint of the predecessor leaves only for a reason. Each
part carries the lineage and the number that it was first written for, so an object that was dropped
never comes back under its old name: `sweep` depends on that.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from crossmesh.core.mesh.xds.defaults import Json
from crossmesh.core.mesh.xds.endpoints import Host
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.mesh.xds.proxy import ProxyConfig
from crossmesh.core.mesh.xds.render import Rendered
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import Topology

FORMAT = 1
PROXIES_LIMIT, SETS_LIMIT = 5_000, 20_000  # more than that no server takes
OBJECT_LIMIT = 8 << 20  # bytes of an object's JSON; servers take more
# A pod's change writes one part, and a new server reads few of them
_PER_PART, _MOST_PARTS = 8, 128

T = TypeVar("T")


class Unpublishable(ValueError):
    """A snapshot that must not be published; the message says why."""


class Allowed(msgspec.Struct, frozen=True, kw_only=True):
    """Who may ask for a proxy. No `accounts`: every ServiceAccount of the namespaces."""

    cluster: str
    namespaces: tuple[str, ...]
    accounts: tuple[str, ...] = ()


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that the predecessor had and this snapshot lacks. `endpoints`: the name of its
    set.
    """

    endpoints: str
    address: str
    reason: str


class EndpointParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that hold endpoint sets. `number`: the snapshot in which a set last changed."""

    number: int
    parts: tuple[str, ...] = ()


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """Names the parts of a snapshot. Servers do not read `hosts` and `declared`."""

    format: int
    lineage: str
    epoch: int
    number: int
    predecessor: str = ""
    proxies: tuple[str, ...] = ()
    endpoints: EndpointParts
    hosts: tuple[str, ...] = ()
    declared: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """Every object that it names."""
        return (*self.proxies, *self.endpoints.parts, *self.hosts, *self.declared)


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """Resources of one type, as JSON. `number`: the snapshot in which this content first
    appeared.
    """

    number: int
    resources: msgspec.Raw


class PublishedProxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy as it is published."""

    allowed: tuple[Allowed, ...]
    clusters: Numbered
    listeners: Numbered
    routes: Numbered


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    lineage: str
    number: int  # of the snapshot that it was first written for


class ProxiesPart(_Part, frozen=True, kw_only=True):
    """Some of the proxies by id."""

    proxies: dict[str, PublishedProxy]


class EndpointsPart(_Part, frozen=True, kw_only=True):
    """Some of the endpoint sets by name."""

    endpoints: dict[str, msgspec.Raw]


class HostsPart(_Part, frozen=True, kw_only=True):
    """Which instance each endpoint is, by key of the Cloud Map service; `sets`: the service of each
    endpoint set, by name.
    """

    hosts: dict[str, tuple[Host, ...]]
    sets: dict[str, str]


class DeclaredPart(_Part, frozen=True, kw_only=True):
    """What the snapshot was rendered from, with the weights that were in force."""

    topology: Topology


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot is made of. `hosts`: those that `rendered` has, by key of the Cloud Map
    service. `allowed`: by proxy id. `topology`: what was rendered.

    `reasons`: by (service's key, instance id), why an instance may go.
    """

    rendered: Rendered
    hosts: Mapping[str, Iterable[Host]]
    allowed: Mapping[str, tuple[Allowed, ...]]
    topology: Topology = Topology()
    reasons: Mapping[tuple[str, str], str] = {}


class PublishedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that was read back. `known`: the digest of each part by its content."""

    pointer: Pointer
    root: Root
    proxies: dict[str, PublishedProxy] = {}
    endpoints: dict[str, msgspec.Raw] = {}
    hosts: dict[str, tuple[Host, ...]] = {}
    sets: dict[str, str] = {}
    declared: Topology = Topology()
    known: dict[str, str] = {}


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """What is written, in this order: `parts` by digest, `root` under the pointer's digest,
    `pointer`.
    """

    parts: dict[str, bytes]
    root: bytes
    pointer: Pointer
    left: tuple[Left, ...] = ()


def digest(data: bytes) -> str:
    """The name of an object."""
    return hashlib.sha256(data).hexdigest()


def reasons(decision: EndpointDecision) -> dict[tuple[str, str], str]:
    """Why each instance may go, by (service's key, id)."""
    return {(one.service, one.id): f"{one.why}: {one.reason}" for one in decision.decided if one.fate == "may-go"}


def allowed(proxies: Iterable[ProxyConfig], clusters: Iterable[ClusterSettings]) -> dict[str, tuple[Allowed, ...]]:
    """Who may ask for each proxy: pods of its document's namespace, in the clusters whose pods may
    back it.
    """
    clusters = sorted(clusters, key=lambda cluster: cluster.name)
    return {
        proxy.id: tuple(
            Allowed(cluster=cluster.name, namespaces=(proxy.key.partition("/")[0],))
            for cluster in clusters
            if proxy.kind != "VirtualNode" or cluster.nodes is None or proxy.key in cluster.nodes
        )
        for proxy in proxies
    }


def read_root(pointer: Pointer, data: bytes) -> Root:
    """The root that a pointer names. Raises Unpublishable: nothing may follow what cannot be
    read.
    """
    root = read(pointer.root, data, Root)
    if (root.lineage, root.epoch, root.number) != (pointer.lineage, pointer.epoch, pointer.number):
        raise Unpublishable(f"root {pointer.root} is of another lineage, epoch or number than the pointer says")
    return root


def in_force(pointer: Pointer, root: Root, parts: Mapping[str, bytes]) -> PublishedSnapshot:
    """The snapshot in force from its parts by digest. Raises Unpublishable."""
    proxies: dict[str, PublishedProxy] = {}
    endpoints: dict[str, msgspec.Raw] = {}
    hosts: dict[str, tuple[Host, ...]] = {}
    sets: dict[str, str] = {}
    known: dict[str, str] = {}
    declared = Topology()
    for name in root.proxies:
        some = read(name, parts[name], ProxiesPart)
        proxies |= some.proxies
        known[_content(some)] = name
    for name in root.endpoints.parts:
        found = read(name, parts[name], EndpointsPart)
        endpoints |= found.endpoints
        known[_content(found)] = name
    for name in root.hosts:
        held = read(name, parts[name], HostsPart)
        hosts |= held.hosts
        sets |= held.sets
        known[_content(held)] = name
    for name in root.declared:
        written = read(name, parts[name], DeclaredPart)
        declared = written.topology
        known[_content(written)] = name
    return PublishedSnapshot(
        pointer=pointer,
        root=root,
        proxies=proxies,
        endpoints=endpoints,
        hosts=hosts,
        sets=sets,
        declared=declared,
        known=known,
    )


def following(content: Content, before: PublishedSnapshot | None, *, lineage: str, epoch: int) -> Publication | None:
    """The snapshot after `before`, None = nothing changed. `lineage`: of the first one; later ones
    keep theirs. Raises Unpublishable.
    """
    number = before.pointer.number + 1 if before else 1
    lineage = before.pointer.lineage if before else lineage
    endpoints = _sets(content.rendered)
    hosts = {
        key: tuple(sorted(some, key=lambda host: (host.id, host.address)))
        for key, some in content.hosts.items()
        if some
    }
    if len(content.rendered.proxies) > PROXIES_LIMIT or len(endpoints) > SETS_LIMIT:
        raise Unpublishable(
            f"{len(content.rendered.proxies)} proxies and {len(endpoints)} endpoint sets: no server takes so many"
        )
    writer = _Writer(lineage, number, before.known if before else {})
    proxies = {proxy.id: _proxy(proxy, content, before, number) for proxy in content.rendered.proxies}
    same = before is not None and endpoints == before.endpoints
    root = Root(
        format=FORMAT,
        lineage=lineage,
        epoch=epoch,
        number=number,
        predecessor=before.pointer.root if before else "",
        proxies=writer.parts(proxies, lambda some: ProxiesPart(**writer.head, proxies=some)),
        endpoints=EndpointParts(
            number=before.root.endpoints.number if same and before else number,
            parts=writer.parts(endpoints, lambda some: EndpointsPart(**writer.head, endpoints=some), _node),
        ),
        hosts=writer.parts(_by_service(hosts, content.rendered.sets), lambda some: _hosts_part(writer, some)),
        declared=(writer.named(DeclaredPart(**writer.head, topology=content.topology)),),
        left=_left(content, endpoints, hosts, before) if before else (),
    )
    if before is not None and root.parts == before.root.parts:
        return None
    data = _bounded(encoded(root))
    pointer = Pointer(lineage=lineage, epoch=epoch, number=number, root=digest(data))
    return Publication(parts=writer.written, root=data, pointer=pointer, left=root.left)


def stamped(made: Publication, epoch: int) -> Publication:
    """The same under the epoch of the run that writes it. No part names one."""
    root = encoded(msgspec.structs.replace(msgspec.json.decode(made.root, type=Root), epoch=epoch))
    pointer = msgspec.structs.replace(made.pointer, epoch=epoch, root=digest(root))
    return msgspec.structs.replace(made, root=root, pointer=pointer)


def _sets(rendered: Rendered) -> dict[str, msgspec.Raw]:
    found: dict[str, msgspec.Raw] = {}
    for sets in rendered.endpoints.values():
        for name, made in sets.items():
            if name in found:
                raise Unpublishable(f"two meshes have endpoints with the name {name}: rename a mesh or a virtual node")
            found[name] = msgspec.Raw(encoded(made))
    return found


def _proxy(proxy: ProxyConfig, content: Content, before: PublishedSnapshot | None, number: int) -> PublishedProxy:
    former = before.proxies.get(proxy.id) if before else None

    def numbered(made: tuple[Json, ...], was: Numbered | None) -> Numbered:
        data = encoded(made)
        return (
            was
            if was is not None and bytes(was.resources) == data
            else Numbered(number=number, resources=msgspec.Raw(data))
        )

    return PublishedProxy(
        allowed=content.allowed.get(proxy.id, ()),
        clusters=numbered(proxy.clusters, former.clusters if former else None),
        listeners=numbered(proxy.listeners, former.listeners if former else None),
        routes=numbered(proxy.routes, former.routes if former else None),
    )


def _by_service(
    hosts: Mapping[str, tuple[Host, ...]], sets: Mapping[str, str]
) -> dict[str, tuple[tuple[Host, ...], tuple[str, ...]]]:
    """(hosts, names of endpoint sets) by service's key."""
    names: dict[str, list[str]] = {}
    for name, key in sets.items():
        names.setdefault(key, []).append(name)
    return {key: (hosts.get(key, ()), tuple(names.get(key, ()))) for key in sorted(hosts.keys() | names.keys())}


def _hosts_part(writer: "_Writer", some: Mapping[str, tuple[tuple[Host, ...], tuple[str, ...]]]) -> HostsPart:
    held = {key: hosts for key, (hosts, _) in some.items() if hosts}
    return HostsPart(**writer.head, hosts=held, sets={name: key for key, (_, names) in some.items() for name in names})


def _left(
    content: Content,
    endpoints: Mapping[str, msgspec.Raw],
    hosts: Mapping[str, tuple[Host, ...]],
    before: PublishedSnapshot,
) -> tuple[Left, ...]:
    """Each endpoint that is gone, with its reason. Raises Unpublishable where one has none."""
    left: list[Left] = []
    unexplained: list[str] = []
    for name, was in sorted(before.endpoints.items()):
        now = endpoints.get(name)
        if now is not None and bytes(now) == bytes(was):
            continue
        for address in sorted(_addresses(was) - (_addresses(now) if now is not None else set())):
            reason = _reason(name, address, content, hosts, before)
            if reason:
                left.append(Left(endpoints=name, address=address, reason=reason))
            else:
                unexplained.append(f"{address} of {name}")
    if unexplained:
        more = f" and {len(unexplained) - 3} more" if len(unexplained) > 3 else ""
        raise Unpublishable(f"no decision lets these endpoints go: {', '.join(unexplained[:3])}{more}")
    return tuple(left)


def _reason(
    name: str, address: str, content: Content, hosts: Mapping[str, tuple[Host, ...]], before: PublishedSnapshot
) -> str:
    """Why an endpoint is gone; "" where one of the instances behind it has no reason."""
    key = before.sets.get(name, "")
    found = [_fate(key, host, name, content, hosts) for host in before.hosts.get(key, ()) if host.address == address]
    return found[0] if found and all(found) else ""


def _fate(key: str, host: Host, name: str, content: Content, hosts: Mapping[str, tuple[Host, ...]]) -> str:
    if reason := content.reasons.get((key, host.id)):
        return reason
    now = next((one for one in hosts.get(key, ()) if one.id == host.id), None)
    if now is not None and now.address != host.address:
        return f"moved: instance {host.id} has the address {now.address or 'none'} now"
    if now is not None:
        return f"undeclared: instance {host.id} lives; the manifests no longer ask for it under this name"
    service = content.rendered.sets.get(name, key)
    if service != key and any(one.id == host.id for one in hosts.get(service, ())):
        return f"undeclared: instance {host.id} is in {service} now"
    return ""


def _addresses(made: msgspec.Raw) -> set[str]:
    found: dict[str, Any] = msgspec.json.decode(made)
    return {
        host["endpoint"]["address"]["socket_address"]["address"]
        for zone in found.get("endpoints", ())
        for host in zone.get("lb_endpoints", ())
    }


def _node(name: str) -> str:
    """The virtual node's part of an endpoint set's name: its ports are in one part."""
    return name.rsplit("_", 2)[0]


class _Writer:
    """Puts values into parts by the hash of their names, and keeps what is new. A part whose
    content is known keeps its name.
    """

    def __init__(self, lineage: str, number: int, known: Mapping[str, str]) -> None:
        self.head: dict[str, Any] = {"format": FORMAT, "lineage": lineage, "number": number}
        self.written: dict[str, bytes] = {}
        self._known = known

    def parts(self, values: Mapping[str, T], made: Any, place: Any = str) -> tuple[str, ...]:
        """The digests of the parts, in a fixed order."""
        count = 1
        while count < _MOST_PARTS and count * _PER_PART < len(values):
            count *= 2
        buckets: dict[int, dict[str, T]] = {}
        for name in sorted(values):
            where = int.from_bytes(hashlib.sha256(place(name).encode()).digest()[:4], "big") % count
            buckets.setdefault(where, {})[name] = values[name]
        return tuple(self.named(made(buckets[where])) for where in sorted(buckets))

    def named(self, part: _Part) -> str:
        """The digest of one part."""
        known = self._known.get(_content(part))
        if known is not None:
            return known
        data = _bounded(encoded(part))
        self.written[digest(data)] = data
        return digest(data)


def _content(part: _Part) -> str:
    """A digest of what a part holds, whenever it was written."""
    return digest(encoded(msgspec.structs.replace(part, number=0)))


def encoded(value: Any) -> bytes:
    """A value as objects hold it."""
    return msgspec.json.encode(value, order="sorted")


def _bounded(data: bytes) -> bytes:
    if len(data) > OBJECT_LIMIT:
        raise Unpublishable(f"an object of {len(data)} bytes; servers take {OBJECT_LIMIT}")
    return data


def read(name: str, data: bytes, kind: type[T]) -> T:
    """An object by its digest. Raises Unpublishable."""
    if digest(data) != name:
        raise Unpublishable(f"object {name} holds something else")
    try:
        found = msgspec.json.decode(data, type=kind)
    except msgspec.MsgspecError as error:
        raise Unpublishable(f"object {name}: {error}") from error
    if getattr(found, "format", 0) != FORMAT:
        raise Unpublishable(f"object {name} has another format than {FORMAT}")
    return found
