"""Publishes a snapshot: its parts, then its root, then the pointer. Cut anywhere, it leaves the
snapshot before or the new one, whole.
"""

import msgspec

from crossmesh.core.mesh.xds import snapshot, sweep
from crossmesh.core.mesh.xds.pointer import Pointer
from crossmesh.core.mesh.xds.snapshot import Content, Publication, PublishedSnapshot, Root, Unpublishable
from crossmesh.effects import Step, call, to
from crossmesh.errors import CrossmeshError, LeaseLost, RefusedError
from crossmesh.ports import Clock, Snapshots
from crossmesh.usecases.state import batch_or_raise


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """The snapshot in force after it. `left`: how many endpoints left with it. `unswept`: why old
    objects were not removed, "" = they were, or need not be.
    """

    pointer: Pointer
    changed: bool = False
    left: int = 0
    unswept: str = ""


def in_force() -> Step[PublishedSnapshot | None]:
    """The snapshot in force, None where there is none yet. Raises RefusedError where it cannot be
    read: nothing is published over what is not known.
    """
    pointer = yield from call(Snapshots.pointer)
    if pointer is None:
        return None
    try:
        root = snapshot.read_root(pointer, (yield from _objects((pointer.root,)))[pointer.root])
        return snapshot.in_force(pointer, root, (yield from _objects(root.parts)))
    except Unpublishable as error:
        raise RefusedError("Snapshot", str(error)) from error


def publish(content: Content, before: PublishedSnapshot | None, epoch: int) -> Step[Published]:
    """What follows `before`. Raises RefusedError where it must not be published, LeaseLost where
    another run published meanwhile.
    """
    lineage = "" if before else (yield from call(Snapshots.lineage))
    try:
        made = snapshot.following(content, before, lineage=lineage, epoch=epoch)
    except Unpublishable as error:
        raise RefusedError("Unpublishable", str(error)) from error
    if made is None:
        assert before is not None  # a first snapshot is always new
        return Published(pointer=before.pointer)
    return (yield from carry_out(made, before.pointer if before else None))


def carry_out(made: Publication, before: Pointer | None) -> Step[Published]:
    """Write what was made to follow `before`. Raises LeaseLost where another run published
    meanwhile.
    """
    yield from _written(made)
    if not (yield from call(Snapshots.move, made.pointer, before)):
        raise LeaseLost("another run published a snapshot")
    unswept = (yield from _swept(made)) if sweep.due(made.pointer) else ""
    return Published(pointer=made.pointer, changed=True, left=len(made.left), unswept=unswept)


def _written(made: Publication) -> Step[None]:
    yield from batch_or_raise([to(Snapshots.put, name, data) for name, data in made.parts.items()])
    yield from call(Snapshots.put, made.pointer.root, made.root)


def _swept(made: Publication) -> Step[str]:
    """Remove old objects, now that the pointer is ours; why not, where that fails. It never fails
    the run: the snapshot is published.
    """
    try:
        roots = {made.pointer.root: snapshot.read_root(made.pointer, made.root)}
        last = roots[made.pointer.root]
        while len(roots) < sweep.KEPT_ROOTS and last.predecessor:
            name = last.predecessor
            roots[name] = last = snapshot.read(name, (yield from _objects((name,)))[name], Root)
        objects = yield from call(Snapshots.stored)
        now = yield from call(Clock.now)
        yield from call(Snapshots.discard, sweep.removable(roots, {one.digest: one.at for one in objects}, now))
    except (CrossmeshError, Unpublishable) as error:
        return str(error)
    return ""


def _objects(names: tuple[str, ...]) -> Step[dict[str, bytes]]:
    answers = yield from batch_or_raise([to(Snapshots.get, name) for name in names])
    missing = [name for name, data in zip(names, answers, strict=True) if data is None]
    if missing:
        raise RefusedError("Missing", f"object snapshots/{missing[0]} is not in the bucket")
    return dict(zip(names, answers, strict=True))
