"""Deploy the application into a world as a user deploys it into an account: `sam build`, `sam deploy`, access entries, read-only rights in the clusters."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

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


def cluster_arns(document: dict[str, Any]) -> str:
    """The parameter EksClusterArns."""
    return ",".join(f"arn:aws:eks:{document['region']}:{document['account']}:cluster/{name}" for name in sorted(document["clusters"]))


def build() -> Path:
    """`sam build` of the project, cached; the built template. The same for every world: only parameters tell them apart."""
    target = ROOT / ".aws-sam" / "build"
    arguments = ["build", "-t", str(ROOT / "template.yaml"), "-b", str(target), "--cached", "--cache-dir", str(ROOT / ".aws-sam" / "cache")]
    _sam({}, ROOT / ".aws-sam" / "build.log", *arguments, "--parameter-overrides", f"Runtime={runtime()}")
    return target / "template.yaml"


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
    grant(document, outputs["ReaderRoleArns"].split(","))
    return outputs


def stack_outputs(world: Any, stack: str = STACK) -> dict[str, str]:
    """Outputs of a deployed stack."""
    found = client(world, "cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}


def grant(world: Any, roles: list[str]) -> None:
    """One access entry a role and cluster, into the group that clusters/reader.yaml gives read access."""
    document = read_world(world)
    eks = client(document, "eks")
    for cluster in document["clusters"]:
        there = set(eks.list_access_entries(clusterName=cluster)["accessEntries"])
        for role in roles:
            if role not in there:
                eks.create_access_entry(clusterName=cluster, principalArn=role, kubernetesGroups=["crossmesh:readers"])


def _parameters(document: dict[str, Any], given: dict[str, str]) -> list[str]:
    values = {"Runtime": runtime(), "World": "local", "Mode": "apply", "Owner": "demo", "EksClusterArns": cluster_arns(document), **given}
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
        "CROSSMESH_PYTHON": sys.executable,
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
