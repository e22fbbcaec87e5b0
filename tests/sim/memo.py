"""What pure functions gave is kept for equal inputs, for values are never changed once made: the same schedule plays the same way, only sooner.

`tests/unit/sim/test_memo.py` plays schedules with and without, and compares every call.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from crossmesh import codec
from crossmesh.core.registry import endpoints

MOST = 256  # entries of each memory; a full one begins anew


@contextmanager
def kept(*, wanted: bool = True) -> Iterator[None]:
    """While a schedule is played."""
    codec.decode, endpoints.desired = (_DECODE, _DESIRED) if wanted else _PLAIN  # type: ignore[assignment]
    try:
        yield
    finally:
        codec.decode, endpoints.desired = _PLAIN


def _decoding(decode: Callable[..., Any]) -> Callable[..., Any]:
    """By the bytes and the type."""
    known: dict[Any, Any] = {}

    def decoded(data: bytes, kind: Any) -> Any:
        found = known.get((data, kind))
        if found is None:
            if len(known) >= MOST:
                known.clear()
            found = known[data, kind] = decode(data, kind)
        return found

    return decoded


def _desiring(desired: Callable[..., Any]) -> Callable[..., Any]:
    """By the identity of nodes, clusters and pods, which an entry keeps alive."""
    known: dict[Any, Any] = {}

    def desired_once(nodes: Any, clusters: Any, views: Iterable[Any], *, owner: str) -> Any:
        views = tuple(views)
        of = [(v.cluster, id(clusters[v.cluster]), *v.zones.items(), *map(id, v.pods)) for v in views]
        key = id(nodes), owner, tuple(of)
        found = known.get(key)
        if found is None:
            if len(known) >= MOST:
                known.clear()
            found = known[key] = desired(nodes, clusters, views, owner=owner), nodes, views, [clusters[v.cluster] for v in views]
        return found[0]

    return desired_once


_PLAIN = codec.decode, endpoints.desired
_DECODE, _DESIRED = _decoding(codec.decode), _desiring(endpoints.desired)
