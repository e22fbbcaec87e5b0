"""A small snapshot as the server of Envoys holds it."""

from collections.abc import Iterable

from crossmesh_xds.mesh import Content, Kind, Proxy, Resource, Snapshot
from crossmesh_xds.published import Pointer

C, L, R = Kind.CLUSTERS, Kind.LISTENERS, Kind.ROUTES


def snapshot(
    number: int, mark: str = "1", *, at: int = 0, ends: str = "1", released: Iterable[str] = (), proxies: Iterable[str] = ("a",)
) -> Snapshot:
    """One cluster `c` with the hash `c<mark>` since number `at`."""
    cluster = Resource(name="c", hash=f"c{mark}", endpoints="c")
    contents = {
        C: Content(number=at or number, resources={"c": cluster}),
        L: Content(number=1, resources={"l": Resource(name="l", hash="l")}),
        R: Content(number=1, resources={"r": Resource(name="r", hash="r", uses=frozenset({"c"}))}),
    }
    return Snapshot(
        pointer=Pointer(lineage="1a" * 16, epoch=1, number=number, root="0" * 64),
        proxies={name: Proxy(allowed=(), contents=contents) for name in proxies},
        endpoints={"c": Resource(name="c", hash=f"e{ends}")},
        endpoints_number=number,
        released=frozenset(released),
    )
