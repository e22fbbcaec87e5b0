"""What one Envoy may get next: make before break. Pure.

An Envoy asks for each kind of resource in its own time. So routes and listeners wait until it has their clusters and where these are, and a cluster stays
for as long as routes or listeners that it goes by name it. A kind that it refuses holds up what needs it, and nothing else.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from world.dataplane.names import CLUSTER, ENDPOINTS, LISTENER, ROUTE, Spec

Resources = dict[str, list[Spec]]
_Asked = tuple[str, str]  # a kind, and the name of one resource where Envoy asks for them one by one


class Turn:
    """What one Envoy is to have, was given, and said that it goes by."""

    def __init__(self) -> None:
        self._wanted: Resources | None = None
        self._given: dict[_Asked, dict[str, list[Spec]]] = {}  # by version: what it goes by, and what it was given last
        self._accepted: dict[_Asked, str] = {}
        self._last: dict[_Asked, str] = {}
        self._located: set[str] = set()  # clusters whose endpoints it was given
        self._places: dict[str, Spec] = {}  # endpoints, also of clusters that are to go

    def want(self, resources: Resources) -> None:
        """What it is to have from now on."""
        self._wanted = resources
        self._places |= {one["cluster_name"]: one for one in resources[ENDPOINTS]}

    def answer(self, kind: str, names: list[str], accepted: str) -> list[Spec] | None:
        """What a poll gets, which says what version it goes by; None where it has to wait."""
        asked = kind, ",".join(sorted(names))
        self._accepted[asked] = accepted
        found = self._next(kind, names)
        if found is None:
            return None
        self._last[asked] = version(found)
        kept = {one: there for one, there in self._given.get(asked, {}).items() if one == accepted}
        self._given[asked] = kept | {self._last[asked]: found}
        if kind == CLUSTER:
            self._located &= _names(found)
        elif kind == ENDPOINTS:
            self._located |= set(names)
        return found

    def waits(self) -> list[str]:
        """What it does not go by yet, of all that it is to have; [] where it goes by everything."""
        if self._wanted is None:
            return ["everything"]
        clusters = self._goes_by(CLUSTER, "")
        found = [f"cluster {one['name']}" for one in self._wanted[CLUSTER] if one not in clusters]
        found += [f"listener {one['name']}" for one in self._wanted[LISTENER] if one not in self._goes_by(LISTENER, "")]
        return found + [f"routes {one['name']}" for one in self._wanted[ROUTE] if one not in self._goes_by(ROUTE, one["name"])]

    def _goes_by(self, kind: str, name: str) -> list[Spec]:
        return self._given.get((kind, name), {}).get(self._accepted.get((kind, name), ""), [])

    def _next(self, kind: str, names: list[str]) -> list[Spec] | None:
        if self._wanted is None:
            return None
        if kind == CLUSTER:
            return [*self._wanted[CLUSTER], *self._still_named()]
        if kind == ENDPOINTS:
            return [self._places[name] for name in names if name in self._places]
        wanted = [one for one in self._wanted[kind] if not names or one["name"] in names]
        if kind not in (LISTENER, ROUTE) or self._has(named(wanted)):
            return wanted
        asked = kind, ",".join(sorted(names))
        return self._given.get(asked, {}).get(self._last.get(asked, ""))

    def _still_named(self) -> list[Spec]:
        """Clusters that are to go and have to stay until nothing that is in force names them."""
        assert self._wanted is not None
        tables = {one["name"] for one in self._wanted[ROUTE]}
        in_force = [
            one
            for (kind, name), versions in self._given.items()
            if kind == LISTENER or (kind == ROUTE and name in tables)
            for resources in versions.values()
            for one in resources
        ]
        there = {one["name"]: one for versions in (self._given.get((CLUSTER, ""), {}),) for found in versions.values() for one in found}
        gone = (there.keys() - _names(self._wanted[CLUSTER])) & named(in_force)
        return [there[name] for name in sorted(gone)]

    def _has(self, clusters: set[str]) -> bool:
        """Whether Envoy has these clusters and knows where they are, of those that it is to have."""
        assert self._wanted is not None
        given = self._given.get((CLUSTER, ""), {}).get(self._last.get((CLUSTER, ""), ""), [])
        needed = [one for one in self._wanted[CLUSTER] if one["name"] in clusters]
        return all(one["name"] in _names(given) and (one["type"] != "EDS" or one["name"] in self._located) for one in needed)


def named(value: Any) -> set[str]:
    """Clusters that routes or listeners name."""
    return set(_named(value))


def _named(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _named(item)
    elif isinstance(value, dict):
        if isinstance(value.get("cluster"), str):
            yield value["cluster"]
        yield from (one["name"] for one in (value.get("weighted_clusters") or {}).get("clusters", ()))
        for item in value.values():
            yield from _named(item)


def _names(resources: list[Spec]) -> set[str]:
    return {one["name"] for one in resources}


def version(resources: list[Spec]) -> str:
    """By which Envoy tells whether something changed."""
    return hashlib.sha256(json.dumps(resources, sort_keys=True).encode()).hexdigest()[:16]
