"""What is decided of endpoints is carried out by the plan or withheld by name, and no more than that."""

from collections import Counter

import msgspec
from crossmesh.core.keys import service_key
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import Deregister, Register, SetHealth
from crossmesh.core.registry.planner import planned
from hypothesis import given

from tests.support.endpoint_cases import Case, cases, inputs, played


@given(cases)
def test_every_endpoint_is_registered_or_withheld(case: Case) -> None:
    if case.draining:
        return  # a drain keeps the registry empty, whatever lives
    found, there = played(case), {i.id for service in inputs(case).registry.services for i in service.instances}
    adds = {action.id for action in found.plan.actions if isinstance(action, Register)}
    held = {one.id for one in found.plan.withheld if one.what == "register"}
    assert {endpoint.id for endpoint in found.endpoints.endpoints} <= there | adds | held
    assert adds <= {endpoint.id for endpoint in found.endpoints.endpoints}
    assert {ep.instance_id(one.cluster, one.uid) for one in found.endpoints.claimed} <= held


@given(cases)
def test_every_endpoint_in_force_has_one_fate_with_a_reason(case: Case) -> None:
    found = played(case)
    fates = Counter((one.service, one.id) for one in found.endpoints.decided)
    in_force = {(service.key, i.id) for service in inputs(case).registry.services for i in service.instances}
    assert all(count == 1 for count in fates.values())
    assert in_force <= fates.keys() | {(one.key, one.id) for one in found.endpoints.live}
    assert not fates.keys() & {(one.key, one.id) for one in found.endpoints.live}
    assert all(one.reason for one in found.endpoints.decided)
    assert all(bool(one.until) == (one.why == "unconfirmed") for one in found.endpoints.decided)


@given(cases)
def test_what_must_stay_stays_and_what_may_go_goes_or_is_withheld(case: Case) -> None:
    found = played(case)
    fates = {(one.service, one.id): one for one in found.endpoints.decided}
    out = {(service_key(a.namespace, a.service), a.id) for a in found.plan.actions if isinstance(a, Deregister)}
    down = {(service_key(a.namespace, a.service), a.id) for a in found.plan.actions if isinstance(a, SetHealth) and a.status == "UNHEALTHY"}
    held = {(one.service, one.id) for one in found.plan.withheld if one.what == "deregister"}
    stay = {key for key, one in fates.items() if one.fate == "must-stay"}
    assert not stay & (out | down)
    assert out | down <= fates.keys()
    if case.problem:
        return  # nothing of the service can be read, so its instances are none of the plan's
    assert {key for key, one in fates.items() if one.fate == "may-go"} <= out | held
    in_force = {(service.key, i.id) for service in inputs(case).registry.services for i in service.instances}
    outliers = {key for key, one in fates.items() if one.why == "outlier"}
    unhealthy = {key for key, one in fates.items() if one.fate == "unhealthy"} & in_force
    assert unhealthy - (set() if case.custom_health else outliers) <= out | down | held


@given(cases)
def test_no_state_of_cloud_map_decides_which_pods_live(case: Case) -> None:
    """A service that cannot be read, or whose policy removes nothing, changes nothing about pods."""
    well = played(msgspec.structs.replace(case, problem=False, upsert_only=False, custom_health=False))
    ill = played(msgspec.structs.replace(case, problem=True, upsert_only=True, custom_health=True))
    assert ill.endpoints.live == well.endpoints.live
    proved = [{one.id for one in found.endpoints.decided if one.why == "dead"} for found in (well, ill)]
    assert proved[0] == proved[1]


def test_an_unread_cluster_decides_nothing() -> None:
    case = Case(pods=(("a", "ready", True, False), ("b", "gone", True, False)), unseen=("b",))
    (one,) = planned(inputs(case)).endpoints.decided
    assert (one.fate, one.why, one.id) == ("must-stay", "unseen", "b.u1")
