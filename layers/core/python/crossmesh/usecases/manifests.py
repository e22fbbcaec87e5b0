"""Manifests read live from clusters: the documents in force, which a look renews and every other
step takes as the look left them.

The documents of a cluster that cannot be read stay in force (rule 1). Newer ones are judged one by
one (`manifests.judged`): what is wrong is set aside, and the version before it stays. What is in
force is content-addressed in the run store; a run names its digest, so that all its steps and a
replay see the same documents.
"""

from collections.abc import Mapping, Sequence

import msgspec

from crossmesh import codec
from crossmesh.core import bounds, patience
from crossmesh.core.compiler import vanished
from crossmesh.core.compiler.build import BuildResult
from crossmesh.core.compiler.cluster_manifests import ActiveManifests, ClusterDocuments, ListedDocuments, SourceStatus
from crossmesh.core.mesh.backend import MeshTarget, WithheldChange
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.observed import Unseen
from crossmesh.core.patience import Slow
from crossmesh.effects import Call, Step, batch, call, to
from crossmesh.errors import ConfigError, RefusedError
from crossmesh.manifests.judged import built_of, judged
from crossmesh.manifests.names import resolve_names
from crossmesh.ports import Clock, Clusters, RunStore, State
from crossmesh.usecases.context import Context
from crossmesh.usecases.task import A, Q, Task

MANIFESTS = "manifests"
# Seconds: what is in force is written anew, so that the bucket's life cycle never takes it
KEEP_EVERY = 21_600.0


def with_active_manifests(task: Task[Q, A], asked: Q, context: Context) -> Step[A]:
    """Run a step on the manifests that it goes by: those in force, or those that its run names."""
    if not context.settings.mesh.manifests.clusters or not task.manifests:
        return (yield from task.run(asked, context))
    digest = "" if task.manifests == "latest digest" else str(getattr(getattr(asked, "run", None), "live", ""))
    if task.manifests == "active":
        return (yield from task.run(asked, (yield from in_force(context, digest))))
    if not digest:
        current = yield from _current()
        digest = current.digest if current else ""
    return (yield from task.run(asked, _named(context, digest)))


def asked(context: Context, name: str, identities: Mapping[str, str], limit: float) -> Call:
    """The call that reads one cluster's documents, and waits for it `limit` seconds."""
    return to(Clusters.manifests, context.cluster(name), identities.get(name, ""), limit=limit)


def refresh(
    context: Context, identities: Mapping[str, str], slow: Mapping[str, Slow], *, keep: bool
) -> Step[tuple[Context, tuple[str, ...], tuple[Unseen, ...], tuple[WithheldChange, ...]]]:
    """The context with the newest documents that hold together, what was set aside, the clusters
    whose documents were not seen, and documents that vanished and stay.

    `slow`: those for which it waits less. `keep`: put the documents in force.

    Raises where a cluster was never seen, or the settings are wrong.
    """
    names = context.settings.mesh.manifests.clusters
    if not names:
        return context, (), (), ()
    now = yield from call(Clock.now)
    answers = yield from batch([asked(context, name, identities, patience.limit(slow.get(name))) for name in names])
    unseen = tuple(answer for answer in answers if isinstance(answer, Unseen))
    current = yield from _current()
    before = (yield from _held(current.digest, missing=True)) if current else {}
    lines = {line.cluster: line for line in current.lines} if current else {}
    held, fresh = [], []
    gone: dict[str, dict[str, float]] = {}
    for name, answer in zip(names, answers, strict=True):
        documents, line = _settled(name, answer, before.get(name), lines.get(name))
        documents, since = _standing(context, documents, before.get(name), current, answers)
        held.append(documents)
        fresh.append(line)
        gone |= {name: since} if since else {}
    verdict = judged(context.settings, held, list(before.values()))
    if verdict.errors:
        raise ConfigError(verdict.errors)
    kept_at = current.kept if current else 0.0
    data = codec.encode(verdict.held)
    digest = codec.digest(data)
    aside = tuple(f"set aside: {line}" for line in bounds.lines(verdict.aside))
    missed = _missed(gone)
    if not keep:
        return _with(context, verdict.built, digest), aside, unseen, missed
    if current is None or digest != current.digest or not before or now - kept_at >= KEEP_EVERY:
        yield from call(RunStore.put, _key(digest), data)
        kept_at = now
    counts = {of.cluster: len(of.items) for of in verdict.held}
    counted = tuple(msgspec.structs.replace(line, documents=counts[line.cluster]) for line in fresh)
    yield from _record(
        current,
        ActiveManifests(digest=digest, lines=counted, refused=bounds.lines(verdict.aside), kept=kept_at, vanished=gone),
    )
    return _with(context, verdict.built, digest), aside, unseen, missed


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
    return _with(context, built_of(list(held.values())), digest)


def _settled(
    name: str, answer: object, before: ClusterDocuments | None, line: SourceStatus | None
) -> tuple[ClusterDocuments, SourceStatus]:
    """A cluster's documents: as listed now, else as seen last. Raises where they were never seen:
    unknown is not empty.
    """
    if isinstance(answer, ListedDocuments):
        return ClusterDocuments(cluster=name, items=answer.items), SourceStatus(
            cluster=name, seen=answer.begun, documents=len(answer.items)
        )
    cause, said = (answer.cause, answer.detail) if isinstance(answer, Unseen) else ("crashed", str(answer))
    detail = bounds.text(said, 300)
    if before is None or line is None:
        raise RefusedError(
            "NoManifests", f"the manifests of {name} were never seen, and it is unseen now: {cause}: {detail}"
        )
    return before, msgspec.structs.replace(line, cause=cause, detail=detail)


def _standing(
    context: Context,
    listed: ClusterDocuments,
    before: ClusterDocuments | None,
    current: ActiveManifests | None,
    answers: Sequence[object],
) -> tuple[ClusterDocuments, dict[str, float]]:
    """The documents, with those that vanished from the cluster and stay in force meanwhile: own
    Envoys would lose what they serve. Of a cluster that was not read the clocks stand.
    """
    since = current.vanished.get(listed.cluster, {}) if current else {}
    answer = next((one for one in answers if isinstance(one, ListedDocuments) and one.cluster == listed.cluster), None)
    if answer is None or not backend_of(context.settings).before_registry:
        return listed, dict(since) if answer is None else {}
    others = [one for one in answers if isinstance(one, ListedDocuments) and one.cluster != listed.cluster]
    found = vanished.standing(
        listed,
        before,
        since,
        begun=answer.begun,
        elsewhere={vanished.name_of(item) for one in others for item in one.items},
        remove=context.settings.policy.removals == "sync",
    )
    return found.documents, found.since


def _missed(gone: Mapping[str, Mapping[str, float]]) -> tuple[WithheldChange, ...]:
    return tuple(
        WithheldChange(
            target=MeshTarget(mesh="", kind=name.partition(" ")[0], name=name.partition(" ")[2]),
            detail=f"{cluster} no longer holds it, and it stays in force",
            fix="apply it again; with `removals: sync` it goes after two complete readings 10 minutes apart",
        )
        for cluster, names in sorted(gone.items())
        for name in sorted(names)
    )


def _with(context: Context, found: BuildResult, digest: str) -> Context:
    settings, _ = resolve_names(context.settings, found.topology, "crossmesh.yaml", {})
    return msgspec.structs.replace(_named(context, digest), settings=settings, topology=found.topology)


def config_of(context: Context, digest: str) -> str:
    """The digest of this deployment's configuration with the documents of `digest`, which a run
    names.
    """
    return _named(context, digest).config if context.settings.mesh.manifests.clusters else context.config


def _named(context: Context, digest: str) -> Context:
    """The configuration's digest covers the documents: a run made under others is superseded."""
    return msgspec.structs.replace(context, live=digest, config=codec.digest(f"{context.config} {digest}".encode()))


def _current() -> Step[ActiveManifests | None]:
    data = yield from call(State.read, MANIFESTS)
    return codec.decode(data, ActiveManifests) if data else None


def _record(before: ActiveManifests | None, after: ActiveManifests) -> Step[None]:
    if before != after:
        yield from call(State.write, MANIFESTS, codec.encode(after))


def _held(digest: str, *, missing: bool = False) -> Step[Mapping[str, ClusterDocuments]]:
    """The documents of a digest. `missing`: none where they are not there any more, as after a long
    stop.
    """
    data = yield from call(RunStore.get, _key(digest))
    if data is None and missing:
        return {}
    if data is None:
        raise RefusedError("Missing", f"{_key(digest)} is not in the run store")
    return {held.cluster: held for held in codec.decode(data, tuple[ClusterDocuments, ...])}


def _key(digest: str) -> str:
    return f"manifests/{digest}.json"
