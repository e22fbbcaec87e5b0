"""Which deployed application a verb acts on: profile, region and stack by flags, environment,
crossmesh.yaml and profile, in this order.

| | first that says something |
| --- | --- |
| environment | `--env`, `CROSSMESH_ENV`; then samconfig.toml's section `default`, as a fallback |
| profile | `--profile`, the named environment, `AWS_PROFILE`, the fallback section |
| region | `--region`, the named environment, `AWS_REGION` or `AWS_DEFAULT_REGION`, then |
|  | crossmesh.yaml, the fallback section, the profile |
| stack | `--stack`, the named environment, `CROSSMESH_STACK`, the fallback section, `crossmesh` |

There is no built-in region: a verb that is told none refuses.
"""

import argparse
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import botocore.exceptions
import botocore.session
import msgspec

from crossmesh import configuration
from crossmesh.adapters import aws
from crossmesh.cli.printing import error_console
from crossmesh.cli.samconfig import FILE
from crossmesh.configuration import FILE as SETTINGS_FILE
from crossmesh.core.regions import doubted
from crossmesh.core.suggestions import meant
from crossmesh.errors import ConfigError, RefusedError, UsageError
from crossmesh.manifests.config import LoadedConfig, load_config

HERE = Path()  # the folder with samconfig.toml
STACK = "crossmesh"
_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look for the application, and the local configuration that it is compared with
    (None: there is none).
    """

    region: str
    stack: str
    environment: str = ""
    profile: str = ""
    folder: str = ""
    config: LoadedConfig | None = None


def resolve(arguments: argparse.Namespace) -> Place:
    """The place that flags, environment, settings and profile name. Raises RefusedError where no
    region is named.
    """
    named = environment(arguments)
    section, fallback = _section(named) if named else {}, _section("default", needed=False)
    profile = _first(arguments.profile, section.get("profile"), os.environ.get("AWS_PROFILE"), fallback.get("profile"))
    if arguments.profile or section.get("profile"):
        _use(profile)
    elif profile:
        os.environ.setdefault("AWS_PROFILE", profile)
        aws.session.cache_clear()
    config = local(arguments)
    region = _first(
        arguments.region,
        section.get("region"),
        os.environ.get("AWS_REGION"),
        os.environ.get("AWS_DEFAULT_REGION"),
        config.settings.region if config and config.settings else "",
        fallback.get("region"),
        _profile_region(profile),
    )
    if not region:
        if config is not None and config.settings is None:
            raise ConfigError(config.findings)
        raise RefusedError(
            "NoRegion",
            f"no region is named: use --region, AWS_REGION, `region` in {SETTINGS_FILE}, or a profile with a region",
        )
    if doubt := doubted(region, aws.regions()):
        error_console().print(f"! {doubt.message}: {doubt.fix}", style="yellow")
    stack = _first(
        arguments.stack, section.get("stack_name"), os.environ.get("CROSSMESH_STACK"), fallback.get("stack_name"), STACK
    )
    return Place(
        region=region, stack=stack, environment=named, profile=profile, folder=str(arguments.config), config=config
    )


def environment(arguments: argparse.Namespace) -> str:
    """The section of samconfig.toml that a person names; "" = none."""
    return str(getattr(arguments, "environment", "") or os.environ.get("CROSSMESH_ENV", ""))


def folder(arguments: argparse.Namespace) -> Path:
    """The configuration folder; crossmesh.yaml itself may be named, too."""
    given = Path(arguments.config)
    return given.parent if given.name == SETTINGS_FILE else given


def local(arguments: argparse.Namespace) -> LoadedConfig | None:
    """The local configuration, mistakes included; None where there is no crossmesh.yaml."""
    here = folder(arguments)
    return load_config(here) if (here / SETTINGS_FILE).is_file() else None


def sound(place: Place) -> LoadedConfig:
    """The local configuration. Raises ConfigError with every mistake, RefusedError where there is
    none.
    """
    if place.config is None:
        raise RefusedError(
            "NoSettings",
            f"there is no {SETTINGS_FILE} in {place.folder}: run in your repository's folder, or name the folder with"
            " --config",
        )
    return configuration.sound(place.config)


def _section(name: str, *, needed: bool = True) -> dict[str, str]:
    """`stack_name`, `region` and `profile` of an environment, as `sam deploy --config-env NAME`
    finds them.
    """
    file = HERE / FILE
    try:
        parsed: dict[str, Any] = tomllib.loads(file.read_text()) if file.is_file() else {}
    except tomllib.TOMLDecodeError as error:
        raise RefusedError("NotToml", f"{FILE}: {error}") from error
    if name not in parsed and needed:
        known = ", ".join(key for key, value in parsed.items() if isinstance(value, Mapping))
        raise UsageError(
            "UnknownEnvironment",
            f"{FILE} has no environment {name!r}; there are: {known or 'none'}{meant(name, parsed)}",
        )
    commands = parsed.get(name, {})
    found: dict[str, str] = {}
    for command in ("global", "deploy"):
        given = commands.get(command, {}).get("parameters", {}) if isinstance(commands, Mapping) else {}
        found |= {key: str(given[key]) for key in ("stack_name", "region", "profile") if given.get(key)}
    return found


def _first(*candidates: str | None) -> str:
    return next((candidate for candidate in candidates if candidate), "")


def _use(profile: str) -> None:
    """Let every client of this process use a profile, as `aws --profile` does: keys in the
    environment do not win over it.
    """
    os.environ["AWS_PROFILE"] = profile
    for key in _KEYS:
        os.environ.pop(key, None)
    aws.session.cache_clear()
    aws.session.cache_clear()


def _profile_region(profile: str) -> str:
    session = botocore.session.Session(profile=profile or None)
    try:
        return str(session.get_scoped_config().get("region") or "")
    except botocore.exceptions.ProfileNotFound as error:
        known = ", ".join(session.available_profiles)
        near = meant(profile, session.available_profiles)
        raise UsageError(
            "UnknownProfile", f"there is no AWS profile {profile!r}; there are: {known or 'none'}{near}"
        ) from error
