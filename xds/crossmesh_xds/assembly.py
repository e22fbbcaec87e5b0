"""From the objects of a snapshot to what is served. Nothing is served unless all of it could be
read. Pure, but for the conversion.
"""

from collections.abc import Iterable, Mapping

import msgspec

from . import codec
from .mesh import Content, Kind, Proxy, Resource, Snapshot
from .published import ENDPOINT_SETS_LIMIT, PROXIES_LIMIT, Pointer, PublishedProxy, Resources, Root, Unusable, digest_of


class Workshop:
    """Makes snapshots, and converts a resource again only where it changed since the snapshot
    before.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Resource] = {}

    def snapshot(
        self,
        pointer: Pointer,
        root: Root,
        proxies: Mapping[str, PublishedProxy],
        endpoints: Mapping[str, msgspec.Raw],
        before: Snapshot | None = None,
    ) -> Snapshot:
        """All parts of a root together. Raises Unusable."""
        if len(proxies) > PROXIES_LIMIT or len(endpoints) > ENDPOINT_SETS_LIMIT:
            raise Unusable(
                f"root {pointer.root}: {len(proxies)} proxies and {len(endpoints)} endpoint sets; {PROXIES_LIMIT} and"
                f" {ENDPOINT_SETS_LIMIT}"
            )
        used: dict[tuple[str, ...], Resource] = {}
        sets = {}
        for name, raw in endpoints.items():
            sets[name] = self._one(used, Kind.ENDPOINTS, bytes(raw))
            if sets[name].name != name:
                raise Unusable(f"the endpoint set {name} says that it is {sets[name].name}")
        found = {
            name: self._proxy(used, name, one, before.proxies.get(name) if before else None)
            for name, one in proxies.items()
        }
        self._known = used
        return Snapshot(
            pointer=pointer,
            proxies=found,
            endpoints=sets,
            endpoints_number=root.endpoints.number,
            released=frozenset(root.released),
        )

    def _proxy(
        self, used: dict[tuple[str, ...], Resource], ident: str, given: PublishedProxy, before: Proxy | None
    ) -> Proxy:
        clusters = self._content(used, Kind.CLUSTERS, given.clusters, ident)
        names = _Names(clusters.resources)
        contents = {
            Kind.CLUSTERS: clusters,
            Kind.LISTENERS: self._content(used, Kind.LISTENERS, given.listeners, ident, names),
            Kind.ROUTES: self._content(used, Kind.ROUTES, given.routes, ident, names),
        }
        for kind, content in contents.items():
            held = before.contents[kind] if before else None
            if held is not None and held.resources == content.resources:
                # One dict for all that holds it
                contents[kind] = Content(number=content.number, resources=held.resources)
            elif held is not None and content.number <= held.number:
                raise Unusable(
                    f"{ident}: other {kind.name.lower()} with the number {content.number}, after {held.number}"
                )
        return Proxy(allowed=given.allowed, contents=contents)

    def _content(
        self,
        used: dict[tuple[str, ...], Resource],
        kind: Kind,
        given: Resources,
        ident: str,
        clusters: "_Names | None" = None,
    ) -> Content:
        found: dict[str, Resource] = {}
        for raw in given.resources:
            one = self._one(used, kind, bytes(raw), clusters)
            if one.name in found:
                raise Unusable(f"{ident}: {kind.name.lower()} {one.name} twice")
            found[one.name] = one
        return Content(number=given.number, resources=found)

    def _one(
        self, used: dict[tuple[str, ...], Resource], kind: Kind, raw: bytes, clusters: "_Names | None" = None
    ) -> Resource:
        key = (kind.name, digest_of(raw), clusters.digest if clusters else "")
        if key not in used:
            used[key] = self._known.get(key) or codec.resource(kind, raw, clusters.names if clusters else ())
        return used[key]


class _Names:
    """The clusters of a proxy, with a digest that is made once for all its listeners and routes."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self.digest = digest_of("\n".join(self.names).encode())
