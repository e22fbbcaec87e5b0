"""crossmesh.yaml → `Settings`, with every mistake at once: file, line, field, what was found, what
is allowed.
"""

import ipaddress
from typing import Any

import msgspec

from crossmesh.core.canary import certificates
from crossmesh.core.documents import Finding, SourceLocation
from crossmesh.core.regions import Regions, doubted
from crossmesh.core.settings import (
    CanarySettings,
    ClusterSettings,
    EnvoySettings,
    EnvoyTracing,
    Expect,
    ManifestSource,
    MeshSettings,
    Mix,
    Policy,
    ServiceTarget,
    Settings,
)
from crossmesh.core.suggestions import nearest
from crossmesh.manifests.check import Checker
from crossmesh.manifests.settings.rules import SETTINGS
from crossmesh.manifests.yaml_documents import read


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where there are errors; `lines` tells where each field stands."""

    settings: Settings | None
    findings: tuple[Finding, ...]
    lines: dict[str, int]
    patterns: tuple[str, ...] = ()
    """`mesh.manifests.files`, as far as it is right: the manifests are checked although the
    settings have mistakes elsewhere.
    """


def load_settings(name: str, data: bytes, *, strict: bool = False, regions: Regions | None = None) -> LoadedSettings:
    """Read one settings file. Unknown keys are errors with or without `strict`: nothing drops them
    silently here. Never raises.

    `regions`: hold the names of Regions against these.
    """
    trees, findings = read(name, data)
    if len(trees) != 1:
        if not findings:
            message = f"found {len(trees)} documents, wanted one" if trees else "the file is empty"
            fix = "owner, region, mesh and clusters must be there (`crossmesh schema` prints all)"
            findings = [
                Finding(
                    level="error",
                    code="not-settings",
                    place=SourceLocation(file=name, line=1),
                    message=message,
                    fix=fix,
                )
            ]
        return LoadedSettings(settings=None, findings=tuple(findings), lines={})
    tree = trees[0]
    if strict:
        findings = [msgspec.structs.replace(finding, level="error") for finding in findings]
    checker = Checker(name, tree, unknown="error")
    raw = checker.value(SETTINGS, tree.value, "")
    if isinstance(raw, dict):
        _known_clusters(checker, raw, tree.value)
        _networks(checker, raw)
        _lone_external_ids(checker, raw)
        if regions is not None:
            _known_regions(checker, raw, regions)
    findings = sorted([*findings, *checker.findings], key=lambda f: (f.place, f.code))
    good = not any(finding.level == "error" for finding in findings)
    settings = _settings(raw) if good else None
    if settings is not None:
        _doomed_canaries(checker, settings)
        findings = sorted(
            [*findings, *(f for f in checker.findings if f not in findings)], key=lambda f: (f.place, f.code)
        )
    return LoadedSettings(settings=settings, findings=tuple(findings), lines=tree.lines, patterns=_patterns(raw))


def _patterns(raw: Any) -> tuple[str, ...]:
    mesh = raw.get("mesh") if isinstance(raw, dict) else None
    manifests = mesh.get("manifests") if isinstance(mesh, dict) else None
    return tuple(manifests.get("files", ())) if isinstance(manifests, dict) else ()


def _known_clusters(checker: Checker, raw: dict[str, Any], written: dict[str, Any]) -> None:
    """Every cluster that is named is one of `clusters`, whatever else is wrong with it."""
    clusters = written.get("clusters")
    if not isinstance(clusters, dict):
        return  # that is told
    known = sorted(map(str, clusters))
    named = [
        (f"canaries.{name}.service.cluster", c.get("service", {}).get("cluster"))
        for name, c in raw.get("canaries", {}).items()
    ]
    live = raw.get("mesh", {}).get("manifests", {}).get("clusters", ())
    named += [(f"mesh.manifests.clusters[{index}]", name) for index, name in enumerate(live)]
    for field, name in named:
        if name is not None and name not in known:
            near = nearest(str(name), known)
            fix = (f"did you mean {near}? " if near else "") + f"clusters are: {', '.join(known) or 'none'}"
            checker.report("unknown-cluster", field, f"{name!r} is no cluster here", fix)


def _known_regions(checker: Checker, raw: dict[str, Any], regions: Regions) -> None:
    """Each Region is one that there is, or may be."""
    named = [("region", raw.get("region"))]
    named += [
        (f"clusters.{name}.region", (cluster or {}).get("region"))
        for name, cluster in (raw.get("clusters") or {}).items()
    ]
    for field, region in named:
        if region and (doubt := doubted(region, regions)):
            checker.report("unknown-region", field, doubt.message, doubt.fix, level=doubt.level)


def _networks(checker: Checker, raw: dict[str, Any]) -> None:
    """Each of `pod_cidrs` is a network."""
    for name, cluster in raw.get("clusters", {}).items():
        for index, cidr in enumerate((cluster or {}).get("pod_cidrs", ())):
            try:
                ipaddress.ip_network(cidr)
            except ValueError as error:
                checker.report(
                    "not-a-network",
                    f"clusters.{name}.pod_cidrs[{index}]",
                    str(error),
                    "write address/bits, such as 10.1.0.0/16",
                )


def _lone_external_ids(checker: Checker, raw: dict[str, Any]) -> None:
    """Warn of an external id that nothing is asked with."""
    for name, cluster in raw.get("clusters", {}).items():
        if (cluster or {}).get("externalId") and not cluster.get("roleArn"):
            message = "externalId has no effect without roleArn: it is told to the role that is assumed"
            checker.report(
                "no-role", f"clusters.{name}.externalId", message, "add roleArn, or remove externalId", level="warning"
            )


def _doomed_canaries(checker: Checker, settings: Settings) -> None:
    """Warn of each canary that TLS must refuse."""
    for canary in settings.canaries:
        if why := certificates.doomed(canary):
            field = f"canaries.{canary.name}.{'service.port' if canary.service else 'url'}"
            message = f"{why}, for which no certificate can be issued: TLS refuses every answer"
            checker.report(
                "tls-refuses",
                field,
                message,
                "ask by a name of your own that leads there: `url: https://NAME`",
                level="warning",
            )


def _settings(raw: dict[str, Any]) -> Settings:
    mesh, region = raw["mesh"], raw["region"]
    namespaces = tuple(sorted(mesh.get("namespaces", {}).items()))
    manifests: dict[str, Any] = {
        key: tuple(value)
        if isinstance(value, list)
        else tuple((space, tuple(names)) for space, names in sorted(value.items()))
        for key, value in mesh["manifests"].items()
    }
    clusters, canaries = raw["clusters"], raw.get("canaries", {})
    return Settings(
        owner=raw["owner"],
        region=region,
        mesh=MeshSettings(
            **{
                **mesh,
                "manifests": ManifestSource(**manifests),
                "namespaces": namespaces,
                "envoy": _envoy(mesh.get("envoy", {})),
            }
        ),
        clusters=tuple(_cluster(name, clusters[name], region) for name in sorted(clusters)),
        canaries=tuple(_canary(name, canaries[name]) for name in sorted(canaries)),
        policy=Policy(**raw.get("policy", {})),
        security_groups=raw.get("security_groups", "check"),
        open_ports=tuple(sorted(raw["open_ports"])) if "open_ports" in raw else None,
        readiness_gate=raw.get("readiness_gate", False),
    )


def _envoy(raw: dict[str, Any]) -> EnvoySettings:
    tracing = raw.get("tracing")
    made = EnvoyTracing(**{**tracing, "sampling": float(tracing.get("sampling", 5.0))}) if tracing else None
    return EnvoySettings(plaintext=tuple(raw.get("plaintext", ())), tracing=made)


def _cluster(name: str, raw: dict[str, Any], region: str) -> ClusterSettings:
    return ClusterSettings(
        name=name,
        eks=raw.get("eks", name),
        region=raw.get("region", region),
        role_arn=raw.get("roleArn", ""),
        external_id=raw.get("externalId", ""),
        controller=raw.get("controller", ""),
        controller_namespaces=tuple(raw.get("controller_namespaces", ("appmesh-system",))),
        zonal_shift=raw.get("zonal_shift", ""),
        pod_cidrs=tuple(raw.get("pod_cidrs", ())),
        nodes=tuple(raw["nodes"]) if "nodes" in raw else None,
    )


def _canary(name: str, raw: dict[str, Any]) -> CanarySettings:
    given = {key: value for key, value in raw.items() if key not in ("service", "expect")}
    service = ServiceTarget(**raw["service"]) if "service" in raw else None
    return CanarySettings(name=name, service=service, expect=_expect(raw.get("expect", {})), **given)


def _expect(raw: dict[str, Any]) -> Expect:
    given = {**raw, "headers": tuple(sorted(raw.get("headers", {}).items()))}
    if "mix" in raw:
        given["mix"] = Mix(**{**raw["mix"], "bodies": tuple(sorted(raw["mix"]["bodies"].items()))})
    for name in ("latency_p95_ms", "certificate_days"):
        if name in raw:
            given[name] = float(raw[name])
    return Expect(**given)
