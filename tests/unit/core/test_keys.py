"""Two different services, instances or pods never share a key, whatever dots and slashes their names have."""

from itertools import combinations

import pytest
from crossmesh.core.keys import instance_key, pod_key, service_key
from hypothesis import given
from hypothesis import strategies as st

SERVICE = st.from_regex(r"[a-c0-1_]([-.a-c_\"]{0,3}[a-c0-1_])?", fullmatch=True)
SPACE = st.text('ab.15/"', min_size=1, max_size=6)


@pytest.mark.parametrize(
    "service_names",
    [
        [("5.prod", "api-1"), ("prod", "api-1.5")],
        [("_tcp.prod", "_http"), ("prod", "_http._tcp")],
        [("b.c.d", "a"), ("c.d", "a.b"), ("d", "a.b.c")],
    ],
)
def test_dots_move_between_service_and_namespace_and_the_key_tells(service_names: list[tuple[str, str]]) -> None:
    keys = [service_key(*place) for place in service_names]
    assert len(set(keys)) == len(keys)


@given(st.lists(st.tuples(SPACE, SERVICE), min_size=2, max_size=8, unique=True))
def test_no_two_services_share_a_key(service_names: list[tuple[str, str]]) -> None:
    assert len({service_key(*place) for place in service_names}) == len(service_names)


@given(st.lists(st.tuples(st.sampled_from(["s.n", "s.n/a", 's.n/"a']), st.text("ab/:@.-", min_size=1, max_size=5)), min_size=2, unique=True))
def test_no_two_instances_share_a_key(service_names: list[tuple[str, str]]) -> None:
    for one, other in combinations(service_names, 2):
        assert instance_key(*one) != instance_key(*other)


def test_names_without_dots_read_as_before() -> None:
    assert service_key("prod.local", "api") == "api.prod.local"
    assert instance_key("api.prod.local", "a.u1") == "api.prod.local/a.u1"
    assert pod_key("a", "u1") == "a/u1"
