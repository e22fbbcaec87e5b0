"""Step `Open ports`: where `security_groups: open`, the listener ports between clusters that are
closed are opened, by rules of ours; those nothing needs go.

A canary's diagnosis asks for it through the state document "ports", which makes the next look start
a run; every run looks again by itself. What is refused (rights that the template gives only with
`SecurityGroups=open`) is told and never ends the run: the registry and the mesh are kept all the
same.
"""

from collections.abc import Iterable

import msgspec

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.diagnosis.facts import NetworkFacts
from crossmesh.core.diagnosis.ingress_rules import (
    IngressRuleChange,
    apart,
    by_hand,
    changes,
    mark_of,
    may_open,
    placed,
    required,
)
from crossmesh.core.observed import RegistryView, Seen
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.effects import Call, Step, batch, call, gather, to
from crossmesh.errors import CrossmeshError, LeaseLost
from crossmesh.ports import Networks, State
from crossmesh.usecases import lease, state
from crossmesh.usecases.context import Context, Run
from crossmesh.usecases.open_ports import ASKED, asked
from crossmesh.usecases.task import Task


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The run."""

    run: Run


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """What was opened and closed, as `cluster:port for group`, and what was refused."""

    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def run(request: Request, context: Context) -> Step[Response]:
    """Nothing where the settings do not say `open`, or where another configuration was deployed
    meanwhile: the views are of what that one no longer names.
    """
    if context.settings.security_groups != "open" or request.run.config != context.config:
        return Response()
    beside = yield from state.load_optional(state.key(request.run.id, "plan"), RegistryPlan)
    # Two who take away each other's rules would never end
    if beside is not None and beside.conflict:
        return Response(refused=("another deployment uses this owner",))
    wishes = yield from asked()
    networks, unread = yield from _networks(context)
    todo, forbidden = yield from _todo(request.run, context, networks)
    yield from lease.check(request.run)
    answers = yield from batch([_call(change, context) for change in todo])
    refused = [
        f"{_told(change)}: {answer}"
        for change, answer in zip(todo, answers, strict=True)
        if isinstance(answer, CrossmeshError)
    ]
    done = [change for change, answer in zip(todo, answers, strict=True) if not isinstance(answer, CrossmeshError)]
    if wishes:
        yield from call(State.write, ASKED, codec.encode(()))
    response = Response(
        opened=lines(_told(change) for change in done if change.verb == "open"),
        closed=lines(_told(change) for change in done if change.verb == "close"),
        refused=lines((*refused, *forbidden, *unread)),
    )
    yield from state.save(state.key(request.run.id, "ports"), response)
    return response


def _networks(context: Context) -> Step[tuple[dict[str, NetworkFacts], list[str]]]:
    answers = yield from batch([to(Networks.observe, cluster) for cluster in context.settings.clusters])
    found, unread = {}, []
    for cluster, answer in zip(context.settings.clusters, answers, strict=True):
        if isinstance(answer, LeaseLost):
            raise answer
        if isinstance(answer, CrossmeshError):
            unread.append(f"network of {cluster.name}: {answer}")
        else:
            found[cluster.name] = answer
    return found, unread


def _todo(
    this: Run, context: Context, networks: dict[str, NetworkFacts]
) -> Step[tuple[tuple[IngressRuleChange, ...], list[str]]]:
    """From the run's own views: where a cluster was not seen, nothing is closed. Second: what the
    settings do not let us open.
    """
    views, registry, decision = yield from gather(
        state.views_of(this.id, [cluster.name for cluster in context.settings.clusters]),
        state.load_optional(state.key(this.id, "registry"), RegistryView),
        state.load_optional(state.key(this.id, state.ENDPOINTS), EndpointDecision),  # an older version kept none
    )
    seen = [view for view in views.values() if isinstance(view, Seen)]
    wanted = required(context.topology, placed(decision.endpoints if decision else (), registry), networks)
    complete = decision is not None and len(seen) == len(context.settings.clusters) == len(networks)
    named = context.settings.open_ports
    closed = sorted({o.port for o in wanted if o.open is False and not may_open(o.port, named)})
    pairs = [(networks[o.source], networks[o.target], o.port) for o in wanted if o.open is False]
    far = [
        f"{t.cluster}:{port}: across Regions crossmesh opens no port; by hand: {by_hand(s, t, port)}"
        for s, t, port in pairs
        if apart(s, t)
    ]
    kept = far + [f"port {port}: not opened, for the settings do not allow it (open_ports)" for port in closed]
    return changes(wanted, networks, context.settings.owner, complete=complete, named=named), kept


def lines(said: Iterable[str]) -> tuple[str, ...]:
    """What the run's state carries: beside 100 clusters' views, below half of what it holds."""
    return bounds.lines(said, 20, 300)


def _call(change: IngressRuleChange, context: Context) -> Call:
    method = Networks.open if change.verb == "open" else Networks.close
    mark = mark_of(context.settings.owner)
    return to(
        method, context.cluster(change.cluster), change.group, change.source_group, change.port, mark, change.account
    )


def _told(change: IngressRuleChange) -> str:
    return f"{change.cluster}:{change.port} for {change.source_group}"


TASK = Task(name="open_ports", request=Request, run=run, manifests="active")
