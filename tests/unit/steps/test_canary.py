"""The canary as shipped, state machine and steps, over ports in memory: a second try before an alarm, a verdict with its diagnosis, a mark with its end."""

import random
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryBalancers, MemoryFront, MemoryInstances, MemoryNetworks
from crossmesh.core.canary import Memory, Sample, Verdict
from crossmesh.core.facts import NetworkFacts
from crossmesh.core.settings import CanarySettings, Expect
from crossmesh.core.sick import Sick
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.ports import Lease
from crossmesh.steps import diagnose_canary, examine, judge_canary, list_canaries
from crossmesh.steps.context import Context
from crossmesh.steps.drive import drive

from tests import builders
from tests.passes import MemoryWorld
from tests.sim import asl
from tests.sim.application import load

GOOD, LOST = Sample(status=200, body="ok"), Sample(error="timeout", trace_id="1-2-3")
ADDRESS = "10.0.0.1"
APPLICATION = load()
DENIED = "User: arn:aws:sts::1:assumed-role/r/f is not authorized to perform: s3:PutObject on x"


class Here:
    """A memory world with one canary, one registered pod, and what a diagnosis asks."""

    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.front, self.instances, networks = MemoryFront(), MemoryInstances(), MemoryNetworks()
        for cluster in ("a", "b"):
            networks.networks[cluster] = NetworkFacts(cluster=cluster, group=f"sg-{cluster}", cidrs=("10.0.0.0/8",))
        self.ports: dict[str, Any] = {
            **self.world.ports,
            "Front": self.front,
            "Instances": self.instances,
            "Balancers": MemoryBalancers(),
            "Networks": networks,
        }
        made = builders.context()
        canary = CanarySettings(name="front", url="http://front.test", requests=3, expect=Expect(mix=None))
        self.context: Context = msgspec.structs.replace(made, settings=msgspec.structs.replace(made.settings, canaries=(canary,)))
        self.world.clusters.put("a", builders.pod("u", ip=ADDRESS))
        self.world.run(self.context)
        self.instances.answers[ADDRESS] = GOOD
        self.count = 0
        self.kept = True
        self.looks: list[str] = []
        self.broken: set[str] = set()

    def execute(self, *runs: tuple[Sample, ...]) -> dict[str, Any] | None:
        """One execution of the shipped state machine; what the diagnosis answered, None where there was none."""
        self.count += 1
        self.front.runs = list(runs)
        self.world.clock.sleep(60)
        self.diagnosed: dict[str, Any] | None = None
        context = {"Execution": {"Name": f"run-{self.count}", "Id": f"arn:run-{self.count}"}}
        flow = asl.flow(APPLICATION.machines["Canary"].definition, {"cause": "test", "canary": "", "requests": 0}, context, random.Random(1))
        self.kept = True
        try:
            self.play(flow)
        except asl.StateError as failed:
            self.kept = failed.error != "CanaryFailed"
        return self.diagnosed

    def play(self, flow: asl.Flow) -> Any:
        """Drive a flow to its end."""
        answer: Any = None
        error: asl.StateError | None = None
        while True:
            try:
                asked = flow.throw(error) if error else flow.send(answer)
            except StopIteration as end:
                return end.value
            answer, error = None, None
            if isinstance(asked, asl.Sleep):
                self.world.clock.sleep(asked.seconds)
            elif isinstance(asked, asl.Fan):
                answer = [self.play(inner) for inner in asked.flows]
            elif isinstance(asked, asl.Start):
                self.looks.append(asked.payload["cause"])
            else:
                try:
                    answer = self.invoke(asked)
                except CrossmeshError as failed:
                    error = asl.StateError(type(failed).__name__, str(failed))

    def invoke(self, asked: asl.Invoke) -> Any:
        """A function by its logical name."""
        module = APPLICATION.functions[asked.resource].module
        if asked.resource in self.broken:
            raise RefusedError("AccessDenied", DENIED)
        request = msgspec.convert(asked.payload, module.Request)
        answer = msgspec.json.decode(msgspec.json.encode(drive(module.run(request, self.context), self.ports)))
        if asked.resource == "DiagnoseCanaryFunction":
            self.diagnosed = answer
        return answer

    @property
    def memory(self) -> Memory:
        data = self.world.state.read("canary/front")
        return codec.decode(data, Memory) if data else Memory()

    @property
    def last(self) -> Verdict:
        assert self.memory.last is not None
        return self.memory.last

    @property
    def marks(self) -> dict[str, Sick]:
        data = self.world.state.read("sick")
        return codec.decode(data, dict[str, Sick]) if data else {}


@pytest.fixture
def here() -> Here:
    return Here()


def test_a_glitch_is_tried_again_remembered_as_one_and_no_failure(here: Here) -> None:
    assert here.execute((GOOD, LOST, GOOD), (GOOD,) * 3) is None
    assert (here.kept, here.last.kind, here.memory.failures, len(here.memory.rounds)) == (True, "good", 0, 1)
    assert here.last.glitch == "1 of 3 requests failed: 1 × timeout"
    assert here.execute((GOOD,) * 3) is None
    assert here.last.glitch == ""
    assert here.looks == []


def test_what_fails_twice_is_a_failure_with_its_diagnosis_kept_with_the_verdict_and_its_trace(here: Here) -> None:
    found = here.execute((LOST,) * 3, (LOST,) * 3)
    assert found is not None
    assert found["named"] == [{"canary": "front", "broken": ["listener:http://front.test"]}]
    assert here.last.diagnoses is not None
    assert here.last.diagnoses[0].cure
    kept = codec.decode(here.world.runs.objects["runs/run-1/verdicts/front.json"], Verdict)
    assert kept == here.last
    assert kept.evidence[0].trace_id == "1-2-3"
    assert (here.kept, here.memory.failures, len(here.memory.rounds)) == (False, 1, 1)
    assert here.looks == ["canary"], "and a look was asked for"


def test_canaries_side_by_side_fail_each_for_itself(here: Here) -> None:
    one = here.context.settings.canaries[0]
    both = (one, msgspec.structs.replace(one, name="second"))
    here.context = msgspec.structs.replace(here.context, settings=msgspec.structs.replace(here.context.settings, canaries=both))
    found = here.execute((GOOD,) * 3, (LOST,) * 3, (LOST,) * 3)
    assert found is not None
    assert [one["canary"] for one in found["named"]] == ["second"]
    assert (here.kept, here.last.kind) == (False, "good")


def test_a_later_verdict_is_not_overwritten_by_an_earlier_ones_diagnosis(here: Here) -> None:
    here.execute((LOST,) * 3, (LOST,) * 3)
    verdict = msgspec.to_builtins(judge_canary.Judged(canary="front", kind="failed", says="", failures=1))
    here.execute((GOOD,) * 3)
    later = here.memory
    judged = judge_canary.Response(id="run-1", failed=True, verdicts=(msgspec.convert(verdict, judge_canary.Judged),))
    drive(diagnose_canary.run(diagnose_canary.Request(id="run-1", judged=(judged,)), here.context), here.ports)
    assert here.memory == later


def test_a_probe_that_failed_as_a_whole_is_no_data_and_its_missing_permission_is_named(here: Here) -> None:
    here.broken = {"ProbeFrontFunction"}
    found = here.execute((GOOD,) * 3)
    assert found is not None
    assert (here.kept, here.last.kind) == (False, "no-data")
    assert found["named"][0]["broken"] == ["permission:probe:s3:PutObject"]


@pytest.mark.parametrize("function", ["JudgeCanaryFunction", "DiagnoseCanaryFunction", "ListCanariesFunction"])
def test_whatever_function_fails_the_execution_fails(here: Here, function: str) -> None:
    here.broken = {function}
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert not here.kept


def test_a_dead_instance_is_marked_and_the_mark_ends_though_every_canary_is_good_again(here: Here) -> None:
    del here.instances.answers[ADDRESS]
    found = here.execute((LOST,) * 3, (LOST,) * 3)
    assert found is not None
    assert found["marked"] == ["a.u"]
    assert here.marks["a.u"].uid == "u"
    assert "a.u" in {i.id for i in here.world.registry.list_instances("srv-1")}, "a mark removes nothing"
    here.looks.clear()
    assert here.execute((GOOD,) * 3) is not None, "a mark in force is looked after"
    assert (here.kept, set(here.marks), here.looks) == (True, {"a.u"}, [])
    here.instances.answers[ADDRESS] = GOOD
    here.execute((GOOD,) * 3)
    assert here.marks == {}
    assert here.execute((GOOD,) * 3) is None, "nothing is diagnosed any more"


def test_nothing_is_marked_while_paused_in_observe_mode_or_by_a_second_healer(here: Here) -> None:
    del here.instances.answers[ADDRESS]
    here.context = msgspec.structs.replace(here.context, mode="observe")
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert here.marks == {}
    here.context = msgspec.structs.replace(here.context, mode="apply")
    now = here.world.clock.now()
    here.world.state.write_lease("healer", Lease(epoch=1, holder="other", expires=now + 1000), None)
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert here.marks == {}


def test_only_registered_addresses_in_a_clusters_network_are_asked(here: Here) -> None:
    service = here.world.registry.services["srv-1"]
    for name, address in (("meta", "169.254.169.254"), ("far", "8.8.8.8"), ("odd", "10.0.0.7")):
        attributes = {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "22" if name == "odd" else "8080", "color": "blue"}
        here.world.registry.register(service.id, name, attributes, "t")
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert set(here.instances.asked) == {ADDRESS}


def test_an_unknown_canary_is_refused_and_no_name_means_all(here: Here) -> None:
    assert drive(list_canaries.run(list_canaries.Request(id="x"), here.context), here.ports).canaries == ("front",)
    with pytest.raises(RefusedError, match="there are: front"):
        drive(list_canaries.run(list_canaries.Request(id="x", canary="other"), here.context), here.ports)


def test_the_doctor_finds_what_the_canary_finds_and_remembers_nothing(here: Here) -> None:
    here.front.runs = [(GOOD,) * 3]
    before = dict(here.world.state.documents)
    well = drive(examine.examine(here.context, frozenset({"path"}), {}), here.ports)
    assert (well.findings, well.verdicts[0].kind) == ((), "good")
    here.front.runs = [(LOST,) * 3]
    ill = drive(examine.examine(here.context, frozenset({"path"}), {}), here.ports)
    assert [one.subject for one in ill.findings] == ["listener:http://front.test"]
    assert here.world.state.documents == before
