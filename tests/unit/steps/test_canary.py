"""The canary as shipped, state machine and steps, over ports in memory: a second try before an alarm, a verdict with its diagnosis, a mark with its end."""

import random
from typing import Any

import msgspec
import pytest
from crossmesh import codec
from crossmesh.adapters.memory import MemoryBalancers, MemoryFront, MemoryInstances, MemoryNetworks
from crossmesh.core.canary.history import MEMORY_LIMIT, CanaryHistory
from crossmesh.core.canary.sample import Sample
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.diagnosis.facts import NetworkFacts
from crossmesh.core.diagnosis.outliers import OutlierReview
from crossmesh.core.settings import CanarySettings, Expect, ServiceTarget
from crossmesh.driver import drive
from crossmesh.errors import CrossmeshError, RefusedError
from crossmesh.ports import Lease
from crossmesh.steps import diagnose_canary, judge_canary, list_canaries, probe_front
from crossmesh.usecases import canary, doctor
from crossmesh.usecases.canary import Judgement
from crossmesh.usecases.context import Context

from tests.sim import asl
from tests.sim.application import load
from tests.support import builders
from tests.support.passes import MemoryWorld

SCHEDULED = {"cause": "schedule", "canary": "", "requests": 0}
GOOD, LOST = Sample(status=200, body="ok"), Sample(error="timeout", trace_id="1-2-3")
ADDRESS = "10.0.0.1"
TARGET = ServiceTarget(cluster="a", namespace="demo", name="front", port=80)
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

    def execute(self, *runs: tuple[Sample, ...], asked: Any = SCHEDULED) -> dict[str, Any] | None:
        """One execution of the shipped state machine; what the diagnosis answered, None where there was none."""
        self.count += 1
        self.front.runs = list(runs)
        self.world.clock.sleep(60)
        self.diagnosed: dict[str, Any] | None = None
        context = {"Execution": {"Name": f"run-{self.count}", "Id": f"arn:run-{self.count}"}}
        flow = asl.flow(APPLICATION.machines["Canary"].definition, asked, context, random.Random(1))
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
    def memory(self) -> CanaryHistory:
        data = self.world.state.read("canary/front")
        return codec.decode(data, CanaryHistory) if data else CanaryHistory()

    @property
    def last(self) -> Verdict:
        assert self.memory.last is not None
        return self.memory.last

    @property
    def marks(self) -> dict[str, OutlierReview]:
        data = self.world.state.read("outliers")
        return codec.decode(data, dict[str, OutlierReview]) if data else {}


@pytest.fixture
def here() -> Here:
    return Here()


def test_a_flake_is_tried_again_remembered_as_one_and_no_failure(here: Here) -> None:
    assert here.execute((GOOD, LOST, GOOD), (GOOD,) * 3) is None
    assert (here.kept, here.last.kind, here.memory.failures, len(here.memory.rounds)) == (True, "good", 0, 1)
    assert here.last.flake == "1 of 3 requests failed: 1 × timeout"
    assert here.execute((GOOD,) * 3) is None
    assert here.last.flake == ""
    assert here.looks == []


def test_what_fails_twice_is_a_failure_with_its_diagnosis_kept_with_the_verdict_and_its_trace(here: Here) -> None:
    found = here.execute((LOST,) * 3, (LOST,) * 3)
    assert found is not None
    assert found["named"] == [{"canary": "front", "broken": ["listener:http://front.test"]}]
    assert here.last.diagnoses is not None
    assert here.last.diagnoses[0].fix
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
    judged = Judgement(id="run-1", failed=True, verdicts=(msgspec.convert(verdict, judge_canary.Judged),))
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
    here.world.state.write_lease("outliers", Lease(epoch=1, holder="other", expires=now + 1000), None)
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert here.marks == {}


def test_only_registered_addresses_in_a_clusters_network_are_asked(here: Here) -> None:
    service = here.world.registry.services["srv-1"]
    for name, address in (("meta", "169.254.169.254"), ("far", "8.8.8.8"), ("odd", "10.0.0.7")):
        attributes = {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": "22" if name == "odd" else "8080", "color": "blue"}
        here.world.registry.register(service.id, name, attributes, "t")
    here.execute((LOST,) * 3, (LOST,) * 3)
    assert set(here.instances.asked) == {ADDRESS}


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"canary": "other"}, "no canary 'other'; there are: front"),
        ({"canary": ["front"]}, "no canary ['front']"),
        ({"canary": "x" * 100_000}, "no canary 'xxx"),
        ({"requests": 1_000_000}, "wanted a whole number from 0 to 1,000"),
        ({"requests": -1}, "wanted a whole number"),
        ({"requests": True}, "wanted a whole number"),
        ({"requests": "60"}, "wanted a whole number"),
        ({"canary": "front", "requests": None}, "wanted a whole number"),
        ([], "the input is no object"),
        ("front", "the input is no object"),
    ],
)
def test_a_request_that_makes_no_sense_runs_nothing_and_fails_nothing(here: Here, asked: Any, problem: str) -> None:
    """Whoever may put an event on the bus could ring the canary's alarm otherwise."""
    found = list_canaries.listed(asked, here.context.settings)
    assert (found.canaries, found.found, problem in found.problem) == ((), False, True)
    assert len(found.problem) < 1000
    assert here.execute((LOST,) * 3, (LOST,) * 3, asked=asked) is None
    assert (here.kept, here.front.runs, here.memory) == (True, [(LOST,) * 3] * 2, CanaryHistory())


def test_settings_without_a_canary_end_the_execution_before_anything_is_made_of_an_empty_list(here: Here) -> None:
    """What States.ArrayContains and JSONPath make of one is not documented."""
    none = msgspec.structs.replace(here.context.settings, canaries=())
    assert (list_canaries.listed({}, none).canaries, list_canaries.listed({}, none).found) == ((), False)
    definition = APPLICATION.machines["Canary"].definition
    (rule,) = definition["States"]["Are there canaries?"]["Choices"]
    assert (rule["Variable"], rule["BooleanEquals"], rule["Next"]) == ("$.found", True, "Check each canary")
    assert definition["States"][definition["States"]["Are there canaries?"]["Default"]]["Type"] == "Succeed"
    assert [name for name, state in definition["States"].items() if state.get("Next") == "Check each canary"] == []


@pytest.mark.parametrize("asked", [{}, {"cause": "x"}, {"canary": ""}, {"canary": "front", "requests": 1000}])
def test_a_request_that_says_little_is_run(here: Here, asked: Any) -> None:
    assert list_canaries.listed(asked, here.context.settings).found
    assert here.execute((GOOD,) * 3, asked=asked) is None
    assert (here.kept, here.last.kind) == (True, "good")


@pytest.mark.parametrize(("asked", "wanted"), [(0, 3), (7, 7), (1_000_000, 1000), (-5, 1)])
def test_the_probe_bounds_its_requests_itself(here: Here, monkeypatch: pytest.MonkeyPatch, asked: int, wanted: int) -> None:
    seen: list[int] = []
    monkeypatch.setattr(here.front, "probe", lambda _url, requests, *_, **__: (seen.append(requests), (GOOD,))[1])
    drive(probe_front.run(probe_front.Request(id="r", requests=asked), here.context), here.ports)
    assert seen == [wanted]


@pytest.mark.parametrize("asked", [{"canary": "front", "requests": 0}, {"canary": "", "requests": 5}])
def test_a_requested_run_without_data_is_not_the_canarys(here: Here, asked: Any) -> None:
    """A probe that was asked for too much of dies and has no data: that says nothing of the front, and alarms nobody."""
    here.execute((GOOD,) * 3)
    before = here.memory
    here.broken = {"ProbeFrontFunction"}
    assert here.execute(asked=asked) is None
    assert (here.kept, here.memory, here.looks) == (True, before, [])
    kept = codec.decode(here.world.runs.objects["runs/run-2/verdicts/front.json"], Verdict)
    assert (kept.kind, kept.run) == ("no-data", "run-2"), "who asked is told"
    here.execute(asked=SCHEDULED)
    assert (here.kept, here.last.kind) == (False, "no-data"), "the schedule's own run is"


HOSTILE_HEADERS = {f"x-{number}-{'n' * 32_000}": "v" * 32_000 for number in range(20)}
HOSTILE = (
    Sample(status=503, body="\x01" * 65_536, headers=HOSTILE_HEADERS),
    Sample(status=503, body="\U0001f600" * 16_000, headers={"a" * 9: "\x1b" * 16_000}),
    Sample(error="protocol", detail="\x00" * 1_000_000),
    Sample(status=500, body="\u202e" * 65_536, headers={chr(200 + n): "\x7f" * 60_000 for n in range(95)}),
)


@pytest.mark.parametrize("sample", HOSTILE)
def test_whatever_a_front_sends_its_canary_fails_and_is_remembered(here: Here, sample: Sample) -> None:
    """The reported case: a history too large for its store, so that `status` went on to say good."""
    here.execute((GOOD,) * 3)
    for _ in range(3):
        here.execute((sample,) * 60, (sample,) * 60)
    assert (here.kept, here.last.kind, here.memory.failures) == (False, "failed", 3)
    assert len(here.world.state.documents["canary/front"]) <= MEMORY_LIMIT < 400_000 / 2
    for key, value in here.world.runs.objects.items():
        if key.startswith("runs/run-"):
            assert len(value) < 1_000_000, f"{key}: the samples of 60 requests"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:50577/2018-06-01/runtime/invocation/next?",
        "front.example/admin#",
        "user@front.example",
        "front.example\r\nX-Evil: 1",
        "front .example",
        "-front.example",
        "a" * 300,
        "[::1]",
        "fe80::1%eth0",
        "front.example:8080",
        "\u0131nternal.example",
    ],
)
def test_what_a_service_names_as_its_load_balancer_is_a_host_or_refused(host: str) -> None:
    with pytest.raises(CrossmeshError, match="which is no host name"):
        canary.url_for(host, TARGET, "/color")


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("a1-2.us-east-1.elb.amazonaws.com", 80, "http://a1-2.us-east-1.elb.amazonaws.com:80/color"),
        ("front.example.", 443, "https://front.example.:443/color"),
        ("203.0.113.7", 80, "http://203.0.113.7:80/color"),
        ("2600:1f18::7", 8443, "http://[2600:1f18::7]:8443/color"),
        ("_front.example", 80, "http://_front.example:80/color"),
    ],
)
def test_hosts_and_addresses_are_asked(host: str, port: int, url: str) -> None:
    assert canary.url_for(host, msgspec.structs.replace(TARGET, port=port), "/color") == url


def test_the_doctor_finds_what_the_canary_finds_and_remembers_nothing(here: Here) -> None:
    here.front.runs = [(GOOD,) * 3]
    before = dict(here.world.state.documents)
    well = drive(doctor.examine(here.context, frozenset({"path"}), {}), here.ports)
    assert (well.findings, well.verdicts[0].kind) == ((), "good")
    here.front.runs = [(LOST,) * 3]
    ill = drive(doctor.examine(here.context, frozenset({"path"}), {}), here.ports)
    assert [one.subject for one in ill.findings] == ["listener:http://front.test"]
    assert here.world.state.documents == before
