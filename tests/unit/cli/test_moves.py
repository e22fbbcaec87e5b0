"""A virtual node whose document names another place in Cloud Map: requests follow once an instance stands there, and a person reads why they do not."""

import pytest
from crossmesh.core.observed import Unseen
from crossmesh.errors import CrossmeshError

from tests.support.desk import MANIFESTS, Desk

MISTYPED = MANIFESTS.replace("namespaceName: shop.local", "namespaceName: shop.locl")


def discovery(desk: Desk, name: str) -> tuple[str, str, dict[str, str]]:
    """Where the mesh asks for a virtual node: namespace, service, attributes."""
    specs = {target.name: spec for target, spec in desk.world.mesh.specs().items() if target.kind == "virtualNode"}  # type: ignore[attr-defined]
    asked = specs[name]["serviceDiscovery"]["awsCloudMap"]
    return asked["namespaceName"], asked["serviceName"], {one["key"]: one["value"] for one in asked.get("attributes", ())}


def registered(desk: Desk) -> int:
    return sum(len(instances) for instances in desk.world.registry.instances.values())


def test_a_namespace_that_is_not_there_takes_no_request_away(running: Desk) -> None:
    """The reported case: one letter wrong in `namespaceName` was applied to the mesh, and every request was answered `no healthy upstream`."""
    running.write(manifests=MISTYPED)
    code, out, _ = running.run("plan")
    assert code == 3
    assert "virtualNode blue_shop in shop withheld: its Cloud Map discovery is to change, but none of its instances is registered" in out, out
    assert "requests routed to it are lost" not in out
    assert "EMPTIES" not in out  # nothing leaves before what replaces it stands
    assert "removed after a second look" not in out
    assert "0 to remove now, 0 to remove after confirmation; 8 withheld; 3 registered, 3 wanted" in out
    for _ in range(3):
        running.reconcile()
        running.look()
    assert discovery(running, "blue_shop") == ("shop.local", "color", {"app": "blue"})
    assert registered(running) == 3
    code, out, _ = running.run("status")
    assert code == 3
    assert "not as declared" in out
    assert "virtualNode blue_shop in shop: its Cloud Map discovery is to change" in out


def test_it_follows_once_the_namespace_is_there(running: Desk) -> None:
    running.write(manifests=MISTYPED)
    running.reconcile()
    running.world.registry.namespaces["shop.locl"] = ("ns-2", "DNS_PRIVATE")
    running.world.clock.sleep(30)
    running.settle()
    assert discovery(running, "blue_shop")[0] == "shop.locl"


def test_a_service_that_is_made_is_followed_in_one_run(running: Desk) -> None:
    running.write(manifests=MANIFESTS.replace("serviceName: color", "serviceName: colour"))
    running.reconcile()
    assert discovery(running, "blue_shop")[1] == "colour"


def test_an_add_that_is_refused_takes_no_request_away(running: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sibling: the namespace is there, but the functions may not register in it."""

    def refused(*_: object) -> str:
        raise CrossmeshError("AccessDenied", "not authorized to perform servicediscovery:RegisterInstance")

    running.world.registry.namespaces["shop.locl"] = ("ns-2", "DNS_PRIVATE")
    running.write(manifests=MISTYPED)
    with monkeypatch.context() as patched:
        patched.setattr(running.world.registry, "register", refused)
        running.reconcile()
    assert discovery(running, "red_shop")[0] == "shop.local"
    running.world.clock.sleep(30)
    running.settle()
    assert discovery(running, "red_shop")[0] == "shop.locl"


def test_attributes_of_pods_that_are_not_seen_are_not_asked_for(running: Desk) -> None:
    """A sibling: the instances keep their old attributes for as long as their cluster is dark."""
    running.world.clusters.failing["a"] = Unseen(cluster="a", cause="timeout", detail="no answer within 10 s")
    running.write(manifests=MANIFESTS.replace("{key: app, value: blue}", "{key: app, value: azure}"))
    running.reconcile()
    assert discovery(running, "blue_shop")[2] == {"app": "blue"}
    del running.world.clusters.failing["a"]
    running.settle()
    assert discovery(running, "blue_shop")[2] == {"app": "azure"}


def test_what_has_no_instance_moves_at_once(desk: Desk) -> None:
    """A sibling: there is nobody to lose."""
    desk.pods("b", red=1)
    desk.settle()
    desk.write(manifests=MANIFESTS.replace("{key: app, value: blue}", "{key: app, value: azure}"))
    desk.reconcile()
    assert discovery(desk, "blue_shop")[2] == {"app": "azure"}
