"""What a person reads in `crossmesh plan`: each removal counted as what it is, and a shout where a virtual node or service is emptied."""

import json

import pytest
from crossmesh import codec
from crossmesh.core.canary.sample import Sample
from crossmesh.core.diagnosis.facts import ServiceFacts
from crossmesh.core.observed import Unseen
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.usecases import state

from tests.support.desk import MANIFESTS, SETTINGS, Desk

MISTYPED = MANIFESTS.replace("podSelector: {matchLabels: {app: blue}}", "podSelector: {matchLabels: {app: bleu}}")


def test_nothing_to_do_is_exit_0(running: Desk) -> None:
    code, out, _ = running.run("plan")
    assert code == 0
    assert out.splitlines()[-1] == (
        "0 to add, 0 to change, 0 to remove now, 0 to remove after confirmation; 0 withheld; 3 registered, 3 wanted"
    )


def test_a_selector_that_matches_nothing_is_shouted_with_the_label_that_differs(running: Desk) -> None:
    """The reported case: one letter wrong in a podSelector was `0 changes, 1 withheld`, exit 0."""
    running.write(manifests=MISTYPED)
    code, out, _ = running.run("plan")
    assert code == 3
    shout = next(line for line in out.splitlines() if "EMPTIES virtual node" in line)
    assert shout == (
        "! EMPTIES virtual node shop/blue (2 instances): no pod matches app=bleu; 2 pods have app=blue (app is blue, not bleu); "
        "after a second look (in at least 20 s)"
    )
    assert "    fix: correct podSelector of shop/blue (mesh/shop.yaml:" in out
    assert "0 to remove now, 2 to remove after confirmation; 0 withheld" in out
    assert "- color.shop.local: shop/pod-blue-a-0: removed after a second look (in at least 20 s): pod shop/pod-blue-a-0 of a belongs" in out


def test_a_service_that_loses_all_its_instances_is_shouted(running: Desk) -> None:
    running.write(manifests=MISTYPED.replace("podSelector: {matchLabels: {app: red}}", "podSelector: {matchLabels: {app: rot}}"))
    code, out, _ = running.run("plan")
    assert code == 3
    assert "! EMPTIES service color.shop.local (3 instances): all its instances leave (shop/blue, shop/red)" in out


def test_a_node_that_no_document_declares_any_more_is_shouted(running: Desk) -> None:
    gone = MANIFESTS.replace("{virtualNodeRef: {name: red}, weight: 40}", "{virtualNodeRef: {name: blue}, weight: 40}")
    start = gone.index("---\napiVersion: appmesh.k8s.aws/v1beta2\nkind: VirtualNode\nmetadata:\n  name: red")
    end = gone.index("---", start + 3)
    running.write(running_settings(), manifests=gone[:start] + gone[end:])
    code, out, _ = running.run("plan")
    assert code == 3
    assert "EMPTIES virtual node red_shop (1 instance): no document declares it" in out


def running_settings() -> str:
    """Settings whose canary names no red."""
    return (
        "owner: shop-prod\nregion: eu-west-1\nmesh: {manifests: {files: [mesh/*.yaml]}, backend: appmesh}\nclusters: {a: {}, b: {}}\n"
        "policy: {removals: sync, confirm_above: 15%, confirm_after: 20s}\n"
    )


def test_pods_that_end_are_removed_now_and_told_as_what_they_are(running: Desk) -> None:
    running.world.clusters.remove("b", "red-b-0")
    code, out, _ = running.run("plan")
    assert code == 3
    assert "EMPTIES virtual node shop/red (1 instance): no pod matches app=red any more: the 1 pod that did is gone" in out
    assert "fix: scale its Deployment up, or create it (`kubectl get deployments -n shop`)\n" in out
    assert "podSelector" not in out


def test_a_rolling_change_empties_nothing(running: Desk) -> None:
    running.world.clusters.remove("b", "red-b-0")
    running.pods("a", red=1)
    _, out, _ = running.run("plan")
    assert "EMPTIES" not in out
    assert "1 to add, 0 to change, 1 to remove now, 0 to remove after confirmation" in out


def test_ci_stops_on_a_removal_and_only_on_one(running: Desk) -> None:
    assert running.run("plan", "--fail-on-removal")[0] == 0
    running.pods("b", blue=1)
    assert running.run("plan", "--fail-on-removal")[0] == 3, "an add is no removal"
    running.write(manifests=MISTYPED)
    code, _, err = running.run("plan", "--fail-on-removal")
    assert code == 1
    assert "--fail-on-removal: the plan removes 3 live things: instance a.blue-a-0 of color.shop.local" in err


def test_apply_starts_nothing_where_removals_are_forbidden(running: Desk) -> None:
    running.write(manifests=MISTYPED)
    running.look()
    code, _, err = running.run("apply", "--yes", "--fail-on-removal")
    assert code == 1
    assert "nothing was started, the plan removes what users reach: instance a.blue-a-0" in err
    assert not running.amazon.asked("start_execution")


def test_withheld_alone_is_a_difference_for_plan_and_apply(running: Desk) -> None:
    running.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail="HTTP 401")
    running.world.clusters.remove("b", "red-b-0")
    assert running.run("plan")[0] == 3
    assert running.run("apply", "--yes")[0] == 3


def test_a_drain_stands_first_in_the_plan_with_who_and_when(running: Desk) -> None:
    kept = ManualOverrides(draining=running.now, by={"drain": "assumed-role/Admin/alice"})
    running.world.state.documents[state.OPERATOR] = codec.encode(kept)
    code, out, _ = running.run("plan")
    assert code == 3
    assert out.splitlines()[1].startswith("DRAINED by hand by assumed-role/Admin/alice, since 2023-11-14 22:1")
    assert "EMPTIES virtual node shop/blue (2 instances): the registry is drained by hand" in out
    running.reconcile()
    code, out, _ = running.run("plan")
    assert (code, out.splitlines()[1][:7]) == (3, "DRAINED"), "also when nothing is left to remove"
    assert json.loads(running.run("plan", "--json")[1])["wishes"][0].startswith("DRAINED")


FRONT = """\
canaries:
  front:
    service: {cluster: b, namespace: shop, name: frnot, port: 80}
"""


def test_a_front_service_that_its_cluster_does_not_have_is_told(desk: Desk) -> None:
    """The reported case: only the canary's diagnosis told of it, once it was deployed."""
    settings = SETTINGS.format(backend="appmesh")
    desk.write(settings[: settings.index("canaries:")] + FRONT + settings[settings.index("policy:") :])
    assert "frnot" not in desk.run("plan")[1]
    desk.world.clusters.absent = {("b", "shop", "frnot")}
    _, out, _ = desk.run("plan")
    assert (
        "! canary front asks Service shop/frnot, which b does not have: it can only fail (crossmesh.yaml, canaries.front.service). Fix: correct"
        in out
    )
    assert "`kubectl --context b get services -A` lists those there are" in out
    assert json.loads(desk.run("plan", "--json")[1])["warnings"][0]["subject"] == "canaries.front.service"
    desk.world.clusters.absent = {("a", "shop", "frnot")}
    assert "frnot" not in desk.run("plan")[1], "another cluster's answer says nothing"


def test_a_port_that_the_front_service_does_not_have_is_told_by_plan_and_doctor(desk: Desk) -> None:
    """The reported case: doctor told of it and called the canary good; plan said nothing."""
    settings = SETTINGS.format(backend="appmesh")
    at_front = FRONT.replace("frnot", "front").replace("80", "8081")
    desk.write(settings[: settings.index("canaries:")] + at_front + settings[settings.index("policy:") :])
    desk.front.runs = [(Sample(status=200, body="blue", latency_ms=3.0),)]
    found = desk.world.clusters.services["b", "shop", "front"] = ServiceFacts(host="front.example", ports=(80, 443))
    _, out, _ = desk.run("plan")
    said = "Service shop/front of b has no port 8081; it has 80, 443"
    assert f"! canary front can only fail: {said} (crossmesh.yaml, canaries.front.service.port). Fix: set `port` of" in out
    _, out, _ = desk.run("doctor", "--skip", "account")
    assert "canary front: answered from here, but broken, by 1 request" in out
    assert f"  ! {said}" in out
    assert "canary front: good" not in out
    for ports in ((80, 8081), ()):
        desk.world.clusters.services["b", "shop", "front"] = ServiceFacts(host=found.host, ports=ports)
        assert "can only fail" not in desk.run("plan")[1], "it has the port, or nobody knows"
        assert said not in desk.run("doctor", "--skip", "account")[1]


def test_of_a_cluster_that_is_unseen_nothing_is_said_of_services(desk: Desk) -> None:
    settings = SETTINGS.format(backend="appmesh")
    desk.write(settings[: settings.index("canaries:")] + FRONT + settings[settings.index("policy:") :])
    desk.world.clusters.absent = {("b", "shop", "frnot")}
    desk.world.clusters.failing["b"] = Unseen(cluster="b", cause="refused", detail="HTTP 401")
    assert "asks Service" not in desk.run("plan")[1]


def test_a_mistyped_cluster_is_not_to_be_forgotten(running: Desk) -> None:
    """The reported case: `ekc2` for `eksc2`, and the plan named `crossmesh forget eksc2`, which takes a live cluster's instances out."""
    running.world.clusters.failing["bb"] = Unseen(cluster="bb", cause="not-found", detail="No cluster found for name: bb.")
    running.write(SETTINGS.format(backend="appmesh").replace("b: {}}", "bb: {}}"))
    _, out, _ = running.run("plan")
    assert "cluster 'b' is not in the settings, which name 'bb', and EKS knows no such cluster: correct crossmesh.yaml first" in out
    assert "crossmesh forget" not in out


@pytest.mark.parametrize("cause", ["timeout", "refused"])
def test_a_cluster_that_left_the_settings_is_to_be_forgotten(running: Desk, cause: str) -> None:
    running.world.clusters.failing["bb"] = Unseen(cluster="bb", cause=cause, detail="")  # type: ignore[arg-type]
    running.write(SETTINGS.format(backend="appmesh").replace("b: {}}", "bb: {}}"))
    assert "`crossmesh forget b` removes its instances" in running.run("plan")[1]
