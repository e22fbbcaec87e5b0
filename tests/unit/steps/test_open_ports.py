"""Ports between clusters, where the settings say `open`: opened by rules of ours, closed only when nothing needs them and every cluster was seen."""

from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryClock, MemoryNetworks, MemoryRunStore, MemoryState
from crossmesh.core.actions import RegistryPlan
from crossmesh.core.facts import NetworkFacts, RuleFacts
from crossmesh.core.openings import Opening, mark_of
from crossmesh.core.views import Unseen
from crossmesh.errors import LeaseLost
from crossmesh.ports import Lease
from crossmesh.steps import open_ports, store
from crossmesh.steps.context import Context, Run
from crossmesh.steps.drive import drive

from tests.unit.diagnosis.world import CONFIG, SETTINGS, VIEWS, registry

OURS = mark_of("demo")


class Here:
    def __init__(self, say: str = "open", views: tuple[Any, ...] = VIEWS) -> None:
        settings = msgspec.structs.replace(SETTINGS, security_groups=say)
        self.context = Context(settings=settings, topology=CONFIG.topology, config="c", deployment="d")
        self.networks, self.state, self.runs = MemoryNetworks(), MemoryState(), MemoryRunStore()
        for cluster in ("eksc1", "eksc2"):
            self.networks.networks[cluster] = NetworkFacts(cluster=cluster, group=f"sg-{cluster}", cidrs=("172.16.0.0/16",))
        self.run = Run(id="r", execution="e", epoch=1, config="c")
        self.state.write_lease("run", Lease(epoch=1, holder="e", expires=2_000_000.0), None)
        for view in views:
            self.runs.put(store.key("r", f"views/{view.cluster}"), codec.encode(view))
        self.runs.put(store.key("r", "registry"), codec.encode(registry()))

    def go(self) -> open_ports.Response:
        ports = {"Clock": MemoryClock(), "Networks": self.networks, "State": self.state, "RunStore": self.runs}
        found: open_ports.Response = drive(open_ports.run(open_ports.Request(run=self.run), self.context), ports)
        return found

    def rules(self, cluster: str = "eksc2") -> list[tuple[int, tuple[str, ...], str]]:
        return [(rule.first, rule.groups, rule.mark) for rule in self.networks.networks[cluster].rules]

    def hold(self, *rules: RuleFacts) -> None:
        self.networks.networks["eksc2"] = msgspec.structs.replace(self.networks.networks["eksc2"], rules=rules)


def rule(port: int, group: str, mark: str = "") -> RuleFacts:
    return RuleFacts(protocol="tcp", first=port, last=port, groups=(group,), mark=mark)


def test_a_closed_port_is_opened_once_and_the_wish_is_done() -> None:
    here = Here()
    here.state.write(open_ports.ASKED, codec.encode((Opening(source="eksc1", target="eksc2", port=8080, open=False),)))
    assert here.go() == open_ports.Response(opened=("eksc2:8080 for sg-eksc1",))
    assert here.rules() == [(8080, ("sg-eksc1",), OURS)]
    assert here.state.read(open_ports.ASKED) == codec.encode(())
    assert here.go() == open_ports.Response()


def test_the_same_port_is_asked_for_once_in_ten_minutes() -> None:
    here, clock = Here(), MemoryClock()
    ports = {"Clock": clock, "State": here.state}
    closed = [Opening(source="eksc1", target="eksc2", port=8080, open=False)]
    drive(open_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[Opening, ...]) == tuple(closed)
    here.state.write(open_ports.ASKED, codec.encode(()))
    clock.sleep(60)
    drive(open_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[Opening, ...]) == ()
    clock.sleep(600)
    drive(open_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[Opening, ...]) == tuple(closed)


@pytest.mark.parametrize("say", ["check", "none"])
def test_nothing_is_touched_unless_the_settings_say_so(say: str) -> None:
    here = Here(say)
    assert here.go() == open_ports.Response()
    assert here.rules() == []


def test_rules_of_ours_that_nothing_needs_go_and_others_stay() -> None:
    here = Here()
    here.hold(rule(8080, "sg-eksc1", OURS), rule(9090, "sg-eksc1", OURS), rule(9091, "sg-eksc1", "by hand"), rule(22, "sg-x", mark_of("other")))
    assert here.go().closed == ("eksc2:9090 for sg-eksc1",)
    assert [port for port, _, _ in here.rules()] == [8080, 9091, 22]


def test_nothing_is_closed_while_a_cluster_is_not_seen() -> None:
    here = Here(views=(VIEWS[0], Unseen(cluster="eksc2", cause="timeout")))
    here.hold(rule(8080, "sg-eksc1", OURS), rule(9090, "sg-eksc1", OURS))
    assert here.go() == open_ports.Response()
    assert len(here.rules()) == 2


def test_what_is_refused_is_told_and_ends_no_run() -> None:
    here = Here()
    del here.networks.networks["eksc1"]
    (told,) = here.go().refused
    assert "network of eksc1" in told


def test_a_run_of_an_older_configuration_changes_no_rule() -> None:
    here = Here()
    here.run = Run(id="r", execution="e", epoch=1, config="before")
    assert here.go() == open_ports.Response()
    assert here.rules() == []


def test_while_another_deployment_uses_our_owner_no_rule_is_changed() -> None:
    here = Here()
    here.hold(rule(9090, "sg-eksc1", OURS))
    here.runs.put(store.key("r", "plan"), codec.encode(RegistryPlan(conflict=True)))
    (told,) = here.go().refused
    assert "another deployment" in told
    assert [port for port, _, _ in here.rules()] == [9090]


def test_without_the_lease_nothing_is_written() -> None:
    here = Here()
    here.run = Run(id="r", execution="other", epoch=9, config="c")
    with pytest.raises(LeaseLost):
        here.go()
    assert here.rules() == []
