"""How pods live on both tiers: deployments, rolling updates, readiness gates, and ends with and without grace."""

import time
from typing import Any

from tests.conformance.kubernetes_tiers import Api, Object
from world.clusters.client import is_ready, wait_for

SLOW_S = 30.0


def deployment(name: str, replicas: int, **annotations: str) -> Object:
    """Rolls one pod at a time and never goes below its size."""
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": annotations},
                "spec": {"containers": [{"name": "app", "image": "colorapp:1", "ports": [{"containerPort": 8080}]}]},
            },
        },
    }


def lone(name: str, **spec: Any) -> Object:
    """A pod that a scheduler and a kubelet take."""
    annotations = spec.pop("annotations", {})
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"containers": [{"name": "app", "image": "x"}], **spec}}


def quiet(api: Api, path: str) -> Any:
    """A look that is not recorded."""
    return api.ask("GET", path, record=False).body


def live(api: Api) -> list[Object]:
    """Pods that are not Terminating."""
    return [pod for pod in quiet(api, api.pods)["items"] if "deletionTimestamp" not in pod["metadata"]]


def settled(api: Api, count: int) -> list[Object]:
    """Wait for exactly so many pods, all ready."""

    def there() -> bool:
        pods = quiet(api, api.pods)["items"]
        return len(pods) == count and all(is_ready(pod) and "deletionTimestamp" not in pod["metadata"] for pod in pods)

    wait_for(there, SLOW_S, f"{count} ready pods in {api.namespace} of {api.tier.name}")
    return live(api)


def apps(api: Api, name: str = "") -> str:
    """Where deployments lie."""
    return f"/apis/apps/v1/namespaces/{api.namespace}/deployments" + (f"/{name}" if name else "")


def states(pod: Object) -> dict[str, str]:
    """Its conditions."""
    return {c["type"]: c["status"] for c in pod["status"].get("conditions") or ()}


def test_pods_of_a_deployment(api: Api) -> None:
    api.create(deployment("web", 3), apps(api))
    pods = settled(api, 3)
    sets = quiet(api, f"/apis/apps/v1/namespaces/{api.namespace}/replicasets")["items"]
    assert len(sets) == 1
    digest = sets[0]["metadata"]["labels"]["pod-template-hash"]
    assert sets[0]["metadata"]["ownerReferences"][0]["kind"] == "Deployment"
    for pod in pods:
        owner = pod["metadata"]["ownerReferences"][0]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("ReplicaSet", sets[0]["metadata"]["uid"], True)
        assert {"app": "web", "pod-template-hash": digest}.items() <= pod["metadata"]["labels"].items()
        assert pod["metadata"]["name"].startswith(f"web-{digest}-")
        assert pod["spec"]["nodeName"].startswith(f"{api.cluster}-node-")
        assert pod["status"]["podIP"] == pod["status"]["podIPs"][0]["ip"]
        assert {"PodScheduled": "True", "Initialized": "True", "ContainersReady": "True", "Ready": "True"}.items() <= states(pod).items()
    assert len({pod["status"]["podIP"] for pod in pods}) == 3
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2, "spread over the nodes"

    def counted() -> bool:
        status = quiet(api, apps(api, "web"))["status"]
        return [status.get(name) for name in ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")] == [3] * 4

    wait_for(counted, SLOW_S, "the deployment's status")


def test_scaling(api: Api) -> None:
    api.create(deployment("web", 1), apps(api))
    first = settled(api, 1)[0]["metadata"]["uid"]
    api.patch(apps(api, "web"), {"spec": {"replicas": 4}}, record=False)
    settled(api, 4)
    scale = api.patch(f"{apps(api, 'web')}/scale", {"spec": {"replicas": 2}}, record=False)
    assert (scale.status, scale.body["kind"], scale.body["spec"]["replicas"]) == (200, "Scale", 2)
    assert len(settled(api, 2)) == 2
    victim = live(api)[0]["metadata"]
    api.ask("DELETE", f"{api.pods}/{victim['name']}", record=False)
    assert victim["uid"] not in {pod["metadata"]["uid"] for pod in settled_without(api, victim["uid"], 2)}
    api.patch(apps(api, "web"), {"spec": {"replicas": 0}}, record=False)
    settled(api, 0)
    assert first


def settled_without(api: Api, uid: str, count: int) -> list[Object]:
    """The same, once a pod is gone."""
    wait_for(lambda: uid not in {pod["metadata"]["uid"] for pod in quiet(api, api.pods)["items"]}, SLOW_S, "the pod's end")
    return settled(api, count)


def test_rolling_update(api: Api) -> None:
    api.create(deployment("web", 3), apps(api))
    before = {pod["metadata"]["uid"] for pod in settled(api, 3)}
    api.patch(apps(api, "web"), {"spec": {"template": {"metadata": {"labels": {"app": "web", "release": "2"}}}}}, record=False)
    least, most = 3, 3
    until = time.monotonic() + SLOW_S
    while time.monotonic() < until:
        pods = live(api)
        least = min(least, sum(is_ready(pod) for pod in pods))
        most = max(most, len(pods))
        if len(pods) == 3 and all(is_ready(pod) and pod["metadata"]["labels"].get("release") == "2" for pod in pods):
            break
        time.sleep(0.02)
    assert (least, most) == (3, 4), "maxUnavailable 0 and maxSurge 1 hold at every moment"
    assert not before & {pod["metadata"]["uid"] for pod in settled(api, 3)}
    sets = quiet(api, f"/apis/apps/v1/namespaces/{api.namespace}/replicasets")["items"]
    assert sorted(rs["spec"]["replicas"] for rs in sets) == [0, 3], "the old ReplicaSet stays, empty, for a rollback"


def test_deleting_a_deployment_ends_its_pods(api: Api) -> None:
    api.create(deployment("web", 2), apps(api))
    settled(api, 2)
    assert api.ask("DELETE", apps(api, "web"), record=False).status == 200
    wait_for(lambda: quiet(api, api.pods)["items"] == [], SLOW_S, "the end of the pods")


def test_terminating(api: Api) -> None:
    api.create(lone("slow", annotations={"world/stop-delay": "1.5s"}), record=False)
    settled(api, 1)
    version = api.ask("GET", api.pods, record=False).version
    told = api.delete(f"{api.pods}/slow")
    assert told.status == 200
    assert told.body["metadata"]["deletionTimestamp"]
    assert told.body["metadata"]["deletionGracePeriodSeconds"] == 30
    seen = api.get(f"{api.pods}/slow")
    assert seen.body["metadata"]["deletionTimestamp"] == told.body["metadata"]["deletionTimestamp"]
    assert states(seen.body)["Ready"] == "True", "a Terminating pod may well be ready"
    again = api.delete(f"{api.pods}/slow")
    assert again.body["metadata"]["deletionTimestamp"] == told.body["metadata"]["deletionTimestamp"]
    events = [(kind, "deletionTimestamp" in item["metadata"]) for kind, item in api.watch(api.pods, resourceVersion=version, timeoutSeconds=4)]
    assert events[0] == ("MODIFIED", True)
    assert events[-1] == ("DELETED", True)
    assert api.get(f"{api.pods}/slow").status == 404


def test_shorter_grace(api: Api) -> None:
    api.create(lone("held", annotations={"world/stop-delay": "20s"}), record=False)
    settled(api, 1)
    assert api.delete(f"{api.pods}/held", gracePeriodSeconds=7).body["metadata"]["deletionGracePeriodSeconds"] == 7
    assert api.delete(f"{api.pods}/held", gracePeriodSeconds=0).status == 200
    assert api.get(f"{api.pods}/held").status == 404, "grace 0 waits for no kubelet"


def test_pre_stop_sleep(api: Api) -> None:
    body = lone("sleeper")
    body["spec"]["containers"][0]["lifecycle"] = {"preStop": {"sleep": {"seconds": 2}}}
    api.create(body, record=False)
    settled(api, 1)
    began = time.monotonic()
    api.ask("DELETE", f"{api.pods}/sleeper", record=False)
    wait_for(lambda: quiet(api, api.pods)["items"] == [], SLOW_S, "the pod's end")
    assert time.monotonic() - began >= 1.9


def test_readiness_gate(api: Api) -> None:
    api.create(lone("gated", readinessGates=[{"conditionType": "world/registered"}]), record=False)

    def contained() -> bool:
        return states(quiet(api, f"{api.pods}/gated")).get("ContainersReady") == "True"

    wait_for(contained, SLOW_S, "containers to be ready")
    time.sleep(0.5)
    assert states(quiet(api, f"{api.pods}/gated"))["Ready"] == "False"
    for state in ("True", "False"):
        gate = {"type": "world/registered", "status": state}
        patched = api.patch(f"{api.pods}/gated/status", {"status": {"conditions": [gate]}}, "strategic-merge", record=False)
        assert patched.status == 200
        wait_for(lambda state=state: states(quiet(api, f"{api.pods}/gated"))["Ready"] == state, SLOW_S, f"Ready {state} by its gate")
    assert states(quiet(api, f"{api.pods}/gated"))["ContainersReady"] == "True"


def test_delays(api: Api) -> None:
    api.create(lone("late", annotations={"world/start-delay": "1s", "world/ready-delay": "1s"}), record=False)
    began = time.monotonic()
    wait_for(lambda: quiet(api, f"{api.pods}/late")["status"].get("podIP"), SLOW_S, "an address")
    assert not is_ready(quiet(api, f"{api.pods}/late"))
    settled(api, 1)
    assert time.monotonic() - began >= 1.5


def test_sickness(api: Api) -> None:
    api.create(lone("well"), record=False)
    settled(api, 1)
    for outliers in ("true", None):
        api.patch(f"{api.pods}/well", {"metadata": {"labels": {"world/unready": outliers}}}, record=False)
        wanted = "False" if outliers else "True"
        wait_for(lambda wanted=wanted: states(quiet(api, f"{api.pods}/well"))["ContainersReady"] == wanted, SLOW_S, f"ContainersReady {wanted}")
        wait_for(lambda wanted=wanted: states(quiet(api, f"{api.pods}/well"))["Ready"] == wanted, SLOW_S, f"Ready {wanted}")
