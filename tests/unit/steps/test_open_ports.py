"""Ports between clusters, where the settings say `open`: opened by rules of ours, closed only when nothing needs them and every cluster was seen."""

from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryClock, MemoryNetworks, MemoryRunStore, MemoryState
from crossmesh.core.diagnosis.facts import NetworkFacts, RuleFacts
from crossmesh.core.diagnosis.ingress_rules import RequiredIngress, by_hand, mark_of
from crossmesh.core.observed import RegistryView, Unseen
from crossmesh.core.registry.plan import RegistryPlan
from crossmesh.core.registry.planner import PlanInputs, planned
from crossmesh.core.topology import Listener
from crossmesh.driver import drive
from crossmesh.errors import LeaseLost
from crossmesh.ports import Lease
from crossmesh.steps import open_ports
from crossmesh.usecases import open_ports as asked_ports
from crossmesh.usecases import state
from crossmesh.usecases.context import Context, Run

from tests.support.diagnosis_world import CONFIG, SETTINGS, VIEWS, registry

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
            self.runs.put(state.key("r", f"views/{view.cluster}"), codec.encode(view))
        self.runs.put(state.key("r", "registry"), codec.encode(registry()))
        self.decided(views)

    def decided(self, views: tuple[Any, ...]) -> None:
        """What the run's planning decided of these views' endpoints."""
        made = planned(PlanInputs(settings=SETTINGS, topology=CONFIG.topology, views=views, registry=registry(), deployment="d"))
        self.runs.put(state.key("r", state.ENDPOINTS), codec.encode(made.endpoints))

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
    here.state.write(asked_ports.ASKED, codec.encode((RequiredIngress(source="eksc1", target="eksc2", port=8080, open=False),)))
    assert here.go() == open_ports.Response(opened=("eksc2:8080 for sg-eksc1",))
    assert here.rules() == [(8080, ("sg-eksc1",), OURS)]
    assert here.state.read(asked_ports.ASKED) == codec.encode(())
    assert here.go() == open_ports.Response()


def test_the_same_port_is_asked_for_once_in_ten_minutes() -> None:
    here, clock = Here(), MemoryClock()
    ports = {"Clock": clock, "State": here.state}
    closed = [RequiredIngress(source="eksc1", target="eksc2", port=8080, open=False)]
    drive(asked_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[RequiredIngress, ...]) == tuple(closed)
    here.state.write(asked_ports.ASKED, codec.encode(()))
    clock.sleep(60)
    drive(asked_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[RequiredIngress, ...]) == ()
    clock.sleep(600)
    drive(asked_ports.ask(closed), ports)
    assert codec.decode(here.state.documents["ports"], tuple[RequiredIngress, ...]) == tuple(closed)


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


def test_the_ports_are_those_of_the_endpoints_that_the_run_decided() -> None:
    here = Here()
    here.runs.put(state.key("r", "registry"), codec.encode(RegistryView(begun=0.0)))
    here.decided((VIEWS[0],))  # no pod of colorapp was an endpoint when the run planned, whatever the views show
    here.hold(rule(8080, "sg-eksc1", OURS))
    assert here.go().closed == ("eksc2:8080 for sg-eksc1",)


def test_a_run_that_kept_no_decision_closes_nothing() -> None:
    """One that an older version planned: what is registered still opens."""
    here = Here()
    here.runs.objects.pop(state.key("r", state.ENDPOINTS))
    here.hold(rule(9090, "sg-eksc1", OURS))
    assert here.go() == open_ports.Response(opened=("eksc2:8080 for sg-eksc1",))


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
    here.runs.put(state.key("r", "plan"), codec.encode(RegistryPlan(conflict=True)))
    (told,) = here.go().refused
    assert "another deployment" in told
    assert [port for port, _, _ in here.rules()] == [9090]


def test_without_the_lease_nothing_is_written() -> None:
    here = Here()
    here.run = Run(id="r", execution="other", epoch=9, config="c")
    with pytest.raises(LeaseLost):
        here.go()
    assert here.rules() == []


def listening(here: Here, port: int) -> Here:
    """Every virtual node listens on this port, as a tenant's document may say."""
    nodes = tuple(msgspec.structs.replace(node, listeners=(Listener(port=port, protocol="http"),)) for node in here.context.topology.nodes)
    here.context = msgspec.structs.replace(here.context, topology=msgspec.structs.replace(here.context.topology, nodes=nodes))
    return here


def allowing(here: Here, *ports: int) -> Here:
    settings = msgspec.structs.replace(here.context.settings, open_ports=ports)
    here.context = msgspec.structs.replace(here.context, settings=settings)
    return here


@pytest.mark.parametrize("port", [22, 53, 443, 1_023, 2_379, 10_250, 10_256, 30_080, 61_678])
def test_a_port_on_which_nodes_themselves_listen_is_not_opened_unless_the_settings_name_it(port: int) -> None:
    here = listening(Here(), port)
    answer = here.go()
    assert answer.opened == ()
    assert answer.refused == (f"port {port}: not opened, for the settings do not allow it (open_ports)",)
    assert here.rules() == []
    assert allowing(here, port).go().opened == (f"eksc2:{port} for sg-eksc1",)


@pytest.mark.parametrize("port", [1_024, 8_080, 10_247, 32_768, 65_535])
def test_other_ports_are_opened_and_with_a_list_only_those_on_it(port: int) -> None:
    assert listening(Here(), port).go().opened == (f"eksc2:{port} for sg-eksc1",)
    assert allowing(listening(Here(), port), 7_777).go().opened == ()


def test_a_rule_of_ours_for_a_port_off_the_list_goes_and_without_a_list_stays() -> None:
    """An upgrade closes nothing that is in use; a list in the settings means what it says."""
    for ports, left in (((), [443]), ((8_080,), [])):
        here = listening(Here(), 443)
        here.hold(rule(443, "sg-eksc1", OURS))
        if ports:
            allowing(here, *ports)
        here.go()
        assert [port for port, _, _ in here.rules()] == left


def test_a_diagnosis_does_not_ask_for_what_may_not_be_opened() -> None:
    here = Here()
    closed = [RequiredIngress(source="eksc1", target="eksc2", port=port, open=False) for port in (10_250, 8_080)]
    drive(asked_ports.ask(closed), {"Clock": MemoryClock(), "State": here.state})
    assert [opening.port for opening in codec.decode(here.state.documents["ports"], tuple[RequiredIngress, ...])] == [8_080]


# --- across accounts and Regions -----------------------------------------------------------------------------------------------------------------


def moved(here: Here, cluster: str, **changes: str) -> None:
    here.networks.networks[cluster] = msgspec.structs.replace(here.networks.networks[cluster], **changes)


@pytest.mark.parametrize(("asking", "named"), [("111111111111", ""), ("222222222222", "222222222222"), ("", "")])
def test_a_group_of_another_account_is_named_with_it(asking: str, named: str) -> None:
    here = Here()
    moved(here, "eksc1", account=asking, region="us-east-1")
    moved(here, "eksc2", account="111111111111", region="us-east-1")
    assert here.go().opened == ("eksc2:8080 for sg-eksc1",)
    assert [held.account for held in here.networks.networks["eksc2"].rules] == [named]


def test_a_rule_for_another_accounts_group_is_taken_away_by_that_account() -> None:
    here, closed = Here(), []
    moved(here, "eksc2", account="111111111111")
    here.hold(rule(8080, "sg-eksc1", OURS), msgspec.structs.replace(rule(9090, "sg-x", OURS), account="222222222222"))
    here.networks.close = lambda *given: closed.append(given[1:])  # type: ignore[method-assign]
    assert here.go().closed == ("eksc2:9090 for sg-x",)
    assert closed == [("sg-eksc2", "sg-x", 9090, OURS, "222222222222")]


def test_across_regions_nothing_is_tried_and_the_command_goes_by_address_blocks() -> None:
    here = Here()
    moved(here, "eksc1", region="eu-west-1")
    moved(here, "eksc2", region="us-east-1")
    found = here.go()
    assert (found.opened, here.rules()) == ((), [])
    (told,) = found.refused
    assert "--region us-east-1 --group-id sg-eksc2" in told
    assert "IpRanges=[{CidrIp=172.16.0.0/16}]" in told
    assert "--source-group" not in told


def test_across_regions_a_rule_for_the_blocks_is_enough() -> None:
    here = Here()
    moved(here, "eksc1", region="eu-west-1", account="222222222222")
    moved(here, "eksc2", region="us-east-1", account="111111111111")
    here.hold(RuleFacts(protocol="tcp", first=8080, last=8080, cidrs=("172.16.0.0/12",)))
    assert here.go() == open_ports.Response()


@pytest.mark.parametrize(
    ("asking", "target", "command"),
    [
        (
            {"account": "222222222222", "region": "us-east-1"},
            {"account": "111111111111", "region": "us-east-1"},
            (
                "aws ec2 authorize-security-group-ingress --region us-east-1 --group-id sg-b --protocol tcp --port 80 --source-group sg-a"
                " --group-owner 222222222222"
            ),
        ),
        (
            {"region": "eu-west-1", "cidrs": ("10.0.0.0/16", "fd00::/56")},
            {"region": "us-east-1"},
            (
                "aws ec2 authorize-security-group-ingress --region us-east-1 --group-id sg-b --ip-permissions"
                " 'IpProtocol=tcp,FromPort=80,ToPort=80,IpRanges=[{CidrIp=10.0.0.0/16}],Ipv6Ranges=[{CidrIpv6=fd00::/56}]'"
            ),
        ),
        ({}, {}, "aws ec2 authorize-security-group-ingress --group-id sg-b --protocol tcp --port 80 --source-group sg-a"),
    ],
    ids=["another account", "another Region", "the same"],
)
def test_the_printed_command_is_the_one_that_ec2_takes(asking: dict[str, Any], target: dict[str, Any], command: str) -> None:
    assert by_hand(NetworkFacts(cluster="a", group="sg-a", **asking), NetworkFacts(cluster="b", group="sg-b", **target), 80) == command
