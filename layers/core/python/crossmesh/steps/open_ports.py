"""Step `Open ports`: where `security_groups: open`, the listener ports between clusters that are closed are opened, by rules of ours; those nothing needs go.

A canary's diagnosis asks for it through the state document "ports", which makes the next look start a run; every run looks again by itself. What is refused
(rights that the template gives only with `SecurityGroups=open`) is told and never ends the run: the registry and the mesh are kept all the same.
"""

from collections.abc import Sequence

import msgspec

from crossmesh import codec
from crossmesh.core import endpoints as ep
from crossmesh.core.actions import RegistryPlan
from crossmesh.core.facts import NetworkFacts
from crossmesh.core.openings import Opening, PortChange, changes, mark_of, placed, required
from crossmesh.core.sick import COOL_DOWN
from crossmesh.core.views import RegistryView, Seen, View
from crossmesh.errors import CrossmeshError, LeaseLost
from crossmesh.ports import Clock, Networks, RunStore, State
from crossmesh.steps import lease, store
from crossmesh.steps.calls import Call, Step, call, to, together
from crossmesh.steps.context import Context, Run

ASKED, RESTED = "ports", "ports/rested"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run."""

    run: Run


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What was opened and closed, as `cluster:port for group`, and what was refused."""

    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def asked() -> Step[tuple[Opening, ...]]:
    """What diagnoses found closed since the last run."""
    data = yield from call(State.read, ASKED)
    return codec.decode(data, tuple[Opening, ...]) if data else ()


def ask(closed: Sequence[Opening]) -> Step[None]:
    """Ask the next run to open them; each at most once in COOL_DOWN, so that two who disagree about a port do not fight over it by the minute."""
    now = yield from call(Clock.now)
    data = yield from call(State.read, RESTED)
    rested = {name: at for name, at in (codec.decode(data, dict[str, float]) if data else {}).items() if now - at < COOL_DOWN}
    fresh = tuple(sorted({opening for opening in closed if str(opening) not in rested}))
    if fresh:
        yield from call(State.write, ASKED, codec.encode(fresh))
        yield from call(State.write, RESTED, codec.encode(rested | {str(opening): now for opening in fresh}))


def run(request: Request, context: Context) -> Step[Response]:
    """Nothing where the settings do not say `open`, or where another configuration was deployed meanwhile: the views are of what that one no longer names."""
    if context.settings.security_groups != "open" or request.run.config != context.config:
        return Response()
    beside = yield from store.find(store.key(request.run.id, "plan"), RegistryPlan)
    if beside is not None and beside.conflict:  # two who take away each other's rules would never end
        return Response(refused=("another deployment uses this owner",))
    wishes = yield from asked()
    networks, unread = yield from _networks(context)
    todo = yield from _todo(request.run, context, networks)
    yield from lease.check(request.run)
    answers = yield from together([_call(change, context) for change in todo])
    refused = [f"{_told(change)}: {answer}" for change, answer in zip(todo, answers, strict=True) if isinstance(answer, CrossmeshError)]
    done = [change for change, answer in zip(todo, answers, strict=True) if not isinstance(answer, CrossmeshError)]
    if wishes:
        yield from call(State.write, ASKED, codec.encode(()))
    response = Response(
        opened=tuple(_told(change) for change in done if change.verb == "open"),
        closed=tuple(_told(change) for change in done if change.verb == "close"),
        refused=(*refused, *unread),
    )
    yield from store.save(store.key(request.run.id, "ports"), response)
    return response


def _networks(context: Context) -> Step[tuple[dict[str, NetworkFacts], list[str]]]:
    answers = yield from together([to(Networks.observe, cluster) for cluster in context.settings.clusters])
    found, unread = {}, []
    for cluster, answer in zip(context.settings.clusters, answers, strict=True):
        if isinstance(answer, LeaseLost):
            raise answer
        if isinstance(answer, CrossmeshError):
            unread.append(f"network of {cluster.name}: {answer}")
        else:
            found[cluster.name] = answer
    return found, unread


def _todo(this: Run, context: Context, networks: dict[str, NetworkFacts]) -> Step[tuple[PortChange, ...]]:
    """From the run's own views: where a cluster was not seen, nothing is closed."""
    views: list[View] = []
    for cluster in context.settings.clusters:
        data = yield from call(RunStore.get, store.key(this.id, f"views/{cluster.name}"))
        if data is not None:
            view: View = msgspec.json.decode(data, type=View)
            views.append(view)
    data = yield from call(RunStore.get, store.key(this.id, "registry"))
    registry = codec.decode(data, RegistryView) if data else None
    seen = [view for view in views if isinstance(view, Seen)]
    clusters = {cluster.name: cluster for cluster in context.settings.clusters}
    endpoints, _ = ep.desired(context.topology.nodes, clusters, seen, owner=context.settings.owner)
    wanted = required(context.topology, placed(endpoints, registry), networks)
    complete = len(seen) == len(clusters) == len(networks)
    return changes(wanted, networks, context.settings.owner, complete=complete)


def _call(change: PortChange, context: Context) -> Call:
    method = Networks.open if change.verb == "open" else Networks.close
    mark = mark_of(context.settings.owner)
    return to(method, context.cluster(change.cluster), change.group, change.source_group, change.port, mark)


def _told(change: PortChange) -> str:
    return f"{change.cluster}:{change.port} for {change.source_group}"
