"""A live document that vanishes stays in force until it was away for long."""

from typing import Any

import pytest
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments
from crossmesh.core.compiler.vanished import AWAY, standing


def item(name: str) -> dict[str, Any]:
    return {"kind": "VirtualNode", "metadata": {"namespace": "shop", "name": name}, "spec": {}}


BOTH = ClusterDocuments(cluster="a", items=(item("one"), item("two")))
LESS = ClusterDocuments(cluster="a", items=(item("one"),))
TWO = "VirtualNode shop/two"


@pytest.mark.parametrize("listed", [LESS, ClusterDocuments(cluster="a")], ids=["one away", "all away"])
def test_what_vanishes_stays_in_its_last_form_until_two_readings_lack_it_long_apart(listed: ClusterDocuments) -> None:
    first = standing(listed, BOTH, {}, begun=100.0)
    assert first.documents == BOTH
    assert first.since[TWO] == 100.0
    early = standing(listed, first.documents, first.since, begun=99.0 + AWAY)
    assert (early.documents, early.since) == (BOTH, first.since)
    late = standing(listed, early.documents, early.since, begun=100.0 + AWAY)
    assert (late.documents, late.since) == (listed, {})


def test_where_removals_are_off_it_stays_for_good() -> None:
    assert standing(LESS, BOTH, {TWO: 1.0}, begun=1e9, remove=False).documents == BOTH


def test_what_comes_back_or_is_held_by_another_cluster_is_not_missed() -> None:
    assert standing(BOTH, BOTH, {TWO: 1.0}, begun=2.0).since == {}
    assert standing(LESS, BOTH, {}, begun=2.0, elsewhere={TWO}).documents == LESS
    assert standing(LESS, None, {}, begun=2.0).documents == LESS
