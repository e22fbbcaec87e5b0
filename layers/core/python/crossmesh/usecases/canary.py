"""What the states of a canary's execution hand on to each other, and where its history is kept."""

import contextlib
import ipaddress
import re

import msgspec

from crossmesh.core.settings import CanarySettings, ServiceTarget
from crossmesh.effects import Step, call
from crossmesh.errors import CrossmeshError
from crossmesh.ports import Clusters
from crossmesh.usecases.context import Context


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """One canary's samples (`store.carry`); `problem` says why there are none."""

    canary: str
    samples: str
    url: str = ""
    problem: str = ""


_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"


_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?")


def url_of(canary: CanarySettings, context: Context) -> Step[str]:
    """The address to ask: as declared, or of the Service's load balancer."""
    target = canary.service
    if target is None:
        return canary.url.rstrip("/") + canary.path
    host = yield from call(Clusters.load_balancer, target, context.cluster(target.cluster))
    if not host:
        raise CrossmeshError(
            f"Service {target.namespace}/{target.name} of {target.cluster} has no load balancer address yet"
        )
    return url_for(host, target, canary.path)


def url_for(host: str, target: ServiceTarget, path: str) -> str:
    """The URL of a Service's load balancer. Raises CrossmeshError where its host is none."""
    scheme = "https" if target.port == 443 else "http"
    return f"{scheme}://{_host(host, target)}:{target.port}{path}"


def _host(host: str, target: ServiceTarget) -> str:
    """A host name or address as a URL takes it. Whoever may write a Service's status chooses it:
    anything else would be spliced into the URL.
    """
    if _HOST.fullmatch(host):
        return host
    with contextlib.suppress(ValueError):
        if "%" not in host:
            return f"[{ipaddress.IPv6Address(host)}]"
    raise CrossmeshError(
        f"Service {target.namespace}/{target.name} of {target.cluster} names {host[:80]!r} as its load balancer, which"
        " is no host name"
    )


# Bytes of texts that a state hands on: with 100 canaries all stay below bounds.PAYLOAD
# (tests/contract/test_payloads.py).
SAID = 60


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One canary's verdict in short."""

    canary: str
    kind: str
    says: str
    failures: int
    samples: str = ""
    problem: str = ""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`failed`: at least one canary failed, so look now. `again`: probe once more; nothing is
    remembered yet, for it may have been a flake (`flake`).
    """

    id: str
    failed: bool
    verdicts: tuple[Judged, ...]
    again: bool = False
    flake: str = ""
    outliers: bool = False


def bodies(canary: CanarySettings, context: Context) -> dict[str, str]:
    """Declared body -> AWS name of the virtual node it means."""
    if canary.expect.mix is None:
        return {}
    names = {key: node.aws_name for node in context.topology.nodes for key in (node.name, node.key, node.aws_name)}
    return {body: names.get(node, node) for body, node in canary.expect.mix.bodies}
