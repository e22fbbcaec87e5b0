"""What the environment says. Every mistake is reported at once, for each try costs a roll-out."""

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from .cluster import SERVICE_ACCOUNT

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LINEAGE = re.compile(r"[0-9a-f]{32}")
CLUSTER, POD, ADDRESS, NAMESPACE = "CROSSMESH_CLUSTER", "CROSSMESH_POD", "CROSSMESH_ADDRESS", "CROSSMESH_NAMESPACE"
TABLE, BUCKET, REGION, LINEAGE = "CROSSMESH_TABLE", "CROSSMESH_BUCKET", "CROSSMESH_REGION", "CROSSMESH_LINEAGE"
SERVICE, LISTEN, HTTP, TOKEN, FOLDER = (
    "CROSSMESH_SERVICE",
    "CROSSMESH_LISTEN",
    "CROSSMESH_HTTP",
    "CROSSMESH_TOKEN",
    "CROSSMESH_SERVICE_ACCOUNT_FOLDER",
)


class SettingsError(ValueError):
    """The environment is not usable; the message has one mistake a line."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to serve, from where."""

    cluster: str  # as crossmesh.yaml names it
    pod: str
    address: str  # the pod's own
    namespace: str
    table: str
    bucket: str
    region: str
    lineage: str = ""  # that a person lets this server adopt
    service: str = "crossmesh-xds"  # headless, in our namespace: Envoys and new servers ask it
    listen: tuple[str, int] = ("0.0.0.0", 8443)  # noqa: S104 - pods of other nodes ask
    http: tuple[str, int] = ("", 8081)
    # Ours, with the audience of this server, to ask peers
    token: Path = Path("/var/run/secrets/crossmesh/token")
    account: Path = SERVICE_ACCOUNT

    @property
    def names(self) -> list[str]:
        """The DNS names in our certificate."""
        full = f"{self.service}.{self.namespace}"
        return [f"{full}.svc", full, f"{full}.svc.cluster.local"]


def read(environment: Mapping[str, str]) -> Settings:
    """Settings from variables. Raises SettingsError."""

    def value(name: str, default: str = "") -> str:
        return environment.get(name, "").strip() or default

    wanted = (CLUSTER, POD, ADDRESS, NAMESPACE, TABLE, BUCKET, REGION)
    mistakes = [f"{name} is not set" for name in wanted if not value(name)]
    for name in (NAMESPACE, SERVICE):
        if value(name) and not _NAME.fullmatch(value(name)):
            mistakes.append(f"{name} is {value(name)!r}; it must be a name as Kubernetes has them")
    if value(LINEAGE) and not _LINEAGE.fullmatch(value(LINEAGE)):
        mistakes.append(f"{LINEAGE} is {value(LINEAGE)!r}; it must be 32 hexadecimal digits")
    places: dict[str, tuple[str, int]] = {}
    for name, default in ((LISTEN, "0.0.0.0:8443"), (HTTP, ":8081")):
        address, _, port = value(name, default).rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            mistakes.append(f"{name} is {value(name)!r}; it must be address:port or :port")
        else:
            places[name] = address.strip("[]"), int(port)
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return Settings(
        cluster=value(CLUSTER), pod=value(POD), address=value(ADDRESS), namespace=value(NAMESPACE),
        table=value(TABLE), bucket=value(BUCKET), region=value(REGION), lineage=value(LINEAGE),
        service=value(SERVICE, "crossmesh-xds"), listen=places[LISTEN], http=places[HTTP],
        token=Path(value(TOKEN, "/var/run/secrets/crossmesh/token")), account=Path(value(FOLDER, str(SERVICE_ACCOUNT))),
    )  # fmt: skip
