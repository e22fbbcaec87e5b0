"""crossmesh.yaml → `Settings`, with every mistake at once: file, line, field, what was found, what is allowed."""

from typing import Any

import msgspec

from crossmesh.core.documents import Finding, Place
from crossmesh.core.settings import CanarySettings, ClusterSettings, Expect, ManifestSource, MeshSettings, Mix, Policy, ServiceTarget, Settings
from crossmesh.manifests.check import Checker
from crossmesh.manifests.settings_rules import SETTINGS
from crossmesh.manifests.yaml_documents import read


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where there are errors; `lines` tells where each field stands."""

    settings: Settings | None
    findings: tuple[Finding, ...]
    lines: dict[str, int]


def load_settings(name: str, data: bytes, *, strict: bool = False) -> LoadedSettings:
    """Read one settings file. Unknown keys are errors with or without `strict`: nothing drops them silently here. Never raises."""
    trees, findings = read(name, data)
    if len(trees) != 1:
        if not findings:
            message = f"found {len(trees)} documents, wanted one" if trees else "the file is empty"
            cure = "owner, region, mesh and clusters must be there (`crossmesh schema` prints all)"
            findings = [Finding(level="error", code="not-settings", place=Place(file=name, line=1), message=message, cure=cure)]
        return LoadedSettings(settings=None, findings=tuple(findings), lines={})
    tree = trees[0]
    if strict:
        findings = [msgspec.structs.replace(finding, level="error") for finding in findings]
    checker = Checker(name, tree, unknown="error")
    raw = checker.value(SETTINGS, tree.value, "")
    if isinstance(raw, dict):
        _known_clusters(checker, raw, tree.value)
    findings = sorted([*findings, *checker.findings], key=lambda f: (f.place, f.code))
    good = not any(finding.level == "error" for finding in findings)
    return LoadedSettings(settings=_settings(raw) if good else None, findings=tuple(findings), lines=tree.lines)


def _known_clusters(checker: Checker, raw: dict[str, Any], written: dict[str, Any]) -> None:
    """Every cluster that is named is one of `clusters`, whatever else is wrong with it."""
    clusters = written.get("clusters")
    known = sorted(map(str, clusters)) if isinstance(clusters, dict) else []
    named = [(f"canaries.{name}.service.cluster", c.get("service", {}).get("cluster")) for name, c in raw.get("canaries", {}).items()]
    live = raw.get("mesh", {}).get("manifests", {}).get("clusters", ())
    named += [(f"mesh.manifests.clusters[{index}]", name) for index, name in enumerate(live)]
    for field, name in named:
        if name is not None and name not in known:
            checker.report("unknown-cluster", field, f"{name!r} is no cluster here", f"clusters are: {', '.join(known) or 'none'}")


def _settings(raw: dict[str, Any]) -> Settings:
    mesh, region = raw["mesh"], raw["region"]
    manifests = {key: tuple(value) for key, value in mesh["manifests"].items()}
    clusters, canaries = raw["clusters"], raw.get("canaries", {})
    return Settings(
        owner=raw["owner"],
        region=region,
        mesh=MeshSettings(**{**mesh, "manifests": ManifestSource(**manifests)}),
        clusters=tuple(_cluster(name, clusters[name], region) for name in sorted(clusters)),
        canaries=tuple(_canary(name, canaries[name]) for name in sorted(canaries)),
        policy=Policy(**raw.get("policy", {})),
        security_groups=raw.get("security_groups", "check"),
        readiness_gate=raw.get("readiness_gate", False),
    )


def _cluster(name: str, raw: dict[str, Any], region: str) -> ClusterSettings:
    return ClusterSettings(
        name=name,
        eks=raw.get("eks", name),
        region=raw.get("region", region),
        role_arn=raw.get("roleArn", ""),
        external_id=raw.get("externalId", ""),
        controller=raw.get("controller", ""),
        zonal_shift=raw.get("zonal_shift", ""),
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
