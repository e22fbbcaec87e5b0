"""Listener ports that a diagnosis found closed: asked of the next run through the state document
"ports".
"""

from collections.abc import Sequence

from crossmesh import codec
from crossmesh.core import bounds
from crossmesh.core.diagnosis.ingress_rules import RequiredIngress, may_open
from crossmesh.core.diagnosis.outliers import COOL_DOWN
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.registry.decision import EndpointDecision
from crossmesh.effects import Step, call
from crossmesh.ports import Clock, State
from crossmesh.usecases.context import Context
from crossmesh.usecases.state import ENDPOINTS

ASKED, COOLING_DOWN = "ports", "ports/cooling-down"


# Openings that the two documents hold; what is left out is asked for by the next diagnosis
_ASKED_AT_MOST, _COOLING_AT_MOST = 200, 500


def read_later(context: Context, decision: EndpointDecision) -> dict[str, object]:
    """What a run keeps of the endpoint decision beside its plan, by name: nothing where no later
    step reads it, for an object costs.
    """
    read = context.settings.security_groups == "open" or backend_of(context.settings).reads_endpoints
    return {ENDPOINTS: decision} if read else {}


def asked() -> Step[tuple[RequiredIngress, ...]]:
    """What diagnoses found closed since the last run."""
    data = yield from call(State.read, ASKED)
    return codec.decode(data, tuple[RequiredIngress, ...]) if data else ()


def ask(closed: Sequence[RequiredIngress], named: tuple[int, ...] | None = None) -> Step[None]:
    """Ask the next run to open those that may be (`named`: the ports in the settings).

    Each is asked for at most once in COOL_DOWN, so that two who disagree about a port do not fight
    over it by the minute.
    """
    now = yield from call(Clock.now)
    data = yield from call(State.read, COOLING_DOWN)
    cooling_down = {
        name: at for name, at in (codec.decode(data, dict[str, float]) if data else {}).items() if now - at < COOL_DOWN
    }
    fresh = tuple(
        sorted({opening for opening in closed if str(opening) not in cooling_down and may_open(opening.port, named)})
    )[:_ASKED_AT_MOST]
    if fresh:
        yield from call(State.write, ASKED, codec.encode(fresh))
        kept = bounds.newest(cooling_down | {str(opening): now for opening in fresh}, _COOLING_AT_MOST, lambda at: at)
        yield from call(State.write, COOLING_DOWN, codec.encode(kept))
