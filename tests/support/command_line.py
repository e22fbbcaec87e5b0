"""The command line against the deployed application."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.e2e.conftest import Deployed
from world.aws.clients import environment
from world.clusters.client import wait_for
from world.deploy import ROOT


def crossmesh(here: Deployed, *arguments: str, folder: Path = ROOT) -> tuple[int, Any]:
    """The command line as a person runs it in a folder; its exit code and JSON."""
    command = [sys.executable, "-m", "crossmesh.cli", *arguments, "--json"]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment(here.world.document)}, capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout) if done.stdout.strip() else done.stderr


def remove_repeatedly(here: Deployed) -> str:
    """Somebody removes a fresh instance twice: the service is stopped; the instance."""
    here.colours.scale("appmesh-demo", "colorapp-blue", 2)
    here.colours.wait_ready("appmesh-demo", "app=colorapp", 3)
    here.app.hint()
    here.app.wait_pods(here.colour_pods())
    here.app.idle_all()
    service = next(s["Id"] for s in here.app.registry.list_services()["Services"] if s["Name"] == "colorapp")
    victim = next(i for i, a in here.app.instances().items() if a["k8s.io/pod"] == newest(here))
    for _ in range(2):
        here.app.registry.deregister_instance(ServiceId=service, InstanceId=victim)
        wait_for(lambda: victim not in here.app.instances(), 10, "the victim to be gone")
        wait_for(lambda: here.app.look().kind != "quiet", 30, "a look that notices")
        here.app.idle_all()
        time.sleep(1.5)
    assert victim not in here.app.instances()
    return victim


def newest(here: Deployed) -> str:
    """Name of the youngest blue pod."""
    pods = here.colours.ready_pods("appmesh-demo", "version=blue")
    return str(max(pods, key=lambda pod: int(pod["metadata"]["resourceVersion"]))["metadata"]["name"])
