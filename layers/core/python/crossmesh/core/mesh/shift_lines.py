"""A shift as lines for people. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from crossmesh.core.mesh.shift_weights import Progress, Shift, Shifts, steps_of, weights_at


def when_called_off(shift: Shift) -> str:
    """When a shift was called off, and by whom."""
    return f"at {moment(shift.called_off)}" + (f" by {shift.called_off_by}" if shift.called_off_by else "")


def moment(seconds: float) -> str:
    """A moment as people read it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def describe_shift(shift: Shift, state: Progress | None, shifts: Shifts = ()) -> str:
    """A shift as a line for people. `shifts`: all there are, among them the one that may replace
    it.
    """
    about = f"shift of {shift.service} (route {shift.route}) to {weights_line(shift.goal)}"
    new = next((one for one in shifts if one.id == shift.successor), None)
    if state is not None and state.ended:
        # What replaced it says itself what is in force
        back = "" if shift.successor else "; the declared weights are back"
        return f"{about}: ended: {state.ended}{back}"
    if shift.called_off and new is not None:
        return (
            f"{about}: {stands(shift, state)}, replaced by {name_of(new)} {when_called_off(shift)},"
            " which begins with the next look"
        )
    if shift.called_off:
        ends = "ends with the next look" if state else "ended before it began"
        return f"{about}: {ends}, called off {when_called_off(shift)}"
    if state is None:
        return f"{about}: begins with the next look"
    return f"{about}: {stands(shift, state)}"


def ending(shift: Shift, state: Progress | None, why: str) -> str:
    """A shift in force that ends when what is planned is done, as a line for people."""
    back = "" if shift.successor else "; the declared weights come back then"
    return (
        f"shift of {shift.service} (route {shift.route}) to {weights_line(shift.goal)}: {stands(shift, state)},"
        f" ends with the next run of this configuration: {why}{back}"
    )


def name_of(shift: Shift) -> str:
    return f"the shift to {weights_line(shift.goal)}"


def stands(shift: Shift, state: Progress | None) -> str:
    step = state.step if state else 0
    return f"step {step} of {steps_of(shift)}, now {weights_line(weights_at(shift, step))}"


def replacing(old: Shift, state: Progress | None) -> str:
    """What a new shift replaces, as a line for people: its goal, where it stands, and who began it
    when.
    """
    who = f" by {old.by}" if old.by else ""
    return f"replaces the shift to {weights_line(old.goal)}, begun at {moment(old.begun)}{who}: {stands(old, state)}"


def weights_line(weights: Mapping[str, int]) -> str:
    """Weights as people write them."""
    return ", ".join(f"{node} {weight}" for node, weight in sorted(weights.items()))
