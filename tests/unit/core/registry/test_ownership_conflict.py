"""Who else writes with our owner, from the tags of a service, what is remembered and what a person said."""

import pytest
from crossmesh.core.observed import ServiceView
from crossmesh.core.registry.ownership_conflict import LIFE, Decided, OwnershipConflict, conflict_tag, deployment_tag, detect_conflict
from crossmesh.core.registry.plan import ConflictingDeployment, ResolvedConflict

ME, OTHER, THIRD = "1/us-east-1/mine", "2/us-east-1/theirs", "3/us-east-1/third"
KEY, NOW = "color.demo.local", 10_000.0
HELD, CONFLICT = deployment_tag("prod"), conflict_tag("prod")


def judged(*, now: float = NOW, **known: object) -> OwnershipConflict:
    """With the tags `tags`, and what is remembered."""
    tags: dict[str, str] = known.pop("tags", {})  # type: ignore[assignment]
    service = ServiceView(namespace="demo.local", service="color", id="srv", tags=tags)
    read: float = known.pop("read", now)  # type: ignore[assignment]
    return detect_conflict([service], "prod", ME, Decided(**known), now=now, read=read)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {HELD: ME},
        {HELD: ME, CONFLICT: f"{ME}@{NOW + 60:.0f}"},
        {HELD: ME, CONFLICT: f"{OTHER}@{NOW:.0f}"},
        {HELD: ME, CONFLICT: f"{OTHER}@soon"},
        {HELD: ME, CONFLICT: OTHER},
        {HELD: ME, CONFLICT: ""},
        {deployment_tag("second"): OTHER, conflict_tag("second"): f"{OTHER}@{NOW + 60:.0f}"},
    ],
    ids=["no mark", "ours", "our own word", "believed no more", "no time", "no end", "empty", "another owner's"],
)
def test_nobody_else_is_there(tags: dict[str, str]) -> None:
    assert judged(tags=tags) == OwnershipConflict(conflicting_deployments={}, resolved_conflicts={}, tags={}, notes=())


def test_the_one_that_finds_another_stops_and_says_until_when() -> None:
    found = judged(tags={HELD: OTHER})
    assert found.conflicting_deployments == {KEY: ConflictingDeployment(deployment=OTHER, since=NOW, until=NOW + LIFE)}
    assert found.tags == {KEY: {CONFLICT: f"{ME}@{NOW + LIFE:.0f}"}}
    (note,) = found.notes
    assert ME in note
    assert OTHER in note
    assert f"crossmesh resume {KEY}" in note


@pytest.mark.parametrize(("age", "again"), [(0.0, False), (LIFE / 2, False), (LIFE / 2 + 1, True)])
def test_its_word_is_renewed_at_half_its_life(age: float, again: bool) -> None:
    before = judged(tags={HELD: OTHER}).conflicting_deployments
    found = judged(tags={HELD: OTHER}, conflicting_deployments=before, now=NOW + age)
    assert bool(found.tags) is again
    assert found.conflicting_deployments[KEY].since == NOW


def test_the_one_that_was_found_stops_and_writes_nothing() -> None:
    found = judged(tags={HELD: ME, CONFLICT: f"{OTHER}@{NOW + 60:.0f}"})
    assert found.conflicting_deployments == {KEY: ConflictingDeployment(deployment=OTHER, since=NOW)}
    assert found.tags == {}


@pytest.mark.parametrize(("asked", "counts"), [(NOW, False), (NOW + 1, True)])
def test_a_word_counts_only_after_the_other_was_named(asked: float, counts: bool) -> None:
    tags = {HELD: OTHER}
    before = judged(tags=tags).conflicting_deployments
    found = judged(tags=tags, conflicting_deployments=before, resumed={KEY: asked}, now=NOW + 60)
    assert found.conflicting_deployments == ({} if counts else before)
    assert found.tags == ({KEY: {HELD: ME}} if counts else {})
    assert found.resolved_conflicts == ({KEY: ResolvedConflict(deployment=OTHER, asked=asked, at=NOW + 60)} if counts else {})


def test_a_third_deployment_is_not_meant_by_a_word_against_another() -> None:
    known = {KEY: ResolvedConflict(deployment=OTHER, asked=NOW - 1, at=NOW - 1)}
    word = f"@{NOW + 60:.0f}"
    assert judged(tags={HELD: ME, CONFLICT: OTHER + word}, resolved_conflicts=known).conflicting_deployments == {}
    assert judged(tags={HELD: ME, CONFLICT: THIRD + word}, resolved_conflicts=known).conflicting_deployments[KEY].deployment == THIRD


def test_what_was_read_before_the_mark_was_taken_over_stops_nobody_and_what_came_after_does() -> None:
    known = {KEY: ResolvedConflict(deployment=OTHER, asked=NOW - 1, at=NOW)}
    assert judged(tags={HELD: OTHER}, resolved_conflicts=known, resumed={KEY: NOW - 1}).conflicting_deployments == {}
    assert judged(tags={HELD: OTHER}, resolved_conflicts=known, resumed={KEY: NOW - 1}, now=NOW + 300, read=NOW).conflicting_deployments == {}
    assert (
        judged(tags={HELD: OTHER}, resolved_conflicts=known, resumed={KEY: NOW - 1}, now=NOW + 1).conflicting_deployments[KEY].deployment
        == OTHER
    )
