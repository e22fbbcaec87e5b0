"""What one Envoy may get next: nothing that names a cluster before the cluster is there, and no cluster gone while something in force names it."""

from typing import Any

from world.dataplane.names import CLUSTER, ENDPOINTS, LISTENER, ROUTE
from world.dataplane.turns import Resources, Turn, named, version

Spec = dict[str, Any]


def table(name: str, *clusters: str) -> Spec:
    weighted = {"clusters": [{"name": cluster, "weight": 1} for cluster in clusters]}
    return {"name": name, "virtual_hosts": [{"name": "s", "routes": [{"route": {"weighted_clusters": weighted}}]}]}


def listener(name: str, cluster: str) -> Spec:
    return {"name": name, "filter_chains": [{"filters": [{"typed_config": {"cluster": cluster}}]}]}


def wanted(*clusters: str, tables: tuple[Spec, ...] = (), listeners: tuple[Spec, ...] = ()) -> Resources:
    return {
        CLUSTER: [{"name": name, "type": "EDS"} for name in clusters],
        ENDPOINTS: [{"cluster_name": name, "endpoints": [f"of {name}"]} for name in clusters],
        ROUTE: list(tables),
        LISTENER: list(listeners),
    }


class Envoy:
    """Polls, and goes by what it gets unless it `refuses` a kind or a route configuration."""

    def __init__(self, turn: Turn) -> None:
        self.turn, self.refuses = turn, set[str]()
        self.has: dict[tuple[str, str], list[Spec]] = {}

    def poll(self, kind: str, name: str = "") -> list[Spec] | None:
        found = self.turn.answer(kind, [name] if name else [], version(self.has[kind, name]) if (kind, name) in self.has else "")
        if found is not None and not {kind, name} & self.refuses:
            self.has[kind, name] = found
        return found

    def names(self, kind: str, name: str = "") -> set[str]:
        return {one["name"] for one in self.has.get((kind, name), ())}

    def all(self, *tables: str) -> None:
        """One round of polls in the order in which Envoy starts."""
        self.poll(CLUSTER)
        for cluster in sorted(self.names(CLUSTER)):
            self.poll(ENDPOINTS, cluster)
        self.poll(LISTENER)
        for name in tables:
            self.poll(ROUTE, name)


def started(resources: Resources, *tables: str) -> Envoy:
    """Goes by all of it."""
    envoy = Envoy(Turn())
    envoy.turn.want(resources)
    for _ in range(2):
        envoy.all(*tables)
    assert envoy.turn.waits() == []
    return envoy


def test_clusters_are_read_from_routes_and_from_listeners() -> None:
    assert named([table("t", "a", "b"), listener("l", "c")]) == {"a", "b", "c"}
    assert named({"route": {"cluster": "d"}, "more": [{"weighted_clusters": {"clusters": [{"name": "e", "weight": 0}]}}]}) == {"d", "e"}


def test_before_anything_was_read_there_is_no_answer() -> None:
    turn = Turn()
    assert turn.answer(CLUSTER, [], "") is None
    assert turn.waits() == ["everything"]


def test_routes_wait_for_a_new_cluster_and_for_where_it_is() -> None:
    envoy = started(wanted("a", tables=(table("t", "a"),)), "t")
    envoy.turn.want(wanted("a", "b", tables=(table("t", "a", "b"),)))
    assert envoy.poll(ROUTE, "t") == [table("t", "a")], "the cluster was not given"
    envoy.poll(CLUSTER)
    assert envoy.poll(ROUTE, "t") == [table("t", "a")], "where it is was not given"
    envoy.poll(ENDPOINTS, "b")
    assert envoy.poll(ROUTE, "t") == [table("t", "a", "b")]


def test_a_cluster_of_dns_needs_no_endpoints() -> None:
    envoy = started(wanted("a", tables=(table("t", "a"),)), "t")
    there = wanted("a", tables=(table("t", "d"),))
    envoy.turn.want({**there, CLUSTER: [{"name": "d", "type": "LOGICAL_DNS"}]})
    envoy.poll(CLUSTER)
    assert envoy.poll(ROUTE, "t") == [table("t", "d")]


def test_routes_of_a_new_listener_wait_without_an_answer() -> None:
    envoy = started(wanted("a"))
    envoy.turn.want(wanted("a", "b", tables=(table("new", "b"),)))
    assert envoy.poll(ROUTE, "new") is None


def test_listeners_wait_for_clusters_that_they_name_themselves() -> None:
    envoy = started(wanted("a", listeners=(listener("l", "a"),)))
    envoy.turn.want(wanted("b", listeners=(listener("l", "b"),)))
    assert envoy.poll(LISTENER) == [listener("l", "a")]
    envoy.poll(CLUSTER)
    envoy.poll(ENDPOINTS, "b")
    assert envoy.poll(LISTENER) == [listener("l", "b")]


def test_a_cluster_that_is_to_go_stays_until_envoy_left_its_routes() -> None:
    envoy = started(wanted("a", "b", tables=(table("t", "a", "b"),)), "t")
    envoy.turn.want(wanted("b", tables=(table("t", "b"),)))
    envoy.poll(CLUSTER)
    assert envoy.names(CLUSTER) == {"a", "b"}
    assert envoy.poll(ENDPOINTS, "a") == [{"cluster_name": "a", "endpoints": ["of a"]}], "with the endpoints of before"
    envoy.poll(ROUTE, "t")
    envoy.poll(CLUSTER)
    assert envoy.names(CLUSTER) == {"a", "b"}, "given is not taken"
    envoy.poll(ROUTE, "t")
    envoy.poll(CLUSTER)
    assert envoy.names(CLUSTER) == {"b"}
    assert envoy.turn.waits() == []


def test_a_cluster_stays_with_listeners_that_name_it_and_goes_with_a_port() -> None:
    envoy = started(wanted("a", "b", "c", tables=(table("t", "b"), table("u", "c")), listeners=(listener("l", "a"),)), "t", "u")
    envoy.turn.want(wanted("b", tables=(table("t", "b"),), listeners=(listener("l", "b"),)))
    envoy.poll(CLUSTER)
    assert envoy.names(CLUSTER) == {"a", "b"}, "a by the listener; nobody asks for the routes to c any more"
    for _ in range(2):
        envoy.poll(LISTENER)
    envoy.poll(CLUSTER)
    assert envoy.names(CLUSTER) == {"b"}


def test_a_cluster_that_comes_back_is_waited_for_again() -> None:
    envoy = started(wanted("a", "b", tables=(table("t", "a", "b"),)), "t")
    envoy.turn.want(wanted("a", tables=(table("t", "a"),)))
    for _ in range(3):
        envoy.all("t")
    assert envoy.names(CLUSTER) == {"a"}
    envoy.turn.want(wanted("a", "b", tables=(table("t", "b"),)))
    assert envoy.poll(ROUTE, "t") == [table("t", "a")]
    envoy.poll(CLUSTER)
    assert envoy.poll(ROUTE, "t") == [table("t", "a")], "endpoints of before do not count"


def test_routes_to_a_node_that_is_no_more_wait_for_nothing() -> None:
    envoy = started(wanted("a", tables=(table("t", "a"),)), "t")
    envoy.turn.want(wanted(tables=(table("t", "gone"),)))
    assert envoy.poll(ROUTE, "t") == [table("t", "gone")]


def test_refused_clusters_hold_up_the_routes_that_need_them_and_no_others() -> None:
    envoy = started(wanted("a", tables=(table("t", "a"), table("u", "a"))), "t", "u")
    envoy.refuses = {CLUSTER}
    other = {**table("u", "a"), "more": True}
    envoy.turn.want(wanted("a", "b", tables=(table("t", "b"), other)))
    for _ in range(3):
        envoy.all("t", "u")
    assert envoy.has[ROUTE, "t"] == [table("t", "a")]
    assert envoy.has[ROUTE, "u"] == [other]
    assert envoy.turn.waits() == ["cluster b", "routes t"]


def test_refused_routes_keep_the_clusters_that_envoy_still_goes_by() -> None:
    envoy = started(wanted("a", "b", tables=(table("t", "a"), table("u", "b"))), "t", "u")
    envoy.refuses = {"t"}
    envoy.turn.want(wanted("c", tables=(table("t", "c"), table("u", "c"))))
    for _ in range(4):
        envoy.all("t", "u")
    assert envoy.names(CLUSTER) == {"a", "c"}
    assert envoy.has[ROUTE, "u"] == [table("u", "c")]
    assert envoy.turn.waits() == ["routes t"]
