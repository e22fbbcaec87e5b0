"""Two deployments with one owner by mistake (rule 2): both stop and name each other, until one of them ends or a person says which is meant. Pure.

Two tags of a service tell it, read where the registry is read anyway. `crossmesh:deployment/<owner>`: who writes into the service. Who finds
somebody else there writes nothing but `crossmesh:contested/<owner>`: its own id and until when (seconds since the epoch) that is to be believed. It
renews that for as long as it is there, so the other one goes on by itself at most LIFE after it was deleted or given an owner of its own.
`crossmesh resume SERVICE` decides for the deployment at which it is said: it takes the first mark over and heeds no more the one whose word it was.
"""

from collections.abc import Iterable, Mapping

import msgspec

from crossmesh.core.actions import Neighbour, Overruled
from crossmesh.core.views import ServiceView

LIFE = (
    1_800.0  # seconds that a contest is believed: longer than tags may have been read before (FULL_EVERY of a look), short enough to wait for
)


def deployment_tag(owner: str) -> str:
    """The tag key under which a deployment with `owner` leaves its id on a service."""
    return f"crossmesh:deployment/{owner}"


def contest_tag(owner: str) -> str:
    """The tag key under which the one that stopped names itself."""
    return f"crossmesh:contested/{owner}"


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """`neighbours`, `overruled` as `actions.Memory` keeps them; `tags`: service key -> tags to write; `notes` for people."""

    neighbours: dict[str, Neighbour]
    overruled: dict[str, Overruled]
    tags: dict[str, dict[str, str]]
    notes: tuple[str, ...]


def judge(
    services: Iterable[ServiceView],
    owner: str,
    me: str,
    *,
    now: float,
    read: float,
    neighbours: Mapping[str, Neighbour],
    overruled: Mapping[str, Overruled],
    resumed: Mapping[str, float],
) -> Conflict:
    """Who else writes with our owner. `read`: when the tags were read, perhaps a while before `now`; `neighbours`, `overruled`: as remembered; `resumed`: as
    people asked, by service."""
    found: dict[str, Neighbour] = {}
    decided: dict[str, Overruled] = {}
    tags: dict[str, dict[str, str]] = {}
    notes = []
    for service in services:
        key, before = service.key, overruled.get(service.key)
        holder = service.tags.get(deployment_tag(owner), me)
        other = holder if holder != me else _contester(service, owner, me, now)
        if before is not None:
            decided[key] = before
        if not other:
            continue
        asked, known = resumed.get(key, 0.0), neighbours.get(key)
        since = known.since if known and known.deployment == other else now
        if asked > since:
            decided[key] = Overruled(deployment=other, asked=asked, at=now)
            if holder != me:
                tags[key] = {deployment_tag(owner): me}
        elif before is not None and before.deployment == other and (holder == me or read <= before.at):
            continue  # a person has decided, and what was read is no newer than that
        else:
            until = known.until if known else 0.0
            if holder != me and until - now < LIFE / 2:
                until = now + LIFE
                tags[key] = {contest_tag(owner): f"{me}@{until:.0f}"}
            found[key] = Neighbour(deployment=other, since=since, until=until if holder != me else 0.0)
            notes.append(_told(owner, me, other, key))
    return Conflict(neighbours=found, overruled=decided, tags=tags, notes=tuple(notes))


def _contester(service: ServiceView, owner: str, me: str, now: float) -> str:
    """Who found our mark and stopped, and is still there; "" = nobody."""
    who, _, until = service.tags.get(contest_tag(owner), "").rpartition("@")
    return who if who != me and until.isdigit() and int(until) > now else ""


def _told(owner: str, me: str, other: str, key: str) -> str:
    return (
        f"owner {owner!r} is used by two deployments: {me} (this one) and {other} (mark on {key}); both have stopped. Give each its own owner in "
        f"crossmesh.yaml, or delete one. The one where `crossmesh resume {key}` is said goes on"
    )
