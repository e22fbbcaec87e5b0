"""`plan` and `doctor` look with a person's rights: what the deployed functions cannot see is said, too."""

import pytest
from crossmesh.core.diagnosis.doctor import unseen_deployed
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.reporting.report import ClusterLine, Report

from tests.support.desk import Desk

REFUSED = "HTTP 401 at /api/v1/namespaces"


def dark_for_the_functions(desk: Desk) -> None:
    """The last look of the functions was refused by cluster b; the person who asks now is not."""
    desk.pods(blue=1)
    desk.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail=REFUSED)
    desk.look()
    del desk.world.clusters.failing["b"]


@pytest.mark.parametrize("words", [("plan",), ("doctor", "--skip", "account", "--skip", "path")])
def test_a_cluster_that_only_the_person_sees_is_named_with_the_fix(desk: Desk, words: tuple[str, ...]) -> None:
    dark_for_the_functions(desk)
    code, out, _ = desk.run(*words)
    assert code == 3
    told = " ".join(out.split())
    assert f"the deployed functions do not see cluster b (refused: {REFUSED})" in told
    assert "access entry" in told


@pytest.mark.parametrize("words", [("plan",), ("doctor", "--skip", "account", "--skip", "path")])
def test_where_the_functions_see_everything_nothing_is_said(desk: Desk, words: tuple[str, ...]) -> None:
    desk.pods(blue=1)
    desk.look()
    code, out, _ = desk.run(*words)
    assert code != 1
    assert "deployed functions do not see" not in out


def test_who_sees_it_is_part_of_the_evidence() -> None:
    line = ClusterLine(name="b", cause="timeout", detail="25 s")
    report = Report(id="x", kind="quiet", at=0.0, config="", clusters=(ClusterLine(name="a"), line))
    (seen,) = unseen_deployed(report, (Seen(cluster="b", begun=0.0, identity="x"),))
    (dark,) = unseen_deployed(report, (Unseen(cluster="b", cause="timeout"),))
    assert (seen.evidence, dark.evidence) == (("you see it with your own rights",), ())
    assert unseen_deployed(None, ()) == ()
