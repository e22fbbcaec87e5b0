"""The demo's part about the mesh, on either backend: that it is built, drift or outages, a shift of weights without a deploy, a route by header."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from world.application import Application
from world.aws.clients import environment
from world.clusters.client import wait_for
from world.deploy import ROOT
from world.state import World

ROUTER = {"meshName": "appmesh-demo", "virtualRouterName": "colorapp_appmesh-demo"}
_BY_HEADER = """
    - name: by-header
      priority: 1
      httpRoute:
        match: {prefix: /, headers: [{name: color_side, match: {exact: blue}}]}
        action: {weightedTargets: [{virtualNodeRef: {name: colorapp-blue}, weight: 1}]}
"""

Check = Callable[[bool, str], None]
NODES = {"front_appmesh-demo", "colorapp-blue_appmesh-demo", "colorapp-red_appmesh-demo"}


class Mesh(Protocol):
    """What of the demo depends on the backend."""

    backend: str
    drift: str
    """The title of the step in which something is hurt by hand."""

    def install(self, world: World) -> None:
        """What a user installs once the application is deployed."""

    def built(self, app: Application, check: Check) -> None:
        """The mesh is there."""

    def weights(self, app: Application) -> dict[str, int]:
        """The weights in force, by colour; {} where the route is away."""

    def hurt(self, app: Application, check: Check) -> None:
        """The step of that title."""


def crossmesh(app: Application, *arguments: str, config: Path = ROOT / "config") -> str:
    """The command line as a person runs it; what it printed."""
    command = [sys.executable, "-m", "crossmesh.cli", *arguments, "--config", str(config)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **environment(app.document)}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


class AppMesh:
    """The emulated API, and its management service."""

    backend = "appmesh"
    drift = "Drift by hand: somebody deletes a route, and changes weights behind our back"

    def install(self, world: World) -> None:
        """Nothing: AWS ran it."""

    def built(self, app: Application, check: Check) -> None:
        """By its API."""
        nodes = {n["virtualNodeName"] for n in app.mesh.list_virtual_nodes(meshName="appmesh-demo")["virtualNodes"]}
        check(nodes == NODES, f"App Mesh has {', '.join(sorted(nodes))}")

    def weights(self, app: Application) -> dict[str, int]:
        """By its API."""
        try:
            spec = app.mesh.describe_route(**ROUTER, routeName="color-route")["route"]["spec"]
        except app.mesh.exceptions.NotFoundException:
            return {}
        targets = spec["httpRoute"]["action"]["weightedTargets"]
        return {target["virtualNode"].partition("_")[0].removeprefix("colorapp-"): target["weight"] for target in targets}

    def hurt(self, app: Application, check: Check) -> None:
        """Somebody deletes the route, then changes its weights; nobody gives a hint."""
        declared = app.mesh.describe_route(**ROUTER, routeName="color-route")["route"]["spec"]
        before = self.weights(app)
        app.mesh.delete_route(**ROUTER, routeName="color-route")
        wait_for(lambda: self.weights(app) == before, 60, "the deleted route to be back")
        check(True, "`aws appmesh delete-route`: it is back as declared, by its CloudTrail event alone")
        wrong = {
            "httpRoute": {**declared["httpRoute"], "action": {"weightedTargets": [{**declared["httpRoute"]["action"]["weightedTargets"][0]}]}}
        }
        app.mesh.update_route(**ROUTER, routeName="color-route", spec=wrong)
        check(self.weights(app) != before, f"`aws appmesh update-route` behind our back: weights are {self.weights(app)}")
        wait_for(lambda: self.weights(app) == before, 60, "the weights to be back")
        check(True, f"and are {before} again")


def shift(app: Application, mesh: Mesh, check: Check, config: Path) -> None:
    """Weights moved step by step by the deployed application, as a recorded operation, while a canary watches."""
    app.settled()  # Envoy may still go by the weights of before
    for _ in range(8):  # a canary that is red would halt the shift: its window must be past those weights, too
        last = app.canary(requests=60).last
        if last is not None and last.kind == "good":
            break
    told = crossmesh(
        app, "shift", "colorapp", "--to", "colorapp-blue=90,colorapp-red=10", "--step", "20", "--every", "2s", "--yes", config=config
    )
    check(
        "refusing" not in told and "shift of appmesh-demo/colorapp" in told,
        f"`crossmesh shift colorapp --to …`: {told.strip().splitlines()[-1]}",
    )
    seen: list[dict[str, int]] = []

    def arrived() -> bool:
        if (now := mesh.weights(app)) not in seen:
            seen.append(now)
        return now == {"blue": 90, "red": 10}

    wait_for(arrived, 60, "the goal of the shift")
    way = " → ".join(":".join(str(weight) for _, weight in sorted(found.items())) for found in seen)
    check(len(seen) > 2, f"the deployed application moved them, blue to red: {way}")


def add_route_by_header(manifest: Path) -> None:
    """One more route in the manifest of the colours' router."""
    text = manifest.read_text()
    at = text.index("  routes:\n") + len("  routes:\n")
    manifest.write_text(text[:at] + _BY_HEADER.lstrip("\n") + text[at:])
