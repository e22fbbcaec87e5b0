"""Documents of many teams: what one of them writes holds up nobody else's, and takes nothing that is another's."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from crossmesh.core.settings import CanarySettings, Expect, Mix, Settings
from crossmesh.manifests.judged import Judged, judged

from tests.support.tenants import ALL, HEAD, KEYS, PAY, SHOP, asks, held, made, node, nodes, offers, settings


def judge(new: Iterable[str], old: Iterable[str] = (), *, of: Settings | None = None) -> Judged:
    return judged(of or settings(), [held(*new)], [held(*old)] if old else [])


def ports(found: Judged) -> dict[str, int]:
    return {node.key: node.listeners[0].port for node in found.built.topology.nodes}


FAULTY = {
    "an unknown backend": asks("mallory/x", "mallory/nobody"),
    "no podSelector's type": made("VirtualNode", "mallory/x", "{podSelector: 7}"),
    "a spec that is none": made("VirtualNode", "mallory/x", "[1, 2]"),
    "a name that is another's": made("VirtualNode", "mallory/x", "{awsName: pay_payments}"),
    "another's service": node("mallory/x", "pay"),
    "a router to nowhere": made(
        "VirtualRouter", "mallory/r", "{listeners: [{portMapping: {port: 8080, protocol: http}}], routes: [{name: a, httpRoute: "
        "{match: {prefix: /}, action: {weightedTargets: [{virtualNodeRef: {name: gone}, weight: 1}]}}}]}",
    ),
    "a second service of one name": offers("mallory/x", "gone", "pay.prod.local"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("first", [False, True], ids=["later", "first start"])
def test_one_tenants_fault_is_set_aside_with_its_place_and_the_rest_comes_into_force(fault: str, first: bool) -> None:
    """On a first start nobody was first: where two teams claim one thing by a word of their own, neither has it."""
    found = judge([*ALL, FAULTY[fault], node("payments/new")], [] if first else ALL)
    disputed = first and fault in ("another's service", "a second service of one name")
    if not disputed:
        assert nodes(found) == ["payments/new", *KEYS]
    assert not [node for node in nodes(found) if node.startswith("mallory")]
    assert any(line.startswith("cluster one: Virtual") and " mallory/" in line for line in found.aside)
    assert "payments/new" in nodes(found)
    assert found.errors == ()


def test_two_teams_that_claim_one_service_on_a_first_start_are_both_named_and_the_settings_decide() -> None:
    both = [*PAY, node("mallory/x", "pay")]
    found = judge(both)
    assert nodes(found) == []
    assert [line.partition(" spec")[0] for line in found.aside if "is used by the namespaces mallory and payments" in line] == [
        "cluster one: VirtualNode mallory/x",
        "cluster one: VirtualNode payments/pay",
    ]
    decided = settings(services=(("payments", ("pay.prod.local",)),))
    found = judge(both, of=decided)
    assert nodes(found) == ["payments/pay"]
    assert found.aside[0] == (
        "cluster one: VirtualNode mallory/x spec.serviceDiscovery.awsCloudMap.serviceName: the Cloud Map service pay.prod.local belongs to "
        "payments, not to namespace mallory (add it to mesh.manifests.services, or use another service)"
    )
    shared = settings(services=(("mallory", ("pay.prod.local",)), ("payments", ("pay.prod.local",))))
    assert nodes(judge(both, of=shared)) == ["mallory/x", "payments/pay"]


def test_what_the_settings_give_to_another_goes_though_it_was_in_force() -> None:
    both = [node("mallory/x", "pay"), *PAY]
    before = settings(services=(("mallory", ("pay.prod.local",)), ("payments", ("pay.prod.local",))))
    assert len(nodes(judge(both, of=before))) == 2
    assert nodes(judge(both, both, of=settings(services=(("payments", ("pay.prod.local",)),)))) == ["payments/pay"]
    assert nodes(judge(both, both)) == ["mallory/x", "payments/pay"], "without a word in the settings, what was in force together stays"
    named = settings(names=(("payments", ("pay_payments", "stolen")),))
    assert nodes(judge([*PAY, made("VirtualNode", "mallory/x", "{awsName: stolen}")], of=named)) == ["payments/pay"]


def test_an_edit_that_is_wrong_leaves_the_version_before_it_in_force_and_the_other_edits_come() -> None:
    wrong = node("payments/pay", more=", backends: [{virtualService: {virtualServiceRef: {name: gone}}}]")
    found = judge([wrong, PAY[1], node("shop/front", port=9090), SHOP[1]], ALL)
    assert ports(found) == {"payments/pay": 8080, "shop/cart": 8080, "shop/front": 9090}
    (line,) = found.aside
    assert line.startswith("cluster one: VirtualNode payments/pay spec.backends[0]")
    assert "refers to VirtualService payments/gone" in line


def test_a_deletion_that_another_document_needs_is_held_back_until_nobody_does() -> None:
    found = judge(SHOP, ALL)
    assert nodes(found) == KEYS
    assert len([line for line in found.aside if "it is deleted but stays in force" in line]) >= 1
    assert nodes(judge(SHOP[:1], ALL)) == ["shop/front"], "with the one that refers to it, it goes"
    assert nodes(judge([*SHOP, node("shop/new")], ALL)) == [*KEYS, "shop/new"]


def test_a_chain_of_dependants_goes_with_the_faulty_one() -> None:
    chain = [text for n in range(12) for text in (asks(f"mallory/n{n}", f"mallory/s{n + 1}"), offers(f"mallory/s{n}", f"n{n}"))]
    found = judge([*ALL, *chain])
    assert nodes(found) == KEYS
    assert len(found.aside) == len(chain)


def test_a_newcomer_never_holds_back_the_edit_of_what_is_in_force() -> None:
    """The error of two equal names stands at one of them; whoever was there is heard first, whatever the order of names."""
    for rival in ("aaa", "zzz"):
        names = HEAD.replace("name: mallory,", f"name: {rival},")
        edited = [node("payments/pay", port=9090, more=", awsName: the-one"), PAY[1], *SHOP]
        before = [node("payments/pay", more=", awsName: the-one"), PAY[1], *SHOP]
        new = held(*edited, made("VirtualNode", f"{rival}/x", "{awsName: the-one}"), head=names)
        found = judged(settings(), [new], [held(*before, head=names)])
        assert ports(found)["payments/pay"] == 9090
        assert [line.partition(" spec")[0] for line in found.aside] == [f"cluster one: VirtualNode {rival}/x"]


def test_a_cluster_that_contradicts_another_changes_nothing_and_blocks_no_edit() -> None:
    lying = held(node("payments/pay", port=6666), cluster="two")
    found = judged(settings(), [held(*ALL), lying], [held(*ALL), held(cluster="two")])
    assert ports(found)["payments/pay"] == 8080
    edited = [node("payments/pay", port=9090), *ALL[1:]]
    found = judged(settings(), [held(*edited), lying], [held(*ALL), held(cluster="two")])
    assert ports(found)["payments/pay"] == 9090
    assert [line.partition(" spec")[0] for line in found.aside] == ["cluster two: VirtualNode payments/pay"]
    found = judged(settings(), [held(*ALL), lying], [])
    assert nodes(found) == ["shop/front"], "on a first start nobody knows which is meant: neither, nor what needs it"
    assert len([line for line in found.aside if "VirtualNode payments/pay" in line and "differs" in line]) == 2


def canary() -> Settings:
    expect = Expect(mix=Mix(of="payments/pay", bodies=(("ok", "payments/pay"),)))
    return msgspec.structs.replace(settings(), canaries=(CanarySettings(name="c", url="http://x", expect=expect),))


def test_names_in_the_settings_that_no_document_has_are_their_own_error_only_where_nothing_was_set_aside() -> None:
    assert [finding.code for finding in judge(SHOP[:1], of=canary()).errors] == ["unknown-service", "unknown-node"]
    found = judge([*SHOP[:1], asks("payments/pay", "payments/gone"), offers("payments/pay", "pay")], of=canary())
    assert nodes(found) == ["shop/front"], "a first start goes on without the faulty one, which the settings name"
    assert found.errors == ()
    assert any(line.startswith("crossmesh.yaml:1 canaries.c.expect.mix.of") for line in found.aside)
    found = judge(SHOP[:1], [*PAY, *SHOP[:1]], of=canary())
    assert nodes(found) == ["payments/pay", "shop/front"], "what the settings name is not deleted from under them"


def test_a_tenant_with_hundreds_of_faults_costs_a_bounded_number_of_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossmesh.manifests import judged as module

    counted: list[int] = []
    whole = module.build

    def build(documents: Any) -> Any:
        counted.append(len(documents))
        return whole(documents)

    monkeypatch.setattr(module, "build", build)
    chain = [text for n in range(150) for text in (asks(f"mallory/n{n}", f"mallory/s{n + 1}"), offers(f"mallory/s{n}", f"n{n}"))]
    stolen = [node(f"mallory/p{n}", "pay") for n in range(150)]
    found = judge([*ALL, *chain, *stolen], ALL)
    assert nodes(found) == KEYS
    assert len(found.aside) == 450
    assert len(counted) <= 24
