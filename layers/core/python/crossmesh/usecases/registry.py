"""What of the registry a look reads again, and what it takes as the look before left it.

A service's instances are listed when its revision moved, once more when that has settled (a list
may be behind the revision that called for it), and every 10 minutes, with everything else about the
services.
"""

import msgspec

from crossmesh.core.observed import RegistryView, ServiceView, unreadable
from crossmesh.core.registry.plan import PlannerState
from crossmesh.effects import Step, batch, call, to
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.ports import Clock, Registry
from crossmesh.usecases import observation, state
from crossmesh.usecases.context import Context

FULL_EVERY = 600.0  # seconds between full readings of unmoved services
# Seconds after a revision was first seen, from which a list is trusted to show all of it: reads
# agree only in the end
SETTLED = 30.0


def refresh_registry(
    context: Context, memory: PlannerState, last: RegistryView, writer: int, *, anew: bool = False
) -> Step[RegistryView]:
    """The registry, from what the look before saw of it (`last`), without health. `writer`: the
    epoch of the run's lease, -1 while somebody holds it.

    All is read anew where `anew` says so, where it is old, where something is missing, where the
    last run left something unsettled, and where a revision moved though no run of ours held the
    lease: somebody else writes there, perhaps a deployment with our owner, whose mark is a tag
    (rule 2).
    """
    now = yield from call(Clock.now)
    names = observation.service_names(context, memory)
    known = set(names) == {(s.namespace, s.service) for s in last.services} and all(
        s.id and not s.problem for s in last.services
    )
    if known and not anew and now - last.described < FULL_EVERY and not memory.unsettled_runs:
        revisions = yield from batch([to(Registry.revision, *s.discovered_by) for s in last.services])
        moved = revisions != [s.revision for s in last.services]
        if all(isinstance(r, int) for r in revisions) and not (moved and writer == last.writer >= 0):
            services = yield from _listed(now, last.services, revisions, memory)
            if services or not last.services:
                return msgspec.structs.replace(last, begun=now, writer=writer, services=services)
    before = {s.id: s for s in last.services}
    found = yield from observation.find(context, memory)
    listed = yield from observation.with_instances(found)
    services = tuple(_first_seen(service, before.get(service.id), now) for service in listed)
    return RegistryView(begun=now, described=now, writer=writer, services=services)


def refresh_or_unread(
    context: Context, memory: PlannerState, last: RegistryView, writer: int, *, anew: bool = False
) -> Step[tuple[RegistryView, bool]]:
    """The same where nothing may wait for Cloud Map: where it cannot be read, every service is as
    the look before left it, without instances and with the problem. Also whether it was read.
    """
    try:
        return (yield from refresh_registry(context, memory, last, writer, anew=anew)), True
    except CrossmeshError as error:
        return (yield from as_unread(context, memory, last, error)), False


def as_unread(context: Context, memory: PlannerState, last: RegistryView, error: CrossmeshError) -> Step[RegistryView]:
    """All services as unreadable."""
    now = yield from call(Clock.now)
    names = observation.service_names(context, memory)
    known = {(one.namespace, one.service): one for one in last.services}
    found = [known.get(name, ServiceView(namespace=name[0], service=name[1])) for name in names]
    services = tuple(sorted((unreadable(one, str(error)) for one in found), key=lambda one: one.key))
    return RegistryView(begun=now, described=last.described, services=services)


def _first_seen(service: ServiceView, before: ServiceView | None, now: float) -> ServiceView:
    """A service listed at `now`, and since when its revision is known."""
    same = before is not None and before.revision == service.revision
    return msgspec.structs.replace(service, listed=now, since=before.since if same and before is not None else now)


def _listed(
    now: float, services: tuple[ServiceView, ...], revisions: list[int], memory: PlannerState
) -> Step[tuple[ServiceView, ...]]:
    """The services with their instances: kept where the revision stands and the list is trusted,
    else listed. () where one of them is gone.
    """
    shown = [
        msgspec.structs.replace(s, revision=r, since=s.since if r == s.revision else now)
        for s, r in zip(services, revisions, strict=True)
    ]
    trusted = [
        new == old and now - old.listed < FULL_EVERY and old.listed - old.since >= SETTLED
        for new, old in zip(shown, services, strict=True)
    ]
    for _ in range(2):
        asked = [s for s, kept in zip(shown, trusted, strict=True) if not kept]
        answers = yield from batch([to(Registry.list_instances, s.id) for s in asked])
        # Gone, or not to be read any more: a full reading tells
        if any(isinstance(answer, RefusedError) for answer in answers):
            return ()
        found = dict(zip([s.id for s in asked], state.raise_first(answers), strict=True))
        shown = [msgspec.structs.replace(s, listed=now, instances=found[s.id]) if s.id in found else s for s in shown]
        there = {instance.id for service in shown for instance in service.instances}
        oldest = min((s.listed for s, kept in zip(shown, trusted, strict=True) if kept), default=now)
        if not any(at >= oldest and ident not in there for ident, at in memory.registered.items()):
            break
        # The revision is behind: what we have proved since is not in the list that it stands for
        trusted = [False] * len(shown)
    return tuple(shown)
