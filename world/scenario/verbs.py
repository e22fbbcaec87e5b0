"""What may happen in a scenario: verb -> what it does to the world. Each takes the stage and its argument from the file."""

import time
from collections.abc import Callable
from typing import Any

from world.clusters.client import wait_for
from world.scenario.stage import MESH, Stage

Verb = Callable[[Stage, Any], None]


def fault(stage: Stage, argument: dict[str, Any]) -> None:
    """A cluster's API misbehaves: {cluster, …rule of world/clusters/faults.py}."""
    rule = dict(argument)
    stage.clusters[rule.pop("cluster")].tell("faults", rule)


def dark(stage: Stage, argument: str) -> None:
    """A cluster's API is not to be reached; its pods go on."""
    stage.clusters[argument].tell("dark", {"on": True})


def identity(stage: Stage, argument: str) -> None:
    """Another cluster answers to this name."""
    cluster = stage.clusters[argument]
    stage.identities[argument] = cluster.get("Namespace", "", "kube-system")["metadata"]["uid"]
    cluster.tell("identity")


def mend(stage: Stage, _: Any) -> None:
    """Everything that was broken on purpose works again, and what others registered is gone."""
    for name, uid in stage.identities.items():
        stage.clusters[name].tell("identity", {"uid": uid})
    for instance in stage.foreign:
        stage.app.registry.deregister_instance(ServiceId=_service(stage), InstanceId=instance)
    for deployment in stage.moved:
        stage.front.tell("addresses", {"recent": False})
        stage.front.delete("Deployment", MESH, deployment)
    stage.identities, stage.foreign, stage.moved = {}, {}, []
    for cluster in stage.clusters.values():
        cluster.tell("faults", verb="DELETE")
        cluster.tell("dark", {"on": False})
    stage.app.tell("aws", "faults", verb="DELETE")
    stage.app.tell("dataplane", "envoy/start")
    management(stage, "start")


def aws_fault(stage: Stage, argument: dict[str, Any]) -> None:
    """Calls to Cloud Map or App Mesh fail: a fault of world/aws/faults.py, laid for the application's roles unless it says `principal`."""
    stage.app.tell("aws", "faults", {"principal": f".*{stage.app.stack}-.*", **argument})


def scale(stage: Stage, argument: dict[str, int]) -> None:
    """Deployments of the colours' cluster get another size."""
    for deployment, replicas in argument.items():
        stage.colours.scale(MESH, deployment, replicas)


def restart(stage: Stage, argument: list[str]) -> None:
    """A rolling restart, as `kubectl rollout restart` does it."""
    for deployment in argument:
        mark = {"spec": {"template": {"metadata": {"annotations": {"restarted-at": str(time.time())}}}}}
        stage.colours.patch("Deployment", MESH, deployment, mark)


def delete_pods(stage: Stage, argument: dict[str, Any]) -> None:
    """Pods of a selector are deleted: {selector, grace}."""
    for pod in stage.colours.items("Pod", MESH, argument["selector"]):
        stage.colours.delete("Pod", MESH, pod["metadata"]["name"], argument.get("grace"))


def move(stage: Stage, argument: str) -> None:
    """A Deployment of the colours goes to the other cluster, without grace: its new pods get the addresses that the old ones had a moment ago."""
    old = stage.colours.get("Deployment", MESH, argument)
    selector = ",".join(f"{k}={v}" for k, v in old["spec"]["selector"]["matchLabels"].items())
    pods = stage.colours.items("Pod", MESH, selector)
    stage.front.tell("addresses", {"recent": True})
    stage.colours.scale(MESH, argument, 0)
    for pod in pods:
        stage.colours.delete("Pod", MESH, pod["metadata"]["name"], 0)
    wait_for(lambda: not stage.colours.items("Pod", MESH, selector), 30, f"the pods of {argument} to be gone")
    stage.moved.append(argument)
    meta = {"name": argument, "namespace": MESH, "labels": old["metadata"].get("labels") or {}}
    stage.front.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {**old["spec"], "replicas": len(pods)}})
    came = stage.front.wait_ready(MESH, selector, len(pods), 60)
    reused = {pod["status"]["podIP"] for pod in pods} & {pod["status"]["podIP"] for pod in came}
    if not reused:
        raise AssertionError("no address came back: this would prove nothing")


def spread(stage: Stage, argument: list[str]) -> None:
    """Deployments of the colours run in the other cluster as well, as many pods again; back when they are ready."""
    for deployment in argument:
        old = stage.colours.get("Deployment", MESH, deployment)
        meta = {"name": deployment, "namespace": MESH, "labels": old["metadata"].get("labels") or {}}
        stage.moved.append(deployment)
        stage.front.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": old["spec"]})
        selector = ",".join(f"{k}={v}" for k, v in old["spec"]["selector"]["matchLabels"].items())
        stage.front.wait_ready(MESH, selector, old["spec"].get("replicas", 1), 60)


def withdraw(stage: Stage, _: Any) -> None:
    """What was spread to the other cluster leaves it again."""
    for deployment in stage.moved:
        stage.front.delete("Deployment", MESH, deployment)
    stage.moved = []


def kill_pod(stage: Stage, argument: str) -> None:
    """The process of one pod of a selector dies, and its kubelet notices."""
    pod = stage.colours.ready_pods(MESH, argument)[0]["metadata"]["name"]
    stage.colours.tell(f"pods/{MESH}/{pod}/kill", {"notice": True})


def look(stage: Stage, argument: int | None) -> None:
    """So many looks, one after another, each with the run it asks for."""
    for _ in range(argument or 1):
        stage.look()


def hint(stage: Stage, argument: int | None) -> None:
    """So many hints at once."""
    for _ in range(argument or 1):
        stage.app.hint()


def settle(stage: Stage, argument: float | None) -> None:
    """Until pods and registry have come to rest (at most so many seconds)."""
    stage.settle(argument or 60.0)


def rolled_out(stage: Stage, argument: float | None) -> None:
    """Until the pods have come to rest, telling nobody (at most so many seconds)."""
    wait_for(stage.settled, argument or 60.0, "pods to come to rest")


def wait(_: Stage, argument: float) -> None:
    """So many seconds pass."""
    time.sleep(argument)


def management(stage: Stage, argument: str) -> None:
    """Envoy's control plane stops or starts: App Mesh's management service, or all servers of own Envoys."""
    stage.app.tell("dataplane", f"management/{argument}")
    if stage.app.document["mesh"] == "envoy":
        for cluster in stage.clusters.values():
            cluster.scale("crossmesh", "crossmesh-xds", 2 if argument == "start" else 0)


def envoy(stage: Stage, argument: str) -> None:
    """The sidecars are killed (and come back), stopped or started."""
    stage.app.tell("dataplane", f"envoy/{argument}")


def kill_functions(stage: Stage, argument: int | None) -> None:
    """Every function's process is killed, so many times, half a second apart."""
    for _ in range(argument or 1):
        stage.kill_functions()
        time.sleep(0.5)


def freeze(stage: Stage, argument: dict[str, Any]) -> None:
    """A part of the world stands still: {part, seconds}."""
    with stage.frozen(argument["part"]):
        time.sleep(argument["seconds"])


def restart_aws(stage: Stage, argument: float) -> None:
    """Cloud Map, App Mesh and EKS end in the middle of what they do, keep what was written, and answer again after so many seconds."""
    stage.app.tell("aws", "restart", {"seconds": argument})
    time.sleep(argument)
    wait_for(stage.app.aws_answers, 30, "Cloud Map to answer again")


def lose(stage: Stage, argument: int) -> None:
    """Somebody deregisters so many of the application's instances."""
    lost = sorted(stage.ours())[:argument]
    for instance in lost:
        stage.app.registry.deregister_instance(ServiceId=_service(stage), InstanceId=instance)
    wait_for(lambda: not stage.app.instances().keys() & set(lost), 30, "the instances to be lost")


def register(stage: Stage, argument: dict[str, dict[str, str]]) -> None:
    """Somebody else registers instances: id -> attributes."""
    for instance, attributes in argument.items():
        stage.app.registry.register_instance(ServiceId=_service(stage), InstanceId=instance, Attributes=attributes)
        stage.foreign[instance] = attributes
    wait_for(lambda: argument.keys() <= stage.app.instances().keys(), 30, "the instances to be there")


def stop_run(stage: Stage, _: Any) -> None:
    """The run under way is stopped from outside, wherever it is."""

    def running() -> list[str]:
        found = stage.app.states.list_executions(stateMachineArn=stage.app.outputs["ReconcileArn"], statusFilter="RUNNING")["executions"]
        return [execution["executionArn"] for execution in found]

    for arn in wait_for(running, 30, "a run under way"):
        stage.app.states.stop_execution(executionArn=arn)


def count_calls(stage: Stage, _: Any) -> None:
    """Begin to count the calls of AWS anew."""
    stage.app.calls(reset=True)


def _service(stage: Stage) -> str:
    services = stage.app.registry.list_services()["Services"]
    return str(next(service["Id"] for service in services if service["Name"] == "colorapp"))


VERBS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        fault,
        dark,
        identity,
        mend,
        aws_fault,
        scale,
        restart,
        delete_pods,
        move,
        spread,
        withdraw,
        kill_pod,
        look,
        hint,
        settle,
        rolled_out,
        wait,
        management,
        envoy,
        kill_functions,
        freeze,
        restart_aws,
        lose,
        register,
        stop_run,
        count_calls,
    )
}
