"""The demo's part about the mesh on Envoys of one's own, which crossmesh's servers steer."""

import json
import urllib.request
from typing import Any

from world.application import Application
from world.clusters.client import Cluster, wait_for
from world.demo_mesh import Check
from world.deploy import install_servers
from world.state import World

ADMIN = 9901
SERVERS = "app=crossmesh-xds"


class OwnEnvoys:
    """Servers in each cluster, fed by published snapshots."""

    backend = "envoy"
    drift = "Everything that steers goes away: the servers of Envoys, and Cloud Map; a pod is replaced meanwhile"

    def install(self, world: World) -> None:
        """Two servers in each cluster."""
        install_servers(world.document)

    def built(self, app: Application, check: Check) -> None:
        """By what the Envoys hold: each knows its own virtual node, by a snapshot of ours."""
        app.settled(60)
        held = {dump(pod)["node"].rpartition("/")[2]: pod["name"] for pod in proxies(app)}
        told = ", ".join(f"{pod} as {node}" for node, pod in sorted(held.items()))
        check(set(held) == {"front_appmesh-demo"}, f"snapshot {app.snapshot()} is published and in the Envoy of every pod that has one: {told}")

    def weights(self, app: Application) -> dict[str, int]:
        """By the Envoy of front."""
        (front,) = (pod for pod in proxies(app) if pod["name"].startswith("front"))
        return dump(front)["weights"]

    def hurt(self, app: Application, check: Check) -> None:
        """Fail static, then right again."""
        colours = Cluster(app.document, "eksc2")
        number = app.snapshot()
        for name in app.document["clusters"]:
            Cluster(app.document, name).scale("crossmesh", "crossmesh-xds", 0)
        for name in app.document["clusters"]:
            cluster = Cluster(app.document, name)
            wait_for(lambda cluster=cluster: not cluster.items("Pod", "crossmesh", SERVERS), 30, "no server")
        counts = app.mix(40)
        check(counts.keys() <= {"blue", "red"}, f"no server of Envoys runs: 40 requests, {dict(counts)}")
        app.tell(
            "aws", "faults", {"principal": f".*{app.stack}-.*", "service": "servicediscovery", "code": "ServiceUnavailable", "status": 503}
        )
        for name in app.document["clusters"]:
            Cluster(app.document, name).scale("crossmesh", "crossmesh-xds", 2)
        old = next(pod["metadata"]["name"] for pod in colours.ready_pods("appmesh-demo", "app=colorapp,version=blue"))
        colours.delete("Pod", "appmesh-demo", old)
        colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        app.hint()
        wait_for(lambda: app.snapshot() > number, 60, "a snapshot with the new pod")
        app.settled(60)
        counts = app.mix(40)
        check(set(counts) == {"blue", "red"}, f"servers are back, Cloud Map answers 503, a blue pod was replaced: 40 requests, {dict(counts)}")
        app.tell("aws", "faults", verb="DELETE")
        app.look(90)
        app.wait_pods({pod["metadata"]["name"] for pod in colours.ready_pods("appmesh-demo", "app=colorapp")})
        check(True, "Cloud Map is back, and so is the new pod in it")


def proxies(app: Application) -> list[dict[str, Any]]:
    """Pods with an Envoy."""
    found: list[dict[str, Any]] = []
    for name in app.document["clusters"]:
        found += [pod for pod in Cluster(app.document, name).tell("pods", verb="GET") if pod["sidecar"] and pod["ready"]]
    return found


def dump(pod: dict[str, Any]) -> dict[str, Any]:
    """What the Envoy of a pod holds: its node, and the weights of the routes to colours."""
    with urllib.request.urlopen(f"http://{pod['ip']}:{ADMIN}/config_dump", timeout=5) as answer:
        found = {one["@type"].rpartition(".")[2]: one for one in json.load(answer)["configs"]}
    weights: dict[str, int] = {}
    for config in found.get("RoutesConfigDump", {}).get("dynamic_route_configs", ()):
        for host in config["route_config"].get("virtual_hosts", ()):
            for route in host.get("routes", ()):
                for target in route.get("route", {}).get("weighted_clusters", {}).get("clusters", ()):
                    if "colorapp-" in target["name"]:
                        weights[target["name"].partition("colorapp-")[2].partition("_")[0]] = target.get("weight", 0)
    return {"node": found["BootstrapConfigDump"]["bootstrap"]["node"]["id"], "weights": weights}
