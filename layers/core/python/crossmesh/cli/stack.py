"""Reach the deployed application: find its stack, say which one it is, and refuse to act where the
local configuration is not its own.
"""

import argparse
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from crossmesh import __version__, codec
from crossmesh.adapters import aws
from crossmesh.cli import samconfig, target
from crossmesh.cli.printing import console, error_console
from crossmesh.cli.target import Place
from crossmesh.core import stack_parameters
from crossmesh.core.reporting.report import Report
from crossmesh.errors import ConfigError, NotFound, RefusedError
from crossmesh.manifests.config import LoadedConfig
from crossmesh.runtime import Ports
from crossmesh.usecases import look, state
from crossmesh.usecases.context import Context

T = TypeVar("T")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a verb acts on, as the first line of each verb shows it. `config`, `version`: of the
    last look; "" = no look yet.
    """

    stack: str
    account: str
    region: str
    owner: str
    mode: str
    config: str = ""
    version: str = ""

    @property
    def line(self) -> str:
        """The target in a line."""
        config = f"config {self.config[:7]}" if self.config else "no configuration in force yet"
        return f"{self.stack} · {self.account}/{self.region} · owner {self.owner} · mode {self.mode} · {config}"


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The application that a verb reached: adapters on its state, and what its stack says."""

    place: Place
    target: Target
    ports: Mapping[str, Any]
    outputs: dict[str, str] = {}
    parameters: dict[str, str] = {}
    updated: float = 0.0  # when the stack was last created or updated (seconds since the epoch)
    settled: bool = True  # no deployment is under way
    # Code and reason why the local configuration is not this application's; "" = it is, or there is
    # none
    foreign: tuple[str, str] = ("", "")

    @property
    def region(self) -> str:
        """The region it runs in."""
        return self.target.region

    @property
    def config(self) -> LoadedConfig:
        """The local configuration. Raises ConfigError or RefusedError where it cannot be used, or
        is another application's.
        """
        code, why = self.foreign
        if code:
            raise RefusedError(code, f"refusing to compare {self.target.stack} with the configuration here: {why}")
        return target.sound(self.place)

    def context(self) -> Context:
        """What the deployed functions know, from the local configuration and the stack's
        outputs.
        """
        config = self.config
        assert config.settings is not None
        return Context(
            settings=config.settings,
            topology=config.topology,
            config=config.sha256,
            deployment=f"{self.target.account}/{self.target.region}/{self.target.stack}",
            mode="observe" if self.target.mode == "observe" else "apply",
            version=__version__,
        )


def reach(arguments: argparse.Namespace, *, acts: bool = False, shown: bool = True) -> Deployed:
    """Find the application that the arguments name and show it. `acts`: the verb changes something,
    so the local configuration must be this stack's.
    """
    place = target.resolve(arguments)
    described = describe(place)
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}
    parameters = {one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", ())}
    missing = [name for name in ("StateTable", "RunStore", "ReconcileArn", "HintBus") if name not in outputs]
    if missing:
        raise RefusedError(
            "NotCrossmesh",
            f"the stack {place.stack!r} in {place.region} is not a crossmesh application: no output {missing[0]}",
        )
    ports = Ports(place.region, outputs["StateTable"], outputs["RunStore"])
    last = last_look(ports)
    found = Deployed(
        place=place,
        target=Target(
            stack=place.stack,
            account=described["StackId"].split(":")[4],
            region=place.region,
            owner=outputs.get("OwnerMark") or parameters.get(stack_parameters.OWNER, ""),
            mode=outputs.get("ModeNow") or parameters.get("Mode", ""),
            config=last.config if last else "",
            version=last.version if last else "",
        ),
        ports=ports,
        outputs=outputs,
        parameters=parameters,
        updated=_seconds(described.get("LastUpdatedTime") or described.get("CreationTime")),
        settled=not str(described.get("StackStatus", "")).endswith("_IN_PROGRESS"),
    )
    overrides = samconfig.overrides(samconfig.read(target.HERE), place.environment or "default")
    found = msgspec.structs.replace(found, foreign=foreign(place, found.target, overrides))
    if shown:
        announce(arguments, found.target.line)
    if acts:
        _own(found)
    return found


def announce(arguments: argparse.Namespace, line: str) -> None:
    """The first line of a verb: on stderr where stdout is JSON."""
    (error_console() if arguments.json else console()).print(line, style="dim")


def _own(found: Deployed) -> None:
    """Raise unless there is a local configuration, and it is that of the application."""
    place, stack = found.place, found.target.stack
    if place.config is None:
        raise RefusedError(
            "NoSettings",
            f"refusing to change {stack}: there is no crossmesh.yaml in {place.folder} that says it is yours. "
            "Run in your repository's folder, or name the folder with --config",
        )
    if place.config.settings is None:
        raise ConfigError(place.config.findings)
    code, why = found.foreign
    if code:
        raise RefusedError(code, f"refusing to change {stack}: {why}")


def foreign(place: Place, found: Target, overrides: Mapping[str, str]) -> tuple[str, str]:
    """A code and why the local configuration is not that of the application: another owner, region
    or account; "" where it is, or cannot be read.
    """
    if place.config is None or place.config.settings is None:
        return "", ""
    settings = place.config.settings
    if settings.owner != found.owner:
        return (
            "OtherOwner",
            (
                f"its owner is {found.owner!r}, crossmesh.yaml in {place.folder} says {settings.owner!r}. "
                "Check the folder (--config), --stack, --env, --region and --profile"
            ),
        )
    if settings.region != found.region:
        return (
            "OtherRegion",
            (
                f"it runs in {found.region}, crossmesh.yaml in {place.folder} says {settings.region}. Check --region,"
                " --env and AWS_REGION"
            ),
        )
    accounts = {
        arn.split(":")[4] for arn in overrides.get(stack_parameters.CLUSTERS, "").split(",") if arn.count(":") >= 5
    }
    if accounts and found.account not in accounts:
        return (
            "OtherAccount",
            (
                f"it runs in account {found.account}, the clusters of environment {place.environment or 'default'!r} in"
                f" {samconfig.FILE} are in {', '.join(sorted(accounts))}. Check --env and --profile, or run `crossmesh"
                " init`"
            ),
        )
    return "", ""


def describe(place: Place) -> dict[str, Any]:
    """The stack as CloudFormation describes it. Raises RefusedError with a fix where there is
    none.
    """
    try:
        with aws.translated():
            stacks = aws.client("cloudformation", place.region).describe_stacks(StackName=place.stack)["Stacks"]
    except RefusedError as error:
        if isinstance(error, NotFound) or (error.code == "ValidationError" and "does not exist" in str(error)):
            raise RefusedError(
                "NoStack",
                f"there is no stack {place.stack!r} in {place.region}: deploy it (`sam deploy`), or name another with"
                " --stack, --env or --region",
            ) from error
        raise
    found: dict[str, Any] = stacks[0]
    return found


def _seconds(at: Any) -> float:
    return float(at.timestamp()) if at is not None else 0.0


def kept(ports: Mapping[str, Any], key: str, kind: type[T]) -> T | None:
    """A document of the deployed application; None where there is none."""
    data = ports["State"].read(key)
    return codec.decode(data, kind) if data else None


def last_look(ports: Mapping[str, Any]) -> Report | None:
    """What the last look of the deployed application reported; None where none was taken yet."""
    return kept(ports, look.LAST, Report)


def last_run(ports: Mapping[str, Any]) -> Report | None:
    """What the last run reported; None where there was none."""
    return kept(ports, state.LAST_RUN, Report)


def behind(found: Deployed) -> bool:
    """Whether the stack was deployed after the last look: what that look ran on says nothing about
    the configuration that is deployed now.
    """
    last = last_look(found.ports)
    return last is not None and last.at < found.updated


def other_configuration(ports: Mapping[str, Any], sha256: str) -> str:
    """What to say where the last look ran on another configuration than the local one; "" where on
    the same, or where none was taken yet.
    """
    last = last_look(ports)
    if last is None or last.config == sha256 or last.live:
        return ""
    if not last.config:
        return f"the deployed configuration is refused by its functions: {last.failure}"
    return (
        f"the local configuration ({sha256[:12]}) is not the one in force ({last.config[:12]}): deploy it (`sam build"
        " && sam deploy`); if you have just done so, the next look puts it in force within a minute"
    )


def canaries(found: Deployed) -> tuple[str, ...]:
    """Names of the canaries in the local crossmesh.yaml; none where there is no such file, or a
    wrong or foreign one.
    """
    settings = found.place.config.settings if found.place.config and not found.foreign[0] else None
    return tuple(canary.name for canary in settings.canaries) if settings else ()
