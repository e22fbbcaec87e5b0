"""A server goes forward only, and into another lineage only where that one names the served one or a person said so."""

import pytest
from crossmesh_xds.published import Endpoints, Parent, Pointer, Root
from crossmesh_xds.succession import Verdict, of_pointer, of_root

HERE, THERE = "1a" * 16, "2b" * 16


def pointer(number: int = 5, epoch: int = 3, lineage: str = HERE, root: str = "0") -> Pointer:
    return Pointer(lineage=lineage, epoch=epoch, number=number, root=root * 64)


def root(number: int = 6, lineage: str = THERE, parent: str = "") -> Root:
    named = Parent(lineage=parent, number=5) if parent else None
    return Root(format=1, lineage=lineage, epoch=0, number=number, proxies=(), endpoints=Endpoints(number=1), parent=named)


@pytest.mark.parametrize(
    ("read", "verdict"),
    [
        (pointer(), Verdict.SAME),
        (pointer(6), Verdict.NEXT),
        (pointer(6, epoch=4), Verdict.NEXT),
        (pointer(4), Verdict.OLDER),
        (pointer(4, epoch=9), Verdict.OLDER),  # a new holder of the lease that does not know how far we are
        (pointer(6, epoch=2), Verdict.OLDER),  # a writer that lost its lease
        (pointer(5, root="1"), Verdict.OLDER),  # the same number twice
        (pointer(1, epoch=0, lineage=THERE), Verdict.NEXT),  # its root is asked
    ],
)
def test_a_pointer_leads_forward_or_nowhere(read: Pointer, verdict: Verdict) -> None:
    assert of_pointer(pointer(), read) is verdict
    assert of_pointer(None, read) is Verdict.NEXT


@pytest.mark.parametrize(
    ("read", "adopted", "verdict"),
    [
        (root(), "", Verdict.FOREIGN),
        (root(parent=HERE), "", Verdict.NEXT),
        (root(parent=THERE), "", Verdict.FOREIGN),
        (root(), THERE, Verdict.NEXT),
        (root(), HERE, Verdict.FOREIGN),
        (root(5, parent=HERE), "", Verdict.FOREIGN),  # Envoys that hold 5 would take nothing from it
        (root(4), THERE, Verdict.FOREIGN),
        (root(lineage=HERE), "", Verdict.NEXT),
    ],
)
def test_another_lineage_is_adopted_by_name_only_and_only_above(read: Root, adopted: str, verdict: Verdict) -> None:
    assert of_root(pointer(), read, adopted) is verdict


def test_a_server_that_starts_takes_what_it_finds_or_what_it_was_told() -> None:
    assert of_root(None, root()) is Verdict.NEXT
    assert of_root(None, root(), THERE) is Verdict.NEXT
    assert of_root(None, root(), HERE) is Verdict.FOREIGN
