"""Every alarm of the template fires in the world by a real cause, mails, and clears by itself after the fix; a fresh install mails none.

In a world of its own, for a fresh install is part of it. Only the alarms' clock is put forward (`pass_time`): a look or a canary's run stands for each period.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Deployed
from tests.support.alarms import ALARMS, alarm_name
from tests.support.command_line import crossmesh, remove_repeatedly
from world.application import Application
from world.aws.clients import client
from world.clusters.client import Cluster, wait_for
from world.deploy import ROOT, deploy
from world.supervisor import running_world

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
LAG = "3"  # seconds of waiting that are too long here; the template's 120 would be waited for in real time
PARAMETERS = {"Schedule": "ENABLED", "LagAlarmSeconds": LAG}
SERVICE = "colorapp.appmesh-demo.pvt.aws.local"


@pytest.fixture(scope="module")
def fresh() -> Iterator[Deployed]:
    """A world with nothing deployed yet."""
    with running_world("alarms", ROOT / ".world") as world:
        deploy(world.document, Mode="observe", **PARAMETERS)
        found = Deployed(world, Application(world), Cluster(world.document, "eksc1"), Cluster(world.document, "eksc2"))
        found.front.wait_ready("appmesh-demo", "app=front", 1)
        found.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        yield found


UNMAILED = {"crossmesh-canary", "crossmesh-canary-timed-out"}  # OK since the time in observe mode, in which they send nothing


@pytest.fixture(scope="module")
def watched(fresh: Deployed) -> Deployed:
    """After its first quarter of an hour in each mode: the first test looks at the mails that came until here."""
    first_quarter(fresh)
    deploy(fresh.world.document, Mode="apply", **PARAMETERS)
    first_quarter(fresh)
    return fresh


@pytest.fixture
def here(watched: Deployed) -> Iterator[Deployed]:
    """Healed afterwards; whatever else a cause has set off (time passed without canaries, too) clears by itself."""
    yield watched
    watched.heal()
    for _ in range(8):
        unwell = {name: state for name, state in watched.app.alarms().items() if state != "OK"}
        if not unwell:
            return
        watched.app.look(90)
        watched.app.canary(requests=10)
        watched.app.pass_time(300)
    raise AssertionError(f"fixed, and yet {unwell}")


def first_quarter(here: Deployed) -> None:
    """Five minutes as the schedule makes them, then two looks that stand for five minutes each; of canaries one in three, which is enough for their alarms."""
    for number, seconds in enumerate((60, 60, 60, 60, 60, 300, 300)):
        here.app.look(240)  # the first run starts every function
        if number % 3 == 0:
            here.app.canary(requests=10)
        here.app.pass_time(seconds)


def reached(here: Deployed, alarm: str, states: tuple[str, ...], act: Callable[[], object], seconds: float, periods: int) -> None:
    """Act once a period until the alarm takes one of the states."""
    for _ in range(periods):
        act()
        if here.app.pass_time(seconds)[alarm] in states:
            return
    raise AssertionError(f"{alarm} is {here.app.alarms()[alarm]} after {periods} periods of {seconds:.0f} s, not {states}")


def fires(here: Deployed, alarm: str, act: Callable[[], object], seconds: float, periods: int, state: str = "ALARM") -> None:
    """It fires, and the person on call gets a mail that says what to do first."""
    before = len(here.app.mails())
    reached(here, alarm, (state,), act, seconds, periods)
    mail = next(mail for mail in here.app.mails()[before:] if mail["alarm"] == f"crossmesh-{alarm}" and mail["state"] == state)
    assert mail["subject"] == f'{state}: "crossmesh-{alarm}" in us-east-1'
    assert "First: crossmesh " in mail["text"]


def clears(here: Deployed, alarm: str, act: Callable[[], object], seconds: float, periods: int) -> None:
    """It clears, and says so."""
    before = len(here.app.mails())
    reached(here, alarm, ("OK",), act, seconds, periods)
    assert any(mail["alarm"] == f"crossmesh-{alarm}" and mail["state"] == "OK" for mail in here.app.mails()[before:])


def fault(here: Deployed, service: str, operation: str, code: str) -> None:
    here.app.tell("aws", "faults", {"service": service, "operation": operation, "principal": ".*assumed-role.*", "code": code})


def repaired(here: Deployed) -> None:
    here.app.tell("aws", "faults", verb="DELETE")


def test_a_fresh_install_mails_no_alarm(watched: Deployed) -> None:
    """Observed for a quarter of an hour, then applied for another: the mails say OK, once each, which is how one knows that mail arrives."""
    mails = watched.app.mails()
    assert [mail["subject"] for mail in mails if mail["state"] != "OK"] == []
    assert {mail["alarm"] for mail in mails} >= {f"crossmesh-{name}" for name in watched.app.alarms()} - UNMAILED
    assert set(watched.app.alarms().values()) == {"OK"}


def test_every_alarm_of_the_template_is_deployed_and_has_a_test_here(watched: Deployed) -> None:
    text = Path(__file__).read_text()
    assert set(watched.app.alarms()) == {alarm_name(resource) for resource in ALARMS}
    assert [name for name in watched.app.alarms() if f'"{name}"' not in text] == []


def test_the_dashboard_is_deployed_whole_and_names_what_is_deployed(watched: Deployed) -> None:
    body = client(watched.world.document, "cloudwatch").get_dashboard(DashboardName="crossmesh-us-east-1")["DashboardBody"]
    alarms = {arn.rpartition(":")[2] for widget in json.loads(body)["widgets"] for arn in widget["properties"].get("alarms", ())}
    assert alarms == {f"crossmesh-{name}" for name in watched.app.alarms()}
    measured = {metric["name"] for metric in watched.app.ask("metrics")["metrics"]}
    assert {"CanaryConsecutiveFailures", "Registered", "ConvergenceLagSeconds", "ExecutionTime", "ExecutionsSucceeded"} <= measured
    assert body.count("${") == body.count("${PROP('Dim.canary')}"), "references are resolved, labels of searches kept"


def test_cluster_unseen(here: Deployed) -> None:
    here.colours.tell("dark", {"on": True})
    fires(here, "cluster-unseen", here.app.look, 60, 8)
    here.colours.tell("dark", {"on": False})
    clears(here, "cluster-unseen", here.app.look, 60, 3)


def test_not_converging(here: Deployed) -> None:
    fault(here, "servicediscovery", "RegisterInstance", "AccessDeniedException")
    here.colours.scale("appmesh-demo", "colorapp-red", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    fires(here, "not-converging", here.app.look, 300, 4)
    repaired(here)
    clears(here, "not-converging", here.app.look, 300, 3)


def test_stale_instances(here: Deployed) -> None:
    fault(here, "servicediscovery", "DeregisterInstance", "AccessDeniedException")
    here.colours.delete("Pod", "appmesh-demo", min(here.colour_pods()))
    fires(here, "stale-instances", here.app.look, 60, 8)
    repaired(here)
    clears(here, "stale-instances", here.app.look, 60, 3)


def test_convergence_lag(here: Deployed) -> None:
    """Pods become ready while somebody has paused the application, and are registered only when it is resumed."""

    def late() -> None:
        assert crossmesh(here, "pause")[0] == 0
        pods = len(here.colour_pods())
        here.colours.scale("appmesh-demo", "colorapp-red", pods)
        here.colours.wait_ready("appmesh-demo", "app=colorapp", pods + 1)
        wait_for(lambda: waited(here) > float(LAG) + 1, 20, "a pod that has waited long")
        assert crossmesh(here, "resume")[0] == 0
        here.app.look(90)

    fires(here, "convergence-lag", late, 300, 3)
    clears(here, "convergence-lag", here.app.look, 300, 4)


def waited(here: Deployed) -> float:
    """Seconds since the youngest colour became ready."""
    pods = here.colours.ready_pods("appmesh-demo", "app=colorapp")
    times = [c["lastTransitionTime"] for pod in pods for c in pod["status"]["conditions"] if c["type"] == "ContainersReady"]
    return (datetime.now(UTC) - max(datetime.fromisoformat(stamp) for stamp in times)).total_seconds()


def test_withheld(here: Deployed) -> None:
    """Somebody removes the same instance again and again: the service is stopped until a person says to go on."""
    victim = remove_repeatedly(here)
    fires(here, "withheld", here.app.look, 300, 8)
    assert crossmesh(here, "resume", SERVICE)[0] == 0
    clears(here, "withheld", here.app.look, 300, 3)
    assert victim in here.app.instances()


def test_failures(here: Deployed) -> None:
    fault(here, "servicediscovery", ".*", "AccessDeniedException")

    def three() -> None:
        for _ in range(3):
            before = here.app.last("look")
            here.app.hint()
            wait_for(lambda before=before: here.app.last("look") != before, 60, "a look that failed")

    fires(here, "failures", three, 300, 2)
    repaired(here)
    clears(here, "failures", here.app.look, 300, 4)


def test_mesh_unavailable(here: Deployed) -> None:
    # Refused, not gone: an API that gives no answer at all is not asked again for ten real minutes.
    fault(here, "appmesh", ".*", "AccessDeniedException")
    fires(here, "mesh-unavailable", here.app.look, 300, 4)
    repaired(here)
    clears(here, "mesh-unavailable", here.app.look, 300, 3)


def test_no_looks(here: Deployed) -> None:
    here.app.schedule("Look", on=False)
    here.app.look(90)
    here.app.pass_time(60)
    fires(here, "no-looks", lambda: None, 60, 10, state="INSUFFICIENT_DATA")
    here.app.schedule("Look", on=True)
    clears(here, "no-looks", here.app.look, 60, 8)


def test_canary_silent(here: Deployed) -> None:
    here.app.schedule("Canary", on=False)
    here.app.canary(requests=10)
    here.app.pass_time(60)
    fires(here, "canary-silent", here.app.look, 60, 10, state="INSUFFICIENT_DATA")
    here.app.schedule("Canary", on=True)
    clears(here, "canary-silent", lambda: here.app.canary(requests=10), 60, 8)


def test_canary_and_its_alarm_asks_for_a_look(here: Deployed) -> None:
    pod = next(name for name in here.colour_pods() if "red" in name)
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {"status": 503, "body": "broken"})
    fires(here, "canary", lambda: here.app.canary(requests=10), 60, 5)
    wait_for(lambda: "alarm" in causes(here), 20, "a look that the alarm asked for")
    here.colours.tell(f"pods/appmesh-demo/{pod}/behave", {})
    clears(here, "canary", lambda: here.app.canary(requests=10), 60, 9)


def test_canary_timed_out(here: Deployed) -> None:
    """An execution that times out takes nearly five minutes, so what AWS would count of three of them is laid into the metric."""
    states = [{"Name": "StateMachineArn", "Value": here.app.outputs["CanaryArn"]}]

    def late() -> None:
        here.app.canary(requests=10)
        data = [{"MetricName": "ExecutionsTimedOut", "Dimensions": states, "Value": 1.0, "Unit": "Count"}]
        client(here.world.document, "cloudwatch").put_metric_data(Namespace="AWS/States", MetricData=data)

    fires(here, "canary-timed-out", late, 60, 6)
    clears(here, "canary-timed-out", lambda: here.app.canary(requests=10), 60, 9)


def causes(here: Deployed) -> set[str]:
    """What the last looks were caused by."""
    found = here.app.states.list_executions(stateMachineArn=here.app.outputs["LookArn"], maxResults=20)["executions"]
    inputs: list[dict[str, Any]] = [json.loads(here.app.states.describe_execution(executionArn=e["executionArn"])["input"]) for e in found]
    return {str(about.get("cause")) for about in inputs}


@pytest.mark.parametrize(("alarm", "queue"), [("lost-triggers", "LostTriggersUrl"), ("lost-invocations", "LostInvocationsUrl")])
def test_what_was_lost(here: Deployed, alarm: str, queue: str) -> None:
    """The emulator loses nothing by itself, so a message is laid into the queue as AWS would."""
    url, sqs = here.app.outputs[queue], client(here.world.document, "sqs")
    sqs.send_message(QueueUrl=url, MessageBody=(ROOT / "events" / "look_requested.json").read_text())
    fires(here, alarm, lambda: None, 300, 2)
    sqs.purge_queue(QueueUrl=url)
    clears(here, alarm, lambda: None, 300, 3)
