"""What people asked for by hand, as everybody sees it who looks at the application later: what,
who, since when, and how it ends. Pure.
"""

from datetime import UTC, datetime

from crossmesh.core.registry.plan import ManualOverrides, PlannerState


def describe_drain(operator: ManualOverrides) -> str:
    """A drain in force."""
    return (
        f"DRAINED by hand{_signed(operator, 'drain', operator.draining)}: every instance leaves Cloud Map and none is"
        " registered"
    )


def paused(operator: ManualOverrides) -> str:
    """A pause in force."""
    return f"PAUSED by hand{_signed(operator, 'pause', operator.paused)}: nothing is applied"


def describe_overrides(operator: ManualOverrides, memory: PlannerState | None = None) -> tuple[str, ...]:
    """Each wish that is in force now, the most drastic first."""
    found = []
    if operator.draining:
        found.append(f"{describe_drain(operator)} (`crossmesh resume` ends it)")
    if operator.paused:
        found.append(f"{paused(operator)} (`crossmesh resume` ends it)")
    if operator.adopt and (memory is None or memory.adopted < operator.adopt):
        found.append(f"adopting{_signed(operator, 'adopt', operator.adopt)}: what AWS's controller left is taken over")
    done = memory.forgotten if memory else {}
    found += [
        f"forgetting cluster {cluster} since {at_utc(asked)}: its instances leave while it is not seen"
        for cluster, asked in sorted(operator.forget.items())
        if memory is not None and asked > done.get(cluster, 0.0)
    ]
    return tuple(found)


def _signed(operator: ManualOverrides, verb: str, at: float) -> str:
    who = operator.by.get(verb, "")
    return f" by {who}, since {at_utc(at)}" if who else f" since {at_utc(at)}"


def at_utc(seconds: float) -> str:
    """A time as people of all zones read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
