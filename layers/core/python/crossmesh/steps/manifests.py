"""Manifests read live from clusters: the documents in force, which a look renews and every other step takes as the look left them.

The documents of a cluster that cannot be read stay in force (rule 1), and so do all of them where newer ones are wrong together. What is in force is
content-addressed in the run store; a run names its digest, so that all its steps and a replay see the same documents.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from crossmesh import codec
from crossmesh.core.documents import Finding
from crossmesh.core.live import Held, InForce, Line, Listed
from crossmesh.core.topology_build import Built, build
from crossmesh.core.views import Unseen
from crossmesh.errors import ConfigError, RefusedError
from crossmesh.manifests.live import load_live
from crossmesh.manifests.names import resolve_names
from crossmesh.ports import Clusters, RunStore, State
from crossmesh.steps.calls import Step, call, to, together
from crossmesh.steps.context import Context

MANIFESTS = "manifests"
_READ_ALL = ("observe_registry", "observe_cluster", "plan_registry", "reconcile_mesh", "open_ports", "judge_canary")
_NAME_IT = ("take_lease", "apply_registry", "verify_registry", "report_run", "release_lease")

Q = TypeVar("Q")
A = TypeVar("A")


def within(name: str, run: Callable[[Q, Context], Step[A]], asked: Q, context: Context) -> Step[A]:
    """Run the step `name` on the documents in force, or those that its run names."""
    if not context.settings.mesh.manifests.clusters or name not in (*_READ_ALL, *_NAME_IT):
        return (yield from run(asked, context))
    digest = "" if name == "release_lease" else str(getattr(getattr(asked, "run", None), "live", ""))
    if name in _READ_ALL:
        return (yield from run(asked, (yield from in_force(context, digest))))
    if not digest:
        current = yield from _current()
        digest = current.digest if current else ""
    return (yield from run(asked, _named(context, digest)))


def look(context: Context, identities: Mapping[str, str]) -> Step[tuple[Context, tuple[str, ...]]]:
    """The context with the newest documents that hold together, and what is wrong with newer ones. Raises where there never were any."""
    names = context.settings.mesh.manifests.clusters
    if not names:
        return context, ()
    answers = yield from together([to(Clusters.manifests, context.cluster(name), identities.get(name, "")) for name in names])
    current = yield from _current()
    before = (yield from _held(current.digest)) if current else {}
    lines = {line.cluster: line for line in current.lines} if current else {}
    held, fresh = [], []
    for name, answer in zip(names, answers, strict=True):
        kept, line = _settled(name, answer, before.get(name), lines.get(name))
        held.append(kept)
        fresh.append(line)
    wanted = InForce(digest=codec.digest(codec.encode(held)), lines=tuple(fresh))
    found, errors = _built(context, held)
    if errors and (current is None or wanted.digest == current.digest):
        raise ConfigError(errors)
    if errors and current is not None:
        refused = tuple(f"{finding.place}: {finding.message}" for finding in errors)
        yield from _record(current, msgspec.structs.replace(current, refused=refused))
        context = yield from in_force(context, current.digest)
        return context, tuple(f"manifests not in force, the ones before them are: {line}" for line in refused)
    if current is None or wanted.digest != current.digest:
        yield from call(RunStore.put, _key(wanted.digest), codec.encode(held))
    yield from _record(current, wanted)
    return _with(context, found, wanted.digest), ()


def in_force(context: Context, digest: str = "") -> Step[Context]:
    """The context with the documents of `digest`, by default those that the last look left."""
    if not context.settings.mesh.manifests.clusters:
        return context
    if not digest:
        current = yield from _current()
        if current is None:
            raise RefusedError("NoManifests", "no look has read the clusters' manifests yet")
        digest = current.digest
    held = yield from _held(digest)
    found, _ = _built(context, list(held.values()))
    return _with(context, found, digest)


def _settled(name: str, answer: object, before: Held | None, line: Line | None) -> tuple[Held, Line]:
    """A cluster's documents: as listed now, else as seen last. Raises where they were never seen: unknown is not empty."""
    if isinstance(answer, Listed):
        return Held(cluster=name, items=answer.items), Line(cluster=name, seen=answer.begun, documents=len(answer.items))
    cause, detail = (answer.cause, answer.detail) if isinstance(answer, Unseen) else ("crashed", str(answer))
    if before is None or line is None:
        raise RefusedError("NoManifests", f"the manifests of {name} were never seen, and it is unseen now: {cause}: {detail}")
    return before, msgspec.structs.replace(line, cause=cause, detail=detail)


def _built(context: Context, held: list[Held]) -> tuple[Built, tuple[Finding, ...]]:
    """The topology of these documents, and its errors."""
    loaded = load_live(held)
    built = build(loaded.documents)
    _, problems = resolve_names(context.settings, built.topology, "crossmesh.yaml", {})
    return built, tuple(finding for finding in (*loaded.findings, *built.findings, *problems) if finding.level == "error")


def _with(context: Context, found: Built, digest: str) -> Context:
    settings, _ = resolve_names(context.settings, found.topology, "crossmesh.yaml", {})
    return msgspec.structs.replace(_named(context, digest), settings=settings, topology=found.topology)


def _named(context: Context, digest: str) -> Context:
    """The configuration's digest covers the documents: a run made under others is superseded."""
    return msgspec.structs.replace(context, live=digest, config=codec.digest(f"{context.config} {digest}".encode()))


def _current() -> Step[InForce | None]:
    data = yield from call(State.read, MANIFESTS)
    return codec.decode(data, InForce) if data else None


def _record(before: InForce | None, after: InForce) -> Step[None]:
    if before != after:
        yield from call(State.write, MANIFESTS, codec.encode(after))


def _held(digest: str) -> Step[Mapping[str, Held]]:
    data = yield from call(RunStore.get, _key(digest))
    if data is None:
        raise RefusedError("Missing", f"{_key(digest)} is not in the run store")
    return {held.cluster: held for held in codec.decode(data, tuple[Held, ...])}


def _key(digest: str) -> str:
    return f"manifests/{digest}.json"
