"""What is lost is told with its place; a lost condition and encryption that cannot be had withhold, and never widen traffic."""

import msgspec
import pytest
from crossmesh.core.documents import Finding
from crossmesh.core.mesh.xds.proxy import ProxyConfig
from crossmesh.core.mesh.xds.render import Rendered, render
from crossmesh.core.settings import EnvoySettings

from tests.support.golden_envoy import GOLDEN, declared

ROUTES, TLS, GATEWAY = ((GOLDEN / f"{name}.yaml").read_text() for name in ("routes", "tls", "gateway-routes"))
ACM = "{acm: {certificateARN: 'arn:aws:acm:us-east-1:111122223333:certificate/one'}}"
ACM_TRUST = "{acm: {certificateAuthorityARNs: ['arn:aws:acm-pca:us-east-1:111122223333:certificate-authority/one']}}"
FILES = (
    "certificate: {file: {certificateChain: /certs/chain.pem, privateKey: /certs/key.pem}}\n"
    "        validation: {trust: {file: {certificateChain: /certs/clients.pem}}"
)


def made(text: str, *plaintext: str, before: str = "") -> Rendered:
    return render(declared(text), EnvoySettings(plaintext=plaintext), before=declared(before) if before else None)


def errors(rendered: Rendered) -> list[str]:
    return [finding.code for finding in rendered.findings if finding.level == "error"]


def proxy(rendered: Rendered, part: str) -> ProxyConfig:
    return next(one for one in rendered.proxies if part in one.id)


def host(rendered: Rendered, service: str) -> dict[str, object]:
    hosts = [host for table in proxy(rendered, "front").routes for host in table["virtual_hosts"] if host["name"] == service]
    assert len(hosts) == 1
    return hosts[0]


LOST = {
    "a pattern that RE2 refuses": ('regex: "/items/[0-9]+"', 'regex: "/items/(?=a)"'),
    "a pattern that is too big": ('regex: "/items/[0-9]+"', 'regex: "(([a-z]{1,30}){1,20}){1,9}"'),
    "an empty range": ("range: {start: 1, end: 9}", "range: {start: 9, end: 9}"),
    "a header's pattern": ('regex: "fo.r"', r'regex: "(a)\\1"'),
    "a route of another protocol": ("httpRoute: {match: {path: {exact: /one}}", "http2Route: {match: {path: {exact: /one}}"),
    "a port that the router has not": ("match: {path: {exact: /one}}", "match: {path: {exact: /one}, port: 8081}"),
}


@pytest.mark.parametrize("old_new", LOST.values(), ids=LOST.keys())
def test_a_lost_condition_withholds_the_whole_router(old_new: tuple[str, str]) -> None:
    assert old_new[0] in ROUTES
    rendered = made(ROUTES.replace(*old_new))
    assert errors(rendered) == ["lost-condition"]
    assert [(one.kind, one.name) for one in rendered.withheld] == [("VirtualRouter", "cart_shop")]
    assert "routes" not in host(rendered, "cart.shop")  # 404, and not the routes that are left
    assert "routes" in host(rendered, "direct.shop")


@pytest.mark.parametrize("old_new", LOST.values(), ids=LOST.keys())
def test_a_router_that_is_withheld_keeps_its_form_before(old_new: tuple[str, str]) -> None:
    rendered, whole = made(ROUTES.replace(*old_new).replace("weight: 3", "weight: 7"), before=ROUTES), made(ROUTES)
    assert host(rendered, "cart.shop") == host(whole, "cart.shop")
    assert len(rendered.withheld) == 1


def test_a_form_before_that_was_lost_too_is_not_kept() -> None:
    broken = ROUTES.replace(*LOST["an empty range"])
    assert "routes" not in host(made(broken, before=broken), "cart.shop")


def test_a_gateway_route_that_no_listener_takes_withholds_the_gateway() -> None:
    broken = GATEWAY.replace("match: {serviceName: shop.Cart, metadata", "match: {serviceName: shop.Cart, port: 8088, metadata")
    rendered = made(broken)
    assert errors(rendered) == ["lost-condition"]
    assert not [one for one in rendered.proxies if one.kind == "VirtualGateway"]
    assert proxy(made(broken, before=GATEWAY), "virtualGateway") == proxy(made(GATEWAY), "virtualGateway")


SERVER = FILES, f"certificate: {ACM}\n        validation: {{trust: {{file: {{certificateChain: /certs/clients.pem}}}}"
CALLER = "trust: {file: {certificateChain: /certs/other.pem}}", f"trust: {ACM_TRUST}"
FRONT = (
    "clientPolicy: {tls: {validation: {trust: {file: {certificateChain: /certs/ca.pem}}}}}",
    f"clientPolicy: {{tls: {{validation: {{trust: {ACM_TRUST}}}}}}}",
)


@pytest.mark.parametrize(
    ("old_new", "names"),
    [(CALLER, ["shop/caller"]), (FRONT, ["shop/front"])],
    ids=["a caller's trust", "a gateway's trust"],
)
def test_encryption_that_cannot_be_had_is_an_error_and_waived_by_name_only(old_new: tuple[str, str], names: list[str]) -> None:
    text = TLS.replace(*old_new)
    assert text != TLS
    rendered = made(text)
    assert errors(rendered) == ["no-encryption"]
    assert {proxy.key for proxy in made(TLS).proxies} - {proxy.key for proxy in rendered.proxies} == set(names)
    assert errors(made(text, "shop/another")) == ["no-encryption"]
    waived = made(text, *names)
    assert errors(waived) == []
    assert len(waived.proxies) == 4
    assert "no-encryption" in {finding.code for finding in waived.findings}


def test_callers_that_insist_on_tls_with_a_waived_server_must_be_waived_too() -> None:
    text = TLS.replace(*SERVER)
    assert text != TLS
    assert set(errors(made(text))) == {"no-encryption"}
    told = [finding.message for finding in made(text, "shop/files").findings if finding.level == "error"]
    assert {("shop/caller" in line, "shop/front" in line) for line in told} == {(True, False), (False, True)}
    assert all("shop/files" in line for line in told)
    waived = made(text, "shop/files", "shop/caller", "shop/front")
    assert errors(waived) == []
    clusters = {cluster["name"]: cluster for cluster in proxy(waived, "caller").clusters}
    assert "transport_socket" not in clusters["cds_egress_shop_files_shop_http_8443"]
    assert "transport_socket" in clusters["cds_egress_shop_secrets_shop_grpc_9090"]


def test_a_waiver_takes_nothing_from_who_can_have_it() -> None:
    plain, waived = made(TLS), made(TLS, "shop/files", "shop/caller", "shop/front", "shop/secrets")
    assert waived.proxies == plain.proxies


def _place(finding: Finding) -> str:
    return finding.place.field


def test_lost_behaviour_is_a_warning() -> None:
    text = ROUTES.replace("healthCheck", "").replace("{name: two}, weight: 3}", "{name: two}, weight: 3, port: 8080}", 1)
    assert made(text).findings == ()
    topology = declared(ROUTES)
    routers = tuple(
        msgspec.structs.replace(
            router,
            routes=tuple(
                msgspec.structs.replace(route, targets=(*route.targets[:1], msgspec.structs.replace(route.targets[1], virtual_node="ghost")))
                for route in router.routes
            ),
        )
        for router in topology.routers
    )
    rendered = render(msgspec.structs.replace(topology, routers=routers), EnvoySettings())
    assert {(finding.level, finding.code) for finding in rendered.findings} == {("warning", "unknown-target")}
    assert _place(rendered.findings[0]).startswith("spec.routes[0]")
    ghost = next(cluster for cluster in proxy(rendered, "front").clusters if "ghost" in cluster["name"])
    assert ghost["load_assignment"] == {"cluster_name": ghost["name"]}  # its share is answered 503, and goes to nobody else
