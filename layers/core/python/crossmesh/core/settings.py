"""`crossmesh.yaml` as values. Parsing and its messages live in `manifests.settings.load`."""

from typing import Literal

import msgspec


class ManifestSource(msgspec.Struct, frozen=True, kw_only=True):
    """Where the manifests come from: `files` (globs relative to crossmesh.yaml) or `clusters` whose
    custom resources are read live.

    `services` and `names`: by Kubernetes namespace, the Cloud Map services ("service.namespace")
    and the AWS names that belong to it.
    """

    files: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    services: tuple[tuple[str, tuple[str, ...]], ...] = ()
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()


Backend = Literal["appmesh", "envoy", "none"]  # every name in `core.mesh.backends`


class EnvoyTracing(msgspec.Struct, frozen=True, kw_only=True):
    """Where own Envoys send spans: `endpoint` is HOST:PORT of the X-Ray daemon (UDP) or of an OTLP
    collector (gRPC). `sampling`: a share in percent.
    """

    provider: Literal["otlp", "xray"]
    endpoint: str
    sampling: float = 5.0


class EnvoySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifests do not say of own Envoys. `plaintext`: virtual nodes and gateways
    ("namespace/name") that may go without the encryption or authentication that they declare and
    that cannot be had.
    """

    plaintext: tuple[str, ...] = ()
    tracing: EnvoyTracing | None = None


class MeshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the mesh is kept. `adopt`: take over instances and mesh resources that AWS's controller
    left. `namespaces`: (name, id or ARN) of Cloud Map namespaces whose name alone does not tell
    which is meant.
    """

    manifests: ManifestSource
    backend: Backend = "appmesh"
    adopt: bool = False
    namespaces: tuple[tuple[str, str], ...] = ()
    envoy: EnvoySettings = EnvoySettings()


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One EKS cluster. `nodes` are the virtual nodes ("namespace/name") whose pods count here; None
    = all. `zonal_shift`: pods of a zone that ARC shifted traffic away from are no endpoints.
    `pod_cidrs`: the networks of its pods, () = not told. `exempt`: those that the environment
    allows (the local world).
    """

    name: str
    eks: str
    region: str
    role_arn: str = ""
    external_id: str = ""
    controller: Literal["", "injector-only", "none"] = (
        # AWS's App Mesh controller: keeps its webhook alone | is not there, whatever looks like it
        ""
    )
    # Where it is believed to be it; a Deployment elsewhere is anybody's
    controller_namespaces: tuple[str, ...] = ("appmesh-system",)
    zonal_shift: Literal["", "follow"] = ""
    nodes: tuple[str, ...] | None = None
    pod_cidrs: tuple[str, ...] = ()
    exempt: tuple[str, ...] = ()


class ServiceTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A Kubernetes Service of type LoadBalancer whose status tells the front's host name."""

    cluster: str
    namespace: str
    name: str
    port: int


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """Which bodies mean which virtual node: `of` is a virtual service, `bodies` maps a body to a
    virtual node ("namespace/name" or bare).

    `path` is what the front asks of that virtual service, not what the canary asks of the front.
    """

    of: str
    bodies: tuple[tuple[str, str], ...]
    path: str = "/"


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What a canary's answers must be; `latency_p95_ms` in milliseconds, 0 = not judged; `headers`
    exact values; `body` a substring.

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
    """Removals: `sync` or `upsert-only`; above `confirm_above` (a share, 0..1) they wait for a
    second listing `confirm_after` seconds later.
    """

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
    # The ports that `security_groups: open` may open; None = all that are no node's own
    open_ports: tuple[int, ...] | None = None
    # Open the gate `conditions.appmesh.k8s.aws/aws-cloudmap-healthy` of pods that declare it
    readiness_gate: bool = False
