"""The layer as `sam build` makes it, and a function's cold start from them, for tests and the bench."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

from world.deploy import ROOT, deployed_python

PACKAGES = ROOT / "layers" / "packages"
BUILT = ("DepsLayer",)
REACH_CLUSTERS = ("diagnose_canary", "look", "open_gates", "probe_front")
PORTS = {  # a right's prefix -> the port whose adapter makes that client
    "dynamodb": "State",
    "s3": "RunStore",
    "servicediscovery": "Registry",
    "appmesh": "AppMeshApi",
    "states": "Executions",
    "eks": "Clusters",
    "elasticloadbalancing": "Balancers",
    "ec2": "Networks",
}
START = """
import json, sys, time
began = time.process_time()
import app
from crossmesh.adapters import aws
from crossmesh.runtime import Ports
if "--session-each" in sys.argv:
    aws.session = __import__("botocore.session").session.get_session
ports = Ports("us-east-1", "table", "bucket")
for name in json.loads(sys.argv[1]):
    ports[name]
if "Clusters" in json.loads(sys.argv[1]):
    aws.client("eks", "us-east-1")
print(time.process_time() - began)
"""


def build(layer: str, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the layer's Makefile as `sam build` does: in a copy of its folder, with the original as the Makefile, into `target`."""
    scratch = target.with_name(f"{target.name}-scratch")
    shutil.copytree(PACKAGES, scratch)
    command = ["make", "--makefile", str(PACKAGES / "Makefile"), f"build-{layer}"]
    values = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "ARTIFACTS_DIR": str(target)}
    passed = {key: value for key, value in os.environ.items() if key.startswith(("UV_", "SSL_", "PIP_"))}
    return subprocess.run(command, cwd=scratch, env={**passed, **values, **environment}, capture_output=True, text=True, check=False)


def interpreter(version: str = "") -> str:
    """A Python of the functions' version, or of another; "" where this machine has none."""
    wanted = version or deployed_python()
    found = subprocess.run([str(ROOT / "tools" / "find_python.sh"), wanted], capture_output=True, text=True, check=True).stdout.strip()
    return "" if found == "python3" else shutil.which(found) or ""  # whole, for the processes that are started know no PATH


def functions() -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Folder of each function -> its layers by logical id, and the ports that its rights are for."""
    template = yaml_parse((ROOT / "template.yaml").read_text())
    always = [layer["Ref"] for layer in template["Globals"]["Function"]["Layers"]]
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            given = resource["Properties"]
            layers = (*always, *(layer["Ref"] for layer in given.get("Layers", ())))
            rights = json.dumps(given.get("Policies", ()), default=str)
            ports = [port for prefix, port in PORTS.items() if f'"{prefix}:' in rights]
            if Path(given["CodeUri"]).name not in REACH_CLUSTERS:  # it describes clusters and reads none
                ports = [port for port in ports if port != "Clusters"]
            found[Path(given["CodeUri"]).name] = (layers, tuple(ports))
    return found


def path_of(function: str, layers: Iterable[str], folders: dict[str, Path]) -> str:
    """PYTHONPATH of a function: its code, then its layers, as Lambda orders them."""
    own = {"CoreLayer": ROOT / "layers" / "core" / "python", "ConfigLayer": ROOT / "config"}
    known = {**own, **{name: folder / "python" for name, folder in folders.items()}}
    return os.pathsep.join([str(ROOT / "functions" / function), *(str(known[layer]) for layer in layers)])


def start(python: str, path: str, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh process that has nothing but the standard library and `path`."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "AWS_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_EC2_METADATA_DISABLED": "true"}
    return subprocess.run([python, "-S", "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)
