"""Random routes and requests: where the rendered table sends a request, App Mesh's documented rules may send it."""

from typing import Any

from crossmesh.core.compiler.routes import route_of
from crossmesh.core.mesh.xds.render import render
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology, VirtualRouter
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.golden_envoy import GOLDEN, declared
from tests.support.route_reading import Request, goes, may_go, rewritten

CONFIGURATIONS, REQUESTS = 200, 50
PATHS = ["/", "/a", "/a/", "/a/b", "/a/bc", "/ab", "/b"]
VALUES = ["", "a", "ab", "b", "ba", "1", "5", "-3", "x5"]
NAMES = ["x-one", "X-Two"]
SERVICE = "cart.shop"
BASE = declared((GOLDEN / "routes.yaml").read_text())
FRONT = declared((GOLDEN / "gateway.yaml").read_text())

matches = st.one_of(
    st.just({}),
    st.sampled_from(VALUES[1:]).map(lambda value: {"exact": value}),
    st.sampled_from(["a", "b", "x"]).map(lambda value: {"prefix": value}),
    st.sampled_from(["a", "b", "5"]).map(lambda value: {"suffix": value}),
    st.sampled_from(["a.?", "[0-9]+", ".*b"]).map(lambda value: {"regex": value}),
    st.sampled_from([(0, 5), (-5, 2), (5, 6)]).map(lambda span: {"range": {"start": span[0], "end": span[1]}}),
)


@st.composite
def headers(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"name": draw(st.sampled_from(NAMES))}
    if match := draw(matches):
        made["match"] = match
    if draw(st.booleans()):
        made["invert"] = True
    return made


@st.composite
def routes(draw: st.DrawFn, number: int) -> dict[str, Any]:
    where = draw(
        st.one_of(
            st.sampled_from(PATHS).map(lambda path: {"prefix": path}),
            st.sampled_from(PATHS).map(lambda path: {"path": {"exact": path}}),
            st.sampled_from(["/a.*", "/[ab]", "/a/b?c?"]).map(lambda pattern: {"path": {"regex": pattern}}),
        )
    )
    match: dict[str, Any] = dict(where)
    if draw(st.integers(0, 3)) == 0:
        match["method"] = draw(st.sampled_from(["GET", "POST"]))
    if found := draw(st.lists(headers(), max_size=2)):
        match["headers"] = found
    if draw(st.integers(0, 3)) == 0:
        match["queryParameters"] = [draw(st.sampled_from([{"name": "q"}, {"name": "q", "match": {"exact": "1"}}]))]
    targets = [
        {"@VirtualNode": "one_shop", "virtualNodeRef": {"name": "one"}, "weight": number},
        {"@VirtualNode": "two_shop", "virtualNodeRef": {"name": "two"}, "weight": draw(st.integers(1, 90))},
    ]
    made: dict[str, Any] = {"name": f"r{number}", "httpRoute": {"match": match, "action": {"weightedTargets": targets}}}
    if draw(st.booleans()):
        made["priority"] = draw(st.integers(0, 3))
    return made


routers = st.integers(1, 6).flatmap(lambda count: st.tuples(*(routes(number) for number in range(count)))).map(list)
requests = st.builds(
    Request,
    host=st.sampled_from([SERVICE, f"{SERVICE}:8080", SERVICE.upper()]),
    path=st.sampled_from([*PATHS, "/a/b/c", "/c"]),
    method=st.sampled_from(["GET", "POST"]),
    query=st.sampled_from([(), (("q", "1"),), (("q", "2"),)]),
    headers=st.tuples(*(st.sampled_from([None, *VALUES]) for _ in NAMES)).map(
        lambda found: tuple((name.lower(), value) for name, value in zip(NAMES, found, strict=True) if value is not None)
    ),
)


def routed(found: list[dict[str, Any]]) -> Topology:
    """The mesh with these routes in its router."""
    given_routes = tuple(route_of(route) for route in found)
    routers_now: tuple[VirtualRouter, ...] = tuple(replace(router, routes=given_routes) for router in BASE.routers)
    return replace(BASE, routers=routers_now)


def egress(topology: Topology) -> dict[str, Any]:
    """The route table by which the caller asks."""
    made = render(topology, EnvoySettings())
    assert [finding for finding in made.findings if finding.level == "error"] == []
    front = next(proxy for proxy in made.proxies if "front" in proxy.id)
    return next(dict(table) for table in front.routes if table["name"] == "rds_egress_http_8080")


def shares(route: Any) -> frozenset[tuple[str, int]]:
    """The targets of a rendered route."""
    clusters = route["route"]["weighted_clusters"]["clusters"]
    return frozenset(("one" if "_one_" in one["name"] else "two", one["weight"]) for one in clusters)


@settings(max_examples=CONFIGURATIONS, deadline=None)
@given(found=routers, asked=st.lists(requests, min_size=REQUESTS, max_size=REQUESTS))
def test_a_request_goes_where_app_mesh_may_have_sent_it(found: list[dict[str, Any]], asked: list[Request]) -> None:
    table = egress(routed(found))
    for request in asked:
        route, allowed = goes(table, request), may_go(found, request)
        assert (shares(route) in allowed) if route is not None else not allowed, (request, allowed, route)


HOSTS = {"home.prod", "admin.prod", "bare.prod", "hot.prod"}


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(
        ["/", "/x", "/healthcheck", "/healthcheck/", "/healthcheck/a", "/foxpage-admin/a", "/flutter-server", "/hot/a", "/hot"]
    ),
    host=st.sampled_from(["example.com", "example.com:8088", "admin.prod", "home.prod", "HOT.prod"]),
    forged=st.sampled_from(["", "admin.prod", "hot.prod"]),
)
@example(path="/hot/a", host="admin.prod", forged="")
def test_a_gateway_hands_a_request_to_the_virtual_service_of_its_longest_prefix(path: str, host: str, forged: str) -> None:
    """Through both hops, whatever host or header the client sends."""
    prefixes = {"/healthcheck": "home", "/foxpage-admin": "admin", "/flutter-server": "bare", "/hot/": "hot", "/": "home"}
    wanted = prefixes[max((prefix for prefix in prefixes if path.startswith(prefix)), key=len)]
    gateway = next(proxy for proxy in render(FRONT, EnvoySettings()).proxies if "virtualGateway" in proxy.id)
    tables = {table["name"]: table for table in gateway.routes}
    headers = (("x-app-mesh-virtual-service", forged),) if forged else ()
    first = goes(tables["rds_ingress_http_8088"], Request(host=host, path=path, headers=headers))
    assert first is not None
    second = rewritten(first, Request(host=host, path=path, headers=headers))
    reached = goes(tables["rds_egress_http_15001"], second)
    if wanted == "bare":
        assert reached is None  # a virtual service without routes
        return
    assert reached is not None
    assert {one["name"] for one in reached["route"]["weighted_clusters"]["clusters"]} == {
        f"cds_egress_app-mesh_{wanted}-{kind}_prod_http_8080" for kind in ("canary", "primary")
    }
    if wanted == "home" and path.startswith("/healthcheck"):
        assert second.path == path.removeprefix("/healthcheck").rstrip("/") or second.path == "/" + path.removeprefix("/healthcheck").lstrip(
            "/"
        )
    if wanted == "hot":
        assert (second.path, second.host) == (path, host)
