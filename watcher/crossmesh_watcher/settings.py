"""What the environment says. Every mistake is reported at once, for each try costs a roll-out."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .access import SERVICE_ACCOUNT

_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_BUS = re.compile(r"arn:aws[a-z-]*:events:(?P<region>[a-z0-9-]+):\d{12}:event-bus/[\w./-]+")
CLUSTER, BUS, NAMESPACES, SELECTOR = (
    "CROSSMESH_CLUSTER",
    "CROSSMESH_HINT_BUS",
    "CROSSMESH_NAMESPACES",
    "CROSSMESH_SELECTOR",
)
HEALTH, FOLDER = "CROSSMESH_HEALTH", "CROSSMESH_SERVICE_ACCOUNT_FOLDER"


class SettingsError(ValueError):
    """The environment is not usable; the message has one mistake a line."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look and whom to tell."""

    cluster: str  # as crossmesh.yaml names it
    bus: str  # ARN
    region: str  # the bus's
    namespaces: tuple[str, ...]
    selector: str = ""  # label selector; empty: every pod of the namespaces
    health: tuple[str, int] = ("", 8081)  # address ("" for all) and port
    account: Path = SERVICE_ACCOUNT  # folder with token and ca.crt


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from variables. Raises SettingsError."""

    def value(name: str, default: str = "") -> str:
        return environment.get(name, "").strip() or default

    mistakes = [f"{name} is not set" for name in (CLUSTER, BUS, NAMESPACES) if not value(name)]
    namespaces = tuple(sorted({name.strip() for name in value(NAMESPACES).split(",")} - {""}))
    if value(NAMESPACES) and not namespaces:
        mistakes.append(f"{NAMESPACES} names no namespace")
    mistakes += [
        f"{NAMESPACES}: {name!r} is no namespace's name" for name in namespaces if not _NAMESPACE.fullmatch(name)
    ]
    bus = _BUS.fullmatch(value(BUS))
    if value(BUS) and not bus:
        mistakes.append(f"{BUS} is {value(BUS)!r}; it must be an event bus's ARN, as in the stack's output HintBusArn")
    address, _, port = value(HEALTH, ":8081").rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        mistakes.append(f"{HEALTH} is {value(HEALTH)!r}; it must be address:port or :port")
    if mistakes or not bus:
        raise SettingsError("\n".join(mistakes))
    return Settings(
        cluster=value(CLUSTER),
        bus=value(BUS),
        region=bus["region"],
        namespaces=namespaces,
        selector=value(SELECTOR),
        health=(address.strip("[]"), int(port)),
        account=Path(value(FOLDER, str(SERVICE_ACCOUNT))),
    )
