"""Find the deployed application: the stack's outputs tell where state and runs lie."""

import argparse
import os
import tomllib
from pathlib import Path
from typing import Any

from crossmesh import __version__, codec, configuration
from crossmesh.adapters import aws
from crossmesh.core.report import Report
from crossmesh.errors import ConfigError, NotFound, RefusedError
from crossmesh.manifests.config import LoadedConfig
from crossmesh.runtime import Ports
from crossmesh.steps import look
from crossmesh.steps.context import Context


def name_of(arguments: argparse.Namespace) -> str:
    """`--stack`, else stack_name in samconfig.toml, else "crossmesh"."""
    if arguments.stack:
        return str(arguments.stack)
    file = Path("samconfig.toml")
    if file.is_file():
        found: Any = tomllib.loads(file.read_text()).get("default", {}).get("global", {}).get("parameters", {}).get("stack_name")
        if found:
            return str(found)
    return "crossmesh"


def outputs(name: str, region: str) -> dict[str, str]:
    """Outputs of the stack. Raises RefusedError with a cure where there is none."""
    return {output["OutputKey"]: output["OutputValue"] for output in _described(name, region).get("Outputs", ())}


def parameters(name: str, region: str) -> dict[str, str]:
    """The parameters it was deployed with. Raises as `outputs` does."""
    return {one["ParameterKey"]: one["ParameterValue"] for one in _described(name, region).get("Parameters", ())}


def _described(name: str, region: str) -> dict[str, Any]:
    try:
        with aws.translated():
            stacks = aws.client("cloudformation", region).describe_stacks(StackName=name)["Stacks"]
    except (NotFound, RefusedError) as error:
        raise RefusedError(
            "NoStack", f"no deployed application {name!r} in {region}: deploy it (`sam deploy`) or name it with --stack ({error})"
        ) from error
    found: dict[str, Any] = stacks[0]
    return found


def ports(arguments: argparse.Namespace, region: str) -> tuple[Ports, dict[str, str]]:
    """Adapters on the deployed application's state, and the outputs they came from."""
    region = region or own_region()
    told = found(arguments, region)
    return Ports(region, told["StateTable"], told["RunStore"]), told


def found(arguments: argparse.Namespace, region: str = "") -> dict[str, str]:
    """Outputs of the application that the arguments name."""
    return outputs(name_of(arguments), region or own_region())


def other_configuration(ports: Ports, sha256: str) -> str:
    """What to say where the last look ran on another configuration than the local one; "" where on the same, or where none was taken yet."""
    data = ports["State"].read(look.LAST)
    last = codec.decode(data, Report) if data else None
    if last is None or last.config == sha256 or last.live:
        return ""
    if not last.config:
        return f"the deployed configuration is refused by its functions: {last.failure}"
    return f"the local configuration ({sha256[:12]}) is not the deployed one ({last.config[:12]}): deploy it (`sam build && sam deploy`), or look at what is"


def own_region() -> str:
    """The region of the caller's environment."""
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "us-east-1")


def context(arguments: argparse.Namespace, config: LoadedConfig, found: dict[str, str]) -> Context:
    """What the deployed functions know, from the local configuration and the stack's outputs."""
    assert config.settings is not None
    account = found["ReconcileArn"].split(":")[4]
    return Context(
        settings=config.settings,
        topology=config.topology,
        config=config.sha256,
        deployment=f"{account}/{config.settings.region}/{name_of(arguments)}",
        version=__version__,
    )


def canaries(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Names of the canaries in the local crossmesh.yaml; none where there is no such file, or a wrong one (`crossmesh validate` tells)."""
    try:
        config = configuration.load(configuration.find_folder((arguments.config,)))
    except (FileNotFoundError, ConfigError):
        return ()
    return tuple(canary.name for canary in config.settings.canaries) if config.settings else ()
