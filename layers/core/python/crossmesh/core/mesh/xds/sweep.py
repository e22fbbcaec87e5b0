"""Which objects of old snapshots may be removed. Pure.

A sweep follows a publication's own move of the pointer. An object that no kept root names and that
is a day old is then never named again, not even by a run that publishes at the same moment: it
would carry a lower number than that run's (`snapshot`).
"""

from collections.abc import Mapping

from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.mesh.xds.snapshot import Root

KEPT_ROOTS = 32  # the newest, for servers that lag, and for people
EVERY = 32  # publications from one sweep to the next
OLD_S = 86_400.0
MOST = 1_000  # removed at once: what S3 takes in one request


def due(pointer: Pointer) -> bool:
    """Whether this publication sweeps."""
    return pointer.number % EVERY == 0


def removable(roots: Mapping[str, Root], stored: Mapping[str, float], now: float) -> tuple[str, ...]:
    """The objects to remove, oldest first. `roots`: those that are kept, by digest; `stored`: when
    each object was written.
    """
    named = {*roots, *(part for root in roots.values() for part in root.parts)}
    old = sorted((at, name) for name, at in stored.items() if name not in named and at <= now - OLD_S)
    return tuple(name for _, name in old[:MOST])
