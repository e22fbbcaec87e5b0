"""What many streams work out alike, worked out once: a thousand Envoys of one virtual node have the
same names, the same sets and the same differences.

Mappings are told apart by identity. They must never change, and an answer holds those that it was
made of, so that no other one gets their identity. To forget an answer costs time and nothing else.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

from .mesh import Resource, set_hash

Resources = Mapping[str, Resource]
LIMIT = 20_000  # answers; each is small, or a mapping that a stream holds anyway

T = TypeVar("T")


class Shared:
    """Pure functions of mappings that remember their answers."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, tuple[object, object]] = {}

    def forget(self) -> None:
        """Before other content is served: most of what is remembered is of the one before."""
        self._answers.clear()

    def names(self, names: Iterable[str]) -> frozenset[str]:
        """One set for all who ask for the same names."""
        found = frozenset(names)
        return self._once(("names", found), None, lambda: found)

    def mark(self, resources: Resources) -> str:
        """As of set_hash."""
        return self._once(("mark", id(resources)), resources, lambda: set_hash(resources))

    def uses(self, resources: Resources) -> frozenset[str]:
        """The clusters that any of them names."""
        return self._once(
            ("uses", id(resources)),
            resources,
            lambda: frozenset().union(*(one.uses for one in resources.values())),
        )

    def part(self, resources: Resources, names: frozenset[str]) -> Resources:
        """Those of the names that are there, in the order of names."""
        return self._once(
            ("part", id(resources), names),
            resources,
            lambda: {name: resources[name] for name in sorted(names) if name in resources},
        )

    def changed(self, before: Resources, after: Resources) -> Resources:
        """Those of `after` that `before` does not have, or has with another hash."""
        return self._once(
            ("changed", id(before), id(after)),
            (before, after),
            lambda: {
                name: one for name, one in after.items() if (held := before.get(name)) is None or held.hash != one.hash
            },
        )

    def joined(self, before: Resources, after: Resources) -> Resources:
        """Both, `after` where both have a name."""
        if before.keys() <= after.keys():
            return after
        return self._once(("joined", id(before), id(after)), (before, after), lambda: {**before, **after})

    def _once(self, key: Hashable, of: object, make: Callable[[], T]) -> T:
        held = self._answers.get(key)
        if held is not None:
            return held[1]  # type: ignore[return-value]
        if len(self._answers) >= LIMIT:
            self._answers.clear()
        found = make()
        self._answers[key] = of, found
        return found
