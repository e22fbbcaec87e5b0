"""What streams share is what each would have worked out alone, whatever was asked before."""

import asyncio
from collections.abc import Mapping

from crossmesh_xds import shared
from crossmesh_xds.identity import Gate, Review
from crossmesh_xds.loader import Loader
from crossmesh_xds.mesh import Resource, set_hash
from crossmesh_xds.metrics import Metrics
from crossmesh_xds.server import Place, Server
from crossmesh_xds.shared import Shared
from hypothesis import given
from hypothesis import strategies as st

from tests.support.one_snapshot import snapshot

MAPPINGS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 2), max_size=5)


def resources(marks: Mapping[str, int]) -> dict[str, Resource]:
    return {name: Resource(name=name, hash=f"{name}{mark}", uses=frozenset({f"c{mark}"})) for name, mark in marks.items()}


@given(
    asked=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.frozensets(st.sampled_from("abcde"))), max_size=40),
    given=st.lists(MAPPINGS, min_size=4, max_size=4),
)
def test_each_answer_is_what_it_would_be_without_memory(asked: list[tuple[int, int, frozenset[str]]], given: list[dict[str, int]]) -> None:
    held, one = [resources(marks) for marks in given], Shared()
    for first, second, names in asked:
        before, after = held[first], held[second]
        assert one.mark(after) == set_hash(after)
        assert one.uses(after) == {used for found in after.values() for used in found.uses}
        assert list(one.part(after, names).items()) == [(name, after[name]) for name in sorted(names) if name in after]
        assert one.changed(before, after) == {name: found for name, found in after.items() if before.get(name) != found}
        assert one.joined(before, after) == {**before, **after}
        assert one.names(tuple(names)) == names


def test_a_thousand_who_ask_alike_hold_one_answer() -> None:
    one, held = Shared(), resources({"a": 1, "b": 2})
    assert len({id(one.names(["a", "b"])) for _ in range(1_000)}) == 1
    assert len({id(one.part(held, frozenset({"a"}))) for _ in range(1_000)}) == 1


def test_a_mapping_made_later_never_gets_the_answer_of_one_that_is_gone() -> None:
    one = Shared()
    for number in range(2_000):  # a freed mapping's identity is the next one's, unless the answer holds it
        made = resources({"a": number})
        assert one.mark(made) == set_hash(made)


def test_what_is_remembered_is_bounded() -> None:
    one = Shared()
    for number in range(shared.LIMIT + 10):
        one.names([str(number)])
    assert len(one._answers) <= shared.LIMIT


def test_the_gauge_of_stopped_resources_follows_a_release_at_once() -> None:
    async def review(_: str) -> Review:
        return Review()

    async def played() -> None:
        metrics = Metrics()
        server = Server(Place(cluster="east", name="one"), Gate(review), Loader(), metrics)
        server.take(snapshot(1))
        server.fleet.stopped.add(("1.40", "broken"))
        assert "crossmesh_xds_stopped_resources 1.0" in metrics.text().decode()
        server.take(snapshot(2, released=["broken"]))
        assert "crossmesh_xds_stopped_resources 0.0" in metrics.text().decode()

    asyncio.run(played())
