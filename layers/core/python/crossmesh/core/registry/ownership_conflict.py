"""Ownership conflict (rule 2): two deployments use one owner by mistake. Both stop and name each
other.

They go on when one of them ends, or when a person decides. Two tags of a service carry the
conflict:
- `crossmesh:deployment/<owner>` is the ownership tag: the id of the deployment that writes here.
- `crossmesh:conflict/<owner>` is a claim: a deployment that finds another id in the ownership tag
  writes its own id and an expiry (seconds since the epoch), and nothing else. It renews the claim
  while it runs, so the other deployment goes on at most LIFE after the claimant has gone.
  `crossmesh resume SERVICE` decides for the deployment on which it is run. That deployment takes
  the ownership tag and ignores the other one's claim from then on.
"""

from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core.observed import ServiceView
from crossmesh.core.registry.plan import ConflictingDeployment, ResolvedConflict

# Seconds that a claim is valid: longer than tags may be old (FULL_EVERY of a look), and short
# enough to wait for.
LIFE = 1_800.0


def deployment_tag(owner: str) -> str:
    """The tag key under which a deployment with `owner` leaves its id on a service."""
    return f"crossmesh:deployment/{owner}"


def conflict_tag(owner: str) -> str:
    """The tag key under which the one that stopped names itself."""
    return f"crossmesh:conflict/{owner}"


class OwnershipConflict(msgspec.Struct, frozen=True, kw_only=True):
    """The conflicts of all services. `conflicting_deployments`, `resolved_conflicts`: as
    `PlannerState` keeps them.

    `tags`: service key -> tags to write. `notes`: for people.
    """

    conflicting_deployments: dict[str, ConflictingDeployment]
    resolved_conflicts: dict[str, ResolvedConflict]
    tags: dict[str, dict[str, str]]
    notes: tuple[str, ...]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """By service key: `conflicting_deployments`, `resolved_conflicts` as remembered; `resumed`:
    when a person asked to go on.
    """

    conflicting_deployments: Mapping[str, ConflictingDeployment] = {}
    resolved_conflicts: Mapping[str, ResolvedConflict] = {}
    resumed: Mapping[str, float] = {}


def detect_conflict(
    services: Iterable[ServiceView], owner: str, me: str, before: Decided, *, now: float, read: float
) -> OwnershipConflict:
    """The deployments that write with our owner. `read`: when the tags were read, at most `now`."""
    conflicting_deployments, resolved_conflicts, resumed = (
        before.conflicting_deployments,
        before.resolved_conflicts,
        before.resumed,
    )
    found: dict[str, ConflictingDeployment] = {}
    decided: dict[str, ResolvedConflict] = {}
    tags: dict[str, dict[str, str]] = {}
    notes = []
    for service in services:
        key, ruling = service.key, resolved_conflicts.get(service.key)
        if service.hidden:
            found |= {key: conflicting_deployments[key]} if key in conflicting_deployments else {}
            decided |= {key: ruling} if ruling else {}
            continue
        holder = service.tags.get(deployment_tag(owner), me)
        other = holder if holder != me else _contester(service, owner, me, now)
        if ruling is not None:
            decided[key] = ruling
        if not other:
            continue
        asked, known = resumed.get(key, 0.0), conflicting_deployments.get(key)
        since = known.since if known and known.deployment == other else now
        if asked > since:
            decided[key] = ResolvedConflict(deployment=other, asked=asked, at=now)
            if holder != me:
                tags[key] = {deployment_tag(owner): me}
        elif ruling is not None and ruling.deployment == other and (holder == me or read <= ruling.at):
            continue  # a person has decided, and what was read is no newer than that
        else:
            until = known.until if known else 0.0
            if holder != me and until - now < LIFE / 2:
                until = now + LIFE
                tags[key] = {conflict_tag(owner): f"{me}@{until:.0f}"}
            found[key] = ConflictingDeployment(deployment=other, since=since, until=until if holder != me else 0.0)
            notes.append(_told(owner, me, other, key))
    return OwnershipConflict(conflicting_deployments=found, resolved_conflicts=decided, tags=tags, notes=tuple(notes))


def _contester(service: ServiceView, owner: str, me: str, now: float) -> str:
    """Who found our mark and stopped, and is still there; "" = nobody."""
    who, _, until = service.tags.get(conflict_tag(owner), "").rpartition("@")
    return who if who != me and until.isdigit() and int(until) > now else ""


def _told(owner: str, me: str, other: str, key: str) -> str:
    return (
        f"owner {owner!r} is used by two deployments: {me} (this one) and {other} (mark on {key}); both have stopped."
        f" Give each its own owner in crossmesh.yaml, or delete one. The one where `crossmesh resume {key}` is said"
        " goes on"
    )
