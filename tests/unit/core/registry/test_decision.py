"""Which endpoints live, are unhealthy, may go and must stay, each with its reason."""

import pytest

from tests.support.endpoint_cases import Case, played


@pytest.mark.parametrize(
    ("state", "fate", "why", "reason"),
    [
        ("unready", "unhealthy", "unready", "pod demo/pod-u1 of a is not ready"),
        ("terminating", "may-go", "dead", "pod demo/pod-u1 of a is Terminating"),
        ("failed", "may-go", "dead", "pod demo/pod-u1 of a is finished (Failed)"),
        ("gone", "may-go", "gone", "pod demo/pod-u1 of a is gone (GET: 404 or another uid)"),
        ("unproved", "must-stay", "unseen", "the pod is absent from the list and no GET has confirmed it"),
        ("unselected", "may-go", "unselected", "pod demo/pod-u1 of a belongs to another service or to no virtual node now"),
        ("claimed", "must-stay", "claimed", "several virtual nodes select pod demo/pod-u1 of a"),
    ],
)
def test_the_fate_of_a_registered_endpoint(state: str, fate: str, why: str, reason: str) -> None:
    found = played(Case(pods=(("a", "ready", True, False), ("a", state, True, False)))).endpoints
    (one,) = found.decided
    assert (one.id, one.virtual_node, one.fate, one.why, one.reason) == ("a.u1", "blue_demo", fate, why, reason)
    assert [endpoint.id for endpoint in found.live] == ["a.u0"]


def test_an_outlier_is_an_endpoint_and_does_not_live() -> None:
    found = played(Case(pods=(("a", "ready", True, False), ("a", "ready", True, True)))).endpoints
    assert [endpoint.id for endpoint in found.endpoints] == ["a.u0", "a.u1"]
    assert [endpoint.id for endpoint in found.live] == ["a.u0"]
    assert [(one.fate, one.why) for one in found.decided] == [("unhealthy", "outlier")]


def test_what_would_empty_a_virtual_node_must_stay_until_a_second_listing() -> None:
    case = Case(pods=(("a", "gone", True, False),))
    (waits,) = played(case).endpoints.decided
    assert (waits.fate, waits.why, waits.until) == ("must-stay", "unconfirmed", 120.0)
    (goes,) = played(Case(pods=case.pods, pending_deletions=True)).endpoints.decided
    assert (goes.fate, goes.why) == ("may-go", "gone")


def test_an_unready_pod_is_unhealthy_at_once_though_its_removal_waits() -> None:
    found = played(Case(pods=(("a", "unready", True, False),)))
    assert [held.why for held in found.plan.withheld] == ["unconfirmed"]
    assert [(one.fate, one.why) for one in found.endpoints.decided] == [("unhealthy", "unready")]


def test_a_drain_empties_the_registry_and_ends_no_pod() -> None:
    found = played(Case(pods=(("a", "ready", True, False),), draining=True))
    assert [endpoint.id for endpoint in found.endpoints.endpoints] == ["a.u0"]
    assert [(one.fate, one.why) for one in found.endpoints.decided] == [("may-go", "forgotten")]
