"""Nonsense at the borders where people and tenants write: live documents, settings, queue messages. No crash, and nobody else is held up."""

import json
from typing import Any

import yaml
from crossmesh.adapters.kubernetes.manifests import listed
from crossmesh.cli.redrive import understood
from crossmesh.core import bounds
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments
from crossmesh.manifests.judged import judged
from crossmesh.manifests.settings.load import load_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.measured import measured
from tests.support.tenants import ALL, HEAD, KEYS, held, node
from tests.support.tenants import settings as live_settings

QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-5, 70_000)
    | st.text(max_size=8)
    | st.sampled_from(["pay", "payments", "mallory", "pay.prod.local"])
)
FIELDS = st.sampled_from(
    ["name", "namespace", "labels", "awsName", "podSelector", "matchLabels", "listeners", "portMapping", "port", "protocol", "serviceDiscovery",
     "awsCloudMap", "namespaceName", "serviceName", "backends", "virtualService", "virtualServiceRef", "provider", "virtualNode", "virtualNodeRef",
     "routes", "httpRoute", "match", "prefix", "action", "weightedTargets", "weight", "namespaceSelector", "x"]
)  # fmt: skip
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4), max_leaves=14)
NAMED = st.fixed_dictionaries({"name": st.sampled_from(["x", "pay", "cart"]), "namespace": st.just("mallory")})
KINDS = st.sampled_from(["VirtualNode", "VirtualService", "VirtualRouter", "VirtualGateway", "GatewayRoute", "BackendGroup"])


def answered(*found: tuple[str, Any, Any]) -> Any:
    """The lists by kind, as the adapter gives them: whatever a cluster answered in the shape of a list of objects."""

    def of(_: str, kind: str) -> list[dict[str, Any]]:
        return [{"metadata": metadata, "spec": spec} for its, metadata, spec in found if kind == f"{its}List"]

    return of


@QUICK
@given(found=st.lists(st.tuples(KINDS, NAMED | VALUES, VALUES), max_size=6), first=st.booleans())
def test_whatever_a_tenant_writes_into_a_cluster_the_others_documents_are_in_force(found: list[tuple[str, Any, Any]], first: bool) -> None:
    """A tenant writes in one namespace; what bears no name of it there is of nobody's."""
    theirs = [one for one in found if not isinstance(one[1], dict) or one[1].get("namespace") not in ("payments", "shop")]
    read = listed("one", 0.0, answered(*theirs))
    ours = held(*ALL)
    new = ClusterDocuments(cluster="one", items=(*ours.items, *read.items))
    verdict = judged(live_settings(services=(("payments", ("pay.prod.local",)),)), [new], [] if first else [ours])
    assert [key for key in (n.key for n in verdict.built.topology.nodes) if not key.startswith(("mallory/", "default/"))] == KEYS
    assert all(len(line) < 5_000 for line in bounds.lines(verdict.aside))
    again = judged(live_settings(services=(("payments", ("pay.prod.local",)),)), [new], verdict.held)
    assert again.held == verdict.held, "the next look finds the same in force"


SETTINGS = {
    "owner": "me", "region": "us-east-1", "clusters": {"one": {}, "two": {"nodes": ["payments/pay"]}}, "open_ports": [443], "policy": {},
    "mesh": {"manifests": {"clusters": ["one"], "services": {"payments": ["pay.prod.local"]}}}, "canaries": {"c": {"url": "http://x"}},
}  # fmt: skip


@QUICK
@given(data=st.data())
def test_no_settings_crash_the_reader(data: st.DataObject) -> None:
    """One part of good settings is anything: an error with its place, or settings."""
    spoiled: Any = json.loads(json.dumps(SETTINGS))
    inner = spoiled
    while isinstance(inner, dict) and inner:
        key = data.draw(st.sampled_from(sorted(inner)))
        if not isinstance(inner[key], dict) or data.draw(st.booleans()):
            inner[key] = data.draw(VALUES)
            break
        inner = inner[key]
    text = yaml.safe_dump(spoiled, allow_unicode=data.draw(st.booleans()))
    found = load_settings("crossmesh.yaml", text.encode())
    assert (found.settings is None) == any(finding.level == "error" for finding in found.findings)


BODIES = st.text(max_size=60) | VALUES.map(json.dumps) | st.sampled_from(["[" * 100_000, '{"a":' * 40_000, "1" * 5_000, '"\\ud800"', "1e999"])
REQUEST = st.sampled_from(["requestContext", "requestPayload", "responsePayload", "source", "detail-type", "functionArn", "errorMessage"])
RECORDS = st.dictionaries(REQUEST, VALUES | st.dictionaries(REQUEST, VALUES, max_size=3), max_size=5).map(json.dumps)


@QUICK
@given(body=BODIES | RECORDS, attributes=st.dictionaries(st.sampled_from(["TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE"]), st.text(max_size=20)))
def test_no_queue_message_crashes_its_reader(body: str, attributes: dict[str, str]) -> None:
    given = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    lost = understood({"Body": body, "ReceiptHandle": "r", "MessageAttributes": given}, "q")
    assert lost.kind in ("invocation", "event", "execution")
    assert isinstance(lost.target, str)
    assert isinstance(lost.payload, str)


def test_thousands_of_hostile_documents_cost_a_bounded_amount() -> None:
    """Chains, copies, squatters and nonsense in one namespace beside everybody's: measured in a process of its own."""
    before = (
        "from crossmesh.manifests.judged import judged\nfrom tests.support.tenants import *\n"
        "chain = [t for n in range(500) for t in (asks(f'mallory/n{n}', f'mallory/s{n + 1}'), offers(f'mallory/s{n}', f'n{n}'))]\n"
        "stolen = [node(f'mallory/p{n}', 'pay') for n in range(500)] + [offers(f'mallory/q{n}', 'gone', 'pay.prod.local') for n in range(500)]\n"
        "new, old = held(*ALL, *chain, *stolen), held(*ALL)\n"
    )
    cost = measured(before, "found = judged(settings(), [new], [old])\nanswer = [nodes(found), len(found.aside)]")
    assert cost.answer == [KEYS, 2_000]
    assert cost.seconds < 30.0, cost
    assert cost.peak < 500, cost


def test_that_these_documents_are_good_where_nobody_spoils_them() -> None:
    assert [n.key for n in judged(live_settings(), [held(*ALL, node("mallory/x"))], []).built.topology.nodes] == ["mallory/x", *KEYS]
    assert HEAD.count("kind: Namespace") == 3
