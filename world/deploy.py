"""Deploy the application into a world as a user deploys it into an account: `sam build`, `sam deploy`, access entries, read-only rights in the clusters."""

import os
import platform
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from world.aws.clients import client, environment
from world.aws.config import read_world

ROOT = Path(__file__).resolve().parent.parent
STACK = "crossmesh"
ON_CALL = "oncall@world.invalid"  # whose inbox `python -m world mail` shows


class DeployError(RuntimeError):
    """`sam` said no; carries what it printed."""


def runtime() -> str:
    """The functions' runtime: the Python that runs this, for the emulator runs functions in its own interpreter."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def architecture() -> str:
    """The functions' processor: this machine's, for the same reason."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def deployed_python() -> str:
    """The Python version of the functions in an AWS account."""
    return (ROOT / "layers" / "packages" / "python-version").read_text().strip()


def cluster_arns(document: dict[str, Any]) -> str:
    """The parameter EksClusterArns."""
    return ",".join(f"arn:aws:eks:{document['region']}:{document['account']}:cluster/{name}" for name in sorted(document["clusters"]))


def build() -> Path:
    """`sam build` of the project, cached; the built template. The same for every world: only parameters tell them apart."""
    target = ROOT / ".aws-sam" / "build"
    arguments = ["build", "-t", str(ROOT / "template.yaml"), "-b", str(target), "--cached", "--cache-dir", str(ROOT / ".aws-sam" / "cache")]
    own = runtime().removeprefix("python")
    if own != deployed_python():
        print(f"crossmesh: the local world uses Python {own}; on AWS the functions run on {deployed_python()}", file=sys.stderr)
    also = {} if own == deployed_python() else {"CROSSMESH_ALSO_FOR": own}
    _sam(also, ROOT / ".aws-sam" / "build.log", *arguments, "--parameter-overrides", f"Runtime={runtime()}")
    compile_own_code()
    return target / "template.yaml"


def compile_own_code() -> None:
    """Bytecode beside the core layer's sources, as in the other layers. `sam build` leaves it out when its cache holds those."""
    script = ROOT / "layers" / "packages" / "build.py"
    command = [sys.executable, str(script), "--uv", str(Path(sys.executable).parent / "uv"), "compile", "--in-place"]
    subprocess.run([*command, str(ROOT / "layers" / "core" / "python")], check=True)


def with_config(template: Path, config: Path) -> Path:
    """The built template with another configuration folder: what a user's next `sam build` after an edit of `config/` gives."""
    own = f"ContentUri: {os.path.relpath(ROOT / 'config', template.parent)}"
    text = template.read_text()
    if own not in text:
        raise DeployError(f"{template} has no layer from {own!r}")
    changed = template.with_name(f"template-{os.getpid()}.yaml")
    changed.write_text(text.replace(own, f"ContentUri: {config.resolve()}"))
    return changed


def deploy(world: Any, *, config: Path | None = None, stack: str = STACK, built: Path | None = None, **parameters: str) -> dict[str, str]:
    """Deploy what was built, with the folder `config` in place of the project's where given, and give the functions read access to the clusters.

    Keyword arguments are template parameters. Returns the stack's outputs.
    """
    document = read_world(world)
    template = built or ROOT / ".aws-sam" / "build" / "template.yaml"
    if not template.exists():
        template = build()
    if config is not None:
        template = with_config(template, config)
    _sam(
        environment(document),
        Path(document["dir"]) / "logs" / "sam.log",
        "deploy",
        "-t",
        str(template),
        "--stack-name",
        stack,
        "--resolve-s3",
        "--capabilities",
        "CAPABILITY_IAM",
        "--no-confirm-changeset",
        "--no-fail-on-empty-changeset",
        "--no-progressbar",
        *_parameters(document, parameters),
    )
    outputs = stack_outputs(document, stack)
    grant(document, outputs["ReaderRoleArns"].split(","), "crossmesh:readers")
    grant(document, [outputs["GateRoleArn"]], "crossmesh:gatekeepers")
    return outputs


def remove(world: Any, stack: str = STACK) -> None:
    """Delete a stack as a user does: `sam delete`. What the template retains stays."""
    document = read_world(world)
    log = Path(document["dir"]) / "logs" / "sam.log"
    _sam(environment(document), log, "delete", "--no-prompts", "--stack-name", stack, "--region", document["region"])


def install_watchers(world: Any, stack: str = STACK) -> None:
    """A watcher in each cluster as a user installs it (watcher/README.md): an overlay, a Pod Identity association, apply; then wait until each is ready.

    Off again: `kubectl --context CLUSTER -n crossmesh scale deployment crossmesh-watcher --replicas 0`, or `scale_watchers`.
    """
    from world.clusters.client import Cluster, wait_for

    document = read_world(world)
    outputs = stack_outputs(document, stack)
    eks = client(document, "eks")
    account = {"namespace": "crossmesh", "serviceAccount": "crossmesh-watcher"}
    for name in document["clusters"]:
        if not eks.list_pod_identity_associations(clusterName=name, **account)["associations"]:
            eks.create_pod_identity_association(clusterName=name, **account, roleArn=outputs["WatcherRoleArn"])
        values = {"CROSSMESH_CLUSTER": name, "CROSSMESH_HINT_BUS": outputs["HintBusArn"], "CROSSMESH_NAMESPACES": "appmesh-demo"}
        for item in yaml.safe_load_all(_overlay(Path(document["dir"]) / "watchers" / name, "watcher", "crossmesh-watcher", values)):
            Cluster(document, name).apply(item)
    for name in document["clusters"]:
        wait_for(lambda name=name: watcher_ready(document, name), 60, f"the watcher of {name}")


def install_servers(world: Any, stack: str = STACK) -> None:
    """Servers of Envoys in each cluster as a user installs them (xds/README.md): an overlay, a Pod Identity association, apply. They are ready once a
    snapshot is published.
    """
    from world.clusters.client import Cluster

    document = read_world(world)
    outputs = stack_outputs(document, stack)
    eks = client(document, "eks")
    account = {"namespace": "crossmesh", "serviceAccount": "crossmesh-xds"}
    for name in document["clusters"]:
        if not eks.list_pod_identity_associations(clusterName=name, **account)["associations"]:
            eks.create_pod_identity_association(clusterName=name, **account, roleArn=outputs["EnvoyServerRoleArn"])
        values = {
            "CROSSMESH_CLUSTER": name,
            "CROSSMESH_TABLE": outputs["StateTable"],
            "CROSSMESH_BUCKET": outputs["RunStore"],
            "CROSSMESH_REGION": document["region"],
        }
        cluster = Cluster(document, name)
        cluster.apply({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "crossmesh"}})
        for item in yaml.safe_load_all(_overlay(Path(document["dir"]) / "servers" / name, "xds", "crossmesh-xds", values)):
            cluster.apply(item)


def scale_watchers(world: Any, replicas: int) -> None:
    """Switch the watchers of all clusters on (1) or off (0)."""
    from world.clusters.client import Cluster, wait_for

    document = read_world(world)
    for name in document["clusters"]:
        Cluster(document, name).scale("crossmesh", "crossmesh-watcher", replicas)
    for name in document["clusters"]:
        pods = Cluster(document, name)
        wait_for(
            lambda name=name, pods=pods: (
                watcher_ready(document, name) if replicas else not pods.items("Pod", "crossmesh", "app=crossmesh-watcher")
            ),
            60,
            f"the watcher of {name}",
        )


def watcher_ready(document: dict[str, Any], cluster: str) -> bool:
    """Whether a cluster's watcher has listed its namespaces and its hints are taken: what the kubelet's readiness probe would ask."""
    from world.clusters.client import Cluster

    for pod in Cluster(document, cluster).ready_pods("crossmesh", "app=crossmesh-watcher"):
        try:
            with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8081/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
    return False


def _overlay(folder: Path, source: str, config_map: str, values: dict[str, str]) -> str:
    """What `kubectl apply -k` would send for one cluster: a base of ours with the values of one config map."""
    folder.mkdir(parents=True, exist_ok=True)
    overlay = {
        "namespace": "crossmesh",
        "resources": [os.path.relpath(ROOT / source / "deploy" / "base", folder)],
        "configMapGenerator": [{"name": config_map, "literals": [f"{key}={value}" for key, value in values.items()]}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return subprocess.run(
        [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(folder)], check=True, capture_output=True, text=True
    ).stdout


def stack_outputs(world: Any, stack: str = STACK) -> dict[str, str]:
    """Outputs of a deployed stack."""
    found = client(world, "cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}


def grant(world: Any, roles: list[str], group: str) -> None:
    """One access entry a role and cluster, into a group that clusters/*.yaml gives its rights."""
    document = read_world(world)
    eks = client(document, "eks")
    for cluster in document["clusters"]:
        there = set(eks.list_access_entries(clusterName=cluster)["accessEntries"])
        for role in roles:
            if role not in there:
                eks.create_access_entry(clusterName=cluster, principalArn=role, kubernetesGroups=[group])


def _parameters(document: dict[str, Any], given: dict[str, str]) -> list[str]:
    values = {
        "Runtime": runtime(),
        "Architecture": architecture(),
        "World": "local",
        "Mode": "apply",
        "Owner": "demo",
        "EksClusterArns": cluster_arns(document),
        "HostedZoneArns": "arn:aws:route53:::hostedzone/*",
        **given,
    }
    values.setdefault("AlarmEmail", ON_CALL)
    return ["--parameter-overrides", *(f"{key}={value}" for key, value in values.items())]


def _sam(variables: dict[str, str], log: Path, *arguments: str) -> None:
    bin_folder = Path(sys.executable).parent
    env = {
        **os.environ,
        "AWS_DEFAULT_REGION": "us-east-1",
        **variables,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}",
        "SAM_CLI_TELEMETRY": "0",
    }
    done = subprocess.run(
        [str(bin_folder / "sam"), *arguments], env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        file.write(f"$ sam {' '.join(arguments)}\n{done.stdout}\n")
    if done.returncode:
        raise DeployError(f"sam {arguments[0]} failed:\n{done.stdout[-3000:]}")


if __name__ == "__main__":
    build()
