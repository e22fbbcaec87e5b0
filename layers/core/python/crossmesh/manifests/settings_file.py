"""crossmesh.yaml → `Settings`, with every mistake at once: line, field, what was found, what is allowed."""

import re
from typing import Any

import msgspec

from crossmesh.core.documents import Finding, Place
from crossmesh.core.settings import (
    CanarySettings,
    ClusterSettings,
    Expect,
    ManifestSource,
    MeshSettings,
    Mix,
    Policy,
    ServiceTarget,
    Settings,
)
from crossmesh.manifests.reader import read

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class LoadedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`settings` is None where there are errors; `lines` tells where each field stands."""

    settings: Settings | None
    findings: tuple[Finding, ...]
    lines: dict[str, int]


def load_settings(name: str, data: bytes) -> LoadedSettings:
    """Read one settings file."""
    values, findings = read(name, data)
    if findings:
        return LoadedSettings(settings=None, findings=tuple(findings), lines={})
    if len(values) != 1 or not isinstance(values[0].value, dict):
        finding = Finding(
            level="error",
            code="not-settings",
            place=Place(file=name, line=1),
            message="wanted one YAML object",
            cure="see config/crossmesh.yaml",
        )
        return LoadedSettings(settings=None, findings=(finding,), lines={})
    reader = _Reader(name, values[0].lines)
    settings = reader.settings(values[0].value)
    return LoadedSettings(settings=None if reader.findings else settings, findings=tuple(reader.findings), lines=values[0].lines)


class _Reader:
    def __init__(self, name: str, lines: dict[str, int]) -> None:
        self.name, self.lines = name, lines
        self.findings: list[Finding] = []

    def wrong(self, field: str, message: str, cure: str, code: str = "bad-setting") -> None:
        line = self.lines.get(field) or self.lines.get(field.rpartition(".")[0], 1)
        self.findings.append(Finding(level="error", code=code, place=Place(file=self.name, line=line, field=field), message=message, cure=cure))

    def mapping(self, value: Any, field: str, allowed: tuple[str, ...]) -> dict[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.wrong(field, f"found {value!r}, wanted an object", f"with {', '.join(allowed)}")
            return {}
        for key in value:
            if allowed and key not in allowed:
                self.wrong(f"{field}.{key}".lstrip("."), f"{key} is not a setting", f"allowed: {', '.join(allowed)}", "unknown-setting")
        return value

    def text(self, raw: dict[str, Any], key: str, field: str, default: str | None = None) -> str:
        value = raw.get(key, default)
        here = f"{field}.{key}".lstrip(".")
        if isinstance(value, str) and (value or default is not None):
            return value
        self.wrong(
            here, "is missing" if value is None else f"found {value!r}, wanted text", "give it a value; quote it if YAML reads it otherwise"
        )
        return ""

    def choice(self, raw: dict[str, Any], key: str, field: str, allowed: tuple[str, ...], default: str) -> Any:
        value = raw.get(key, default)
        if value not in allowed:
            self.wrong(f"{field}.{key}".lstrip("."), f"found {value!r}", f"allowed: {', '.join(a or '(nothing)' for a in allowed)}")
            return default
        return value

    def number(self, raw: dict[str, Any], key: str, field: str, default: float, low: float, high: float) -> float:
        value = raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.wrong(f"{field}.{key}", f"found {value!r}", f"a number from {low:g} to {high:g}")
            return default
        return value

    def share(self, raw: dict[str, Any], key: str, field: str, default: float) -> float:
        value = raw.get(key, default)
        if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value)):
            value = float(match[1]) / 100
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.wrong(f"{field}.{key}", f"found {raw.get(key)!r}", "a share such as 15% or 0.15, from 0% to 100%")
            return default
        return float(value)

    def duration(self, raw: dict[str, Any], key: str, field: str, default: float) -> float:
        value = raw.get(key, default)
        if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)", value)):
            value = float(match[1]) * _UNITS[match[2]]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
            self.wrong(f"{field}.{key}", f"found {raw.get(key)!r}", "a duration such as 20s or 1m, at most a day")
            return default
        return float(value)

    def settings(self, raw: dict[str, Any]) -> Settings:
        allowed = ("owner", "region", "mesh", "clusters", "canaries", "policy", "security_groups")
        self.mapping(raw, "", allowed)
        owner, region = self.text(raw, "owner", ""), self.text(raw, "region", "")
        if owner and not _OWNER.fullmatch(owner):
            self.wrong("owner", f"found {owner!r}", "letters, digits, _ . -, beginning with a letter or digit, at most 63 characters")
        clusters = self.mapping(raw.get("clusters"), "clusters", ())
        if not clusters:
            self.wrong("clusters", "no cluster is named", "name at least one, such as `eksc1: {}`")
        known = tuple(self.cluster(str(name), clusters[name], region) for name in sorted(clusters))
        canaries = self.mapping(raw.get("canaries"), "canaries", ())
        policy = self.mapping(raw.get("policy"), "policy", ("removals", "confirm_above", "confirm_after"))
        return Settings(
            owner=owner,
            region=region,
            mesh=self.mesh(raw.get("mesh"), set(clusters)),
            clusters=known,
            canaries=tuple(self.canary(str(name), canaries[name], set(clusters)) for name in sorted(canaries)),
            policy=Policy(
                removals=self.choice(policy, "removals", "policy", ("sync", "upsert-only"), "sync"),
                confirm_above=self.share(policy, "confirm_above", "policy", 0.15),
                confirm_after=self.duration(policy, "confirm_after", "policy", 20.0),
            ),
            security_groups=self.choice(raw, "security_groups", "", ("none", "check", "open"), "check"),
        )

    def mesh(self, value: Any, clusters: set[str]) -> MeshSettings:
        raw = self.mapping(value, "mesh", ("manifests", "backend", "adopt"))
        source = self.mapping(raw.get("manifests"), "mesh.manifests", ("files", "clusters"))
        files, live = source.get("files") or [], source.get("clusters") or []
        for key, items in (("files", files), ("clusters", live)):
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                self.wrong(f"mesh.manifests.{key}", f"found {items!r}", "a list of texts")
        if bool(files) == bool(live):
            self.wrong("mesh.manifests", "wanted exactly one of files and clusters", "such as `files: [mesh/*.yaml]`")
        for name in live if isinstance(live, list) else ():
            if name not in clusters:
                self.wrong("mesh.manifests.clusters", f"{name!r} is not a cluster here", f"known are {', '.join(sorted(clusters))}")
        adopt = raw.get("adopt", False)
        if not isinstance(adopt, bool):
            self.wrong("mesh.adopt", f"found {adopt!r}", "true or false")
        backend = self.choice(raw, "backend", "mesh", ("appmesh", "none"), "appmesh")
        return MeshSettings(
            manifests=ManifestSource(files=tuple(map(str, files)), clusters=tuple(map(str, live))), backend=backend, adopt=bool(adopt)
        )

    def cluster(self, name: str, value: Any, region: str) -> ClusterSettings:
        field = f"clusters.{name}"
        raw = self.mapping(value, field, ("eks", "region", "roleArn", "externalId", "controller", "nodes"))
        nodes = raw.get("nodes")
        if nodes is not None and (not isinstance(nodes, list) or not all(isinstance(n, str) for n in nodes)):
            self.wrong(f"{field}.nodes", f"found {nodes!r}", "a list of virtual nodes as namespace/name")
            nodes = None
        return ClusterSettings(
            name=name,
            eks=self.text(raw, "eks", field, name),
            region=self.text(raw, "region", field, region),
            role_arn=self.text(raw, "roleArn", field, ""),
            external_id=self.text(raw, "externalId", field, ""),
            controller=self.choice(raw, "controller", field, ("", "injector-only"), ""),
            nodes=None if nodes is None else tuple(nodes),
        )

    def canary(self, name: str, value: Any, clusters: set[str]) -> CanarySettings:
        field = f"canaries.{name}"
        raw = self.mapping(value, field, ("service", "url", "path", "requests", "timeout_ms", "expect"))
        service = None
        if raw.get("service") is not None:
            here = f"{field}.service"
            target = self.mapping(raw["service"], here, ("cluster", "namespace", "name", "port"))
            service = ServiceTarget(
                cluster=self.text(target, "cluster", here),
                namespace=self.text(target, "namespace", here),
                name=self.text(target, "name", here),
                port=int(self.number(target, "port", here, 80, 1, 65535)),
            )
            if service.cluster and service.cluster not in clusters:
                self.wrong(f"{here}.cluster", f"{service.cluster!r} is not a cluster here", f"known are {', '.join(sorted(clusters))}")
        url = self.text(raw, "url", field, "")
        if (service is None) == (not url):
            self.wrong(field, "wanted exactly one of service and url", "a Service of type LoadBalancer, or an http(s) URL")
        if url and not url.startswith(("http://", "https://")):
            self.wrong(f"{field}.url", f"found {url!r}", "an http:// or https:// URL")
        return CanarySettings(
            name=name,
            service=service,
            url=url,
            path=self.text(raw, "path", field, "/"),
            requests=int(self.number(raw, "requests", field, 60, 1, 1000)),
            timeout_ms=int(self.number(raw, "timeout_ms", field, 5000, 100, 60_000)),
            expect=self.expect(raw.get("expect"), f"{field}.expect"),
        )

    def expect(self, value: Any, field: str) -> Expect:
        raw = self.mapping(value, field, ("status", "latency_p95_ms", "body", "headers", "mix"))
        mix = None
        if raw.get("mix") is not None:
            inner = self.mapping(raw["mix"], f"{field}.mix", ("of", "bodies"))
            bodies = self.mapping(inner.get("bodies"), f"{field}.mix.bodies", ())
            mix = Mix(of=self.text(inner, "of", f"{field}.mix"), bodies=tuple(sorted((str(k), str(v)) for k, v in bodies.items())))
        headers = self.mapping(raw.get("headers"), f"{field}.headers", ())
        return Expect(
            status=int(self.number(raw, "status", field, 200, 100, 599)),
            latency_p95_ms=float(self.number(raw, "latency_p95_ms", field, 0, 0, 600_000)),
            body=self.text(raw, "body", field, ""),
            headers=tuple(sorted((str(k), str(v)) for k, v in headers.items())),
            mix=mix,
        )
