"""A snapshot is the same bytes for the same inputs, says why each endpoint left, and is what the server reads."""

import gzip
import json
from typing import Any

import msgspec
import pytest
from crossmesh.core.mesh.xds import snapshot
from crossmesh.core.mesh.xds.snapshot import Publication, Unpublishable
from crossmesh.core.registry.decision import DecidedEndpoint, EndpointDecision
from crossmesh.core.settings import ClusterSettings
from crossmesh_xds import published

from tests.support.publications import CLUSTERS, LINEAGE, Hosts, content, first, hosts, key_of, reread, walkthrough, without

TOPOLOGY = walkthrough()
HOSTS = hosts(TOPOLOGY)
GONE = next(iter(HOSTS.values()))[0].id
KEY = key_of(HOSTS, GONE)


def after(start: Publication, some: Hosts, reasons: dict[tuple[str, str], str] | None = None, topology: Any = TOPOLOGY) -> Publication | None:
    return snapshot.following(content(topology, some, reasons), reread(start), lineage="other", epoch=4)


def test_the_server_reads_what_is_published() -> None:
    made = first(TOPOLOGY, HOSTS)
    pointer = published.read_pointer(msgspec.to_builtins(made.pointer))
    root = published.read_root(pointer, gzip.compress(made.root))
    proxies = {name: one for part in root.proxies for name, one in published.read_proxies(root, part, gzip.compress(made.parts[part])).items()}
    sets = {name: one for part in root.endpoints.parts for name, one in published.read_endpoints(part, gzip.compress(made.parts[part])).items()}
    rendered = content(TOPOLOGY, HOSTS).rendered
    assert {name: json.loads(b"[%s]" % b",".join(map(bytes, one.clusters.resources))) for name, one in proxies.items()} == {
        proxy.id: list(proxy.clusters) for proxy in rendered.proxies
    }
    assert {name: json.loads(bytes(one)) for name, one in sets.items()} == {
        k: v for some in rendered.endpoints.values() for k, v in some.items()
    }
    assert (root.lineage, root.epoch, root.number, root.predecessor, root.left) == (LINEAGE, 3, 1, "", ())
    assert all(one.allowed for one in proxies.values())


def test_the_same_inputs_in_any_order_give_the_same_bytes() -> None:
    turned = {key: list(reversed(some)) for key, some in reversed(HOSTS.items())}
    assert first(TOPOLOGY, HOSTS) == first(TOPOLOGY, turned)


def test_nothing_is_published_when_nothing_changed_whatever_the_epoch() -> None:
    assert after(first(TOPOLOGY, HOSTS), HOSTS) is None


def test_a_pods_change_writes_an_endpoints_part_a_hosts_part_and_the_root() -> None:
    start = first(TOPOLOGY, HOSTS)
    made = after(start, without(HOSTS, GONE), {(KEY, GONE): "dead: its pod ended"})
    assert made is not None
    assert len(made.parts) <= 2
    was, root = snapshot.read_root(start.pointer, start.root), snapshot.read_root(made.pointer, made.root)
    assert root.proxies == was.proxies
    assert (root.number, root.endpoints.number, root.epoch, root.lineage, root.predecessor) == (2, 2, 4, LINEAGE, start.pointer.root)
    assert {(one.address, one.reason) for one in root.left} == {("10.0.0.1", "dead: its pod ended")}


@pytest.mark.parametrize("reasons", [{}, {(KEY, "another"): "dead"}, {("other/service", GONE): "dead"}, {(KEY, GONE): ""}], ids=str)
def test_an_endpoint_that_leaves_without_a_reason_fails_the_publication(reasons: dict[tuple[str, str], str]) -> None:
    with pytest.raises(Unpublishable, match=r"no decision lets these endpoints go: 10\.0\.0\.1"):
        after(first(TOPOLOGY, HOSTS), without(HOSTS, GONE), reasons)


def test_all_endpoints_at_once_fail_it_too() -> None:
    with pytest.raises(Unpublishable, match=r"and \d+ more"):
        after(first(TOPOLOGY, HOSTS), {})


def test_an_address_that_two_instances_share_needs_both_reasons() -> None:
    twin = msgspec.structs.replace(HOSTS[KEY][0], id="twin")
    both = {**HOSTS, KEY: [*HOSTS[KEY], twin]}
    start = first(TOPOLOGY, both)
    with pytest.raises(Unpublishable):
        after(start, without(both, GONE, "twin"), {(KEY, GONE): "dead"})
    assert after(start, without(both, GONE, "twin"), {(KEY, GONE): "dead", (KEY, "twin"): "dead"}) is not None


def test_only_what_may_go_is_a_reason() -> None:
    def one(ident: str, fate: Any, why: Any) -> DecidedEndpoint:
        return DecidedEndpoint(service=KEY, id=ident, cluster="east", uid="u", pod="a/b", virtual_node="n", fate=fate, why=why, reason="so")

    decision = EndpointDecision(decided=(one("a", "may-go", "gone"), one("b", "unhealthy", "unready"), one("c", "must-stay", "unseen")))
    assert snapshot.reasons(decision) == {(KEY, "a"): "gone: so"}


def test_a_new_weight_gives_the_routes_a_new_number_and_nothing_else() -> None:
    start = first(TOPOLOGY, HOSTS)
    made = after(start, HOSTS, topology=walkthrough(**{"weight: 1": "weight: 3"}))
    assert made is not None
    was, now = reread(start), reread(made, start)
    changed = {name for name, one in now.proxies.items() if one.routes.number == 2}
    assert changed
    assert all((one.clusters.number, one.listeners.number) == (1, 1) for one in now.proxies.values())
    assert now.root.endpoints == was.root.endpoints
    assert now.root.left == ()


def test_content_that_comes_back_has_a_new_number_and_a_new_object() -> None:
    start = first(TOPOLOGY, HOSTS)
    reasons = {(KEY, GONE): "dead"}
    second = after(start, without(HOSTS, GONE), reasons)
    assert second is not None
    third = snapshot.following(content(TOPOLOGY, HOSTS), reread(second, start), lineage="", epoch=4)
    assert third is not None
    root = snapshot.read_root(third.pointer, third.root)
    assert root.endpoints.number == 3
    assert not third.parts.keys() & start.parts.keys(), "a name that was dropped never comes back"


def test_who_may_ask_are_the_clusters_that_back_a_node_and_its_namespace() -> None:
    proxies = content(TOPOLOGY, HOSTS).rendered.proxies
    node = next(proxy for proxy in proxies if proxy.kind == "VirtualNode")
    some = (*CLUSTERS, ClusterSettings(name="north", eks="north", region="us-east-1", nodes=("no/such",)))
    found = snapshot.allowed(proxies, some)[node.id]
    assert [(one.cluster, one.namespaces) for one in found] == [(name, (node.key.partition("/")[0],)) for name in ("east", "west")]
    assert all(proxy.kind in ("VirtualNode", "VirtualGateway") for proxy in proxies)


def test_what_is_not_readable_is_no_predecessor() -> None:
    start = first(TOPOLOGY, HOSTS)
    with pytest.raises(Unpublishable):
        snapshot.read_root(start.pointer, start.root + b" ")
    with pytest.raises(Unpublishable):
        snapshot.read_root(msgspec.structs.replace(start.pointer, number=9), start.root)
    root = snapshot.read_root(start.pointer, start.root)
    with pytest.raises(Unpublishable):
        snapshot.in_force(start.pointer, root, dict.fromkeys(root.parts, b"{}"))
