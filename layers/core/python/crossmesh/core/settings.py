"""`crossmesh.yaml` as values (design section 2). Parsing and its messages live in `manifests.settings_file`."""

from typing import Literal

import msgspec


class ManifestSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the manifests come from: `files` (globs relative to crossmesh.yaml) or `clusters` whose custom resources are read live."""

    files: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the mesh is kept. `adopt`: take over instances and mesh resources that AWS's controller left."""

    manifests: ManifestSource
    backend: Literal["appmesh", "none"] = "appmesh"
    adopt: bool = False


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One EKS cluster. `nodes` are the virtual nodes ("namespace/name") whose pods count here; None = all. `zonal_shift`: pods of a zone that ARC shifted
    traffic away from are no endpoints."""

    name: str
    eks: str
    region: str
    role_arn: str = ""
    external_id: str = ""
    controller: Literal["", "injector-only"] = ""
    zonal_shift: Literal["", "follow"] = ""
    nodes: tuple[str, ...] | None = None


class ServiceTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes Service of type LoadBalancer whose status tells the front's host name."""

    cluster: str
    namespace: str
    name: str
    port: int


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Which bodies mean which virtual node: `of` is a virtual service, `bodies` maps a body to a virtual node ("namespace/name" or bare).

    `path` is what the front asks of that virtual service, not what the canary asks of the front.
    """

    of: str
    bodies: tuple[tuple[str, str], ...]
    path: str = "/"


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary's answers must be; `latency_p95_ms` in milliseconds, 0 = not judged; `headers` exact values; `body` a substring.

    `certificate_days`: a certificate that ends sooner is warned of.
    """

    status: int = 200
    latency_p95_ms: float = 0.0
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    mix: Mix | None = None
    certificate_days: float = 14.0


class CanarySettings(msgspec.Struct, frozen=True, kw_only=True):
    """One canary: exactly one of `service` and `url`; `requests` per run."""

    name: str
    service: ServiceTarget | None = None
    url: str = ""
    path: str = "/"
    requests: int = 60
    timeout_ms: int = 5000
    expect: Expect = Expect()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Removals: `sync` or `upsert-only`; above `confirm_above` (a share, 0..1) they wait for a second listing `confirm_after` seconds later."""

    removals: Literal["sync", "upsert-only"] = "sync"
    confirm_above: float = 0.15
    confirm_after: float = 20.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of crossmesh.yaml. `clusters` and `canaries` are sorted by name."""

    owner: str
    region: str
    mesh: MeshSettings
    clusters: tuple[ClusterSettings, ...]
    canaries: tuple[CanarySettings, ...] = ()
    policy: Policy = Policy()
    security_groups: Literal["none", "check", "open"] = "check"
    readiness_gate: bool = False  # open the gate `conditions.appmesh.k8s.aws/aws-cloudmap-healthy` of pods that declare it
