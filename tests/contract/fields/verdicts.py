"""What becomes of each leaf of the CRDs, and of each annotation of AWS's injector, on Envoys of your own. A test changes the leaves (`measured`)."""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Word = Literal["kept", "approximated", "lost", "without meaning"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`sets`: whether a change of the leaf changes the rendering."""

    word: Word
    remark: str = ""
    sets: bool = True


def _kept(remark: str) -> Verdict:
    return Verdict(word="kept", remark=remark, sets=False)


def _approximated(remark: str, *, sets: bool = True) -> Verdict:
    return Verdict(word="approximated", remark=remark, sets=sets)


def _meaningless(remark: str) -> Verdict:
    return Verdict(word="without meaning", remark=remark, sets=False)


_LOST_KEY = Verdict(
    word="lost", remark="ACM exports no private key. An error, which only `mesh.envoy.plaintext` waives: then there is no TLS.", sets=False
)
_LOST_TRUST = Verdict(
    word="lost",
    remark="ACM hands Envoys of your own no trust. An error, which only `mesh.envoy.plaintext` waives: then nothing is validated.",
    sets=False,
)
_HEALTH = "Nobody in the mesh calls a gateway; a load balancer in front checks it."
_PODS = "Which pods run the gateway's Envoys. The configuration goes by the proxy's id."
_NAN = "Envoy takes no time of 0: its own default is used, and a warning says so."

# Pattern of `KIND PATH` -> verdict. The first that fits; whatever fits none is kept.
RULES: tuple[tuple[str, Verdict], ...] = (
    ("* spec.meshRef.*", _meaningless("The cluster writes it; labels decide.")),
    ("GatewayRoute spec.virtualGatewayRef.*", _meaningless("The cluster writes it; labels decide.")),
    ("* spec.namespaceSelector.*", _kept("Decides what belongs to the mesh or gateway.")),
    ("* spec.gatewayRouteSelector.*", _kept("Decides which routes are the gateway's.")),
    ("VirtualNode spec.podSelector.*", _kept("Decides which pods are endpoints.")),
    ("VirtualGateway spec.podSelector.*", _meaningless(_PODS)),
    ("VirtualGateway spec.listeners?.healthCheck.*", _meaningless(_HEALTH)),
    ("* spec.listeners?.tls.certificate.acm.*", _LOST_KEY),
    ("*.validation.trust.acm.*", _LOST_TRUST),
    (
        "Mesh spec.meshServiceDiscovery.ipPreference",
        _approximated("As AWS's controller had it: any value means the clusters' own family (`--ip-family`).", sets=False),
    ),
    ("*.outlierDetection.interval.*", _approximated(_NAN)),
    ("*.outlierDetection.baseEjectionDuration.*", _approximated(_NAN)),
    (
        "VirtualNode spec.listeners?.healthCheck.protocol",
        _approximated("gRPC is checked on listeners of HTTP/2 and gRPC; on others only connections are."),
    ),
    ("VirtualNode spec.listeners?.healthCheck.path", _approximated("Without one, / is asked.")),
    (
        "GatewayRoute spec.*.action.target.port",
        _approximated("Of a service with several ports, a header tells the second hop which is meant. App Mesh's own way is not known."),
    ),
)

# Annotations on pods and namespaces (pkg/inject of aws-app-mesh-controller-for-k8s).
_INJECTING = "A matter of injecting, which crossmesh does not do yet."
ANNOTATIONS: dict[str, Verdict] = {
    name: Verdict(word=word, remark=remark, sets=False)
    for name, word, remark in (
        ("appmeshCNI", "lost", "Fargate gives no NET_ADMIN, and App Mesh's CNI plugin is gone."),
        ("cpuLimit", "lost", _INJECTING),
        ("cpuRequest", "lost", _INJECTING),
        ("egressIgnoredIPs", "lost", _INJECTING),
        ("egressIgnoredPorts", "lost", _INJECTING),
        ("ignoredGID", "lost", _INJECTING),
        ("ignoredUID", "lost", _INJECTING),
        ("ipv6", "lost", _INJECTING),
        ("memoryLimit", "lost", _INJECTING),
        ("memoryRequest", "lost", _INJECTING),
        ("ports", "lost", f"{_INJECTING} The listeners of the virtual node say what 15000 serves."),
        ("preview", "without meaning", "The preview channel of App Mesh is gone."),
        ("proxyEgressPort", "without meaning", "Fixed to 15001, as it was."),
        ("proxyIngressPort", "without meaning", "Fixed to 15000, as it was."),
        ("sds", "lost", f"{_INJECTING} Secrets by SDS need the cluster `static_cluster_sds_unix_socket` in the bootstrap."),
        ("secretMounts", "lost", f"{_INJECTING} Certificates by file must stand where the manifest says."),
        ("sidecarEnv", "lost", _INJECTING),
        ("sidecarEnvJson", "lost", _INJECTING),
        ("sidecarInjectorWebhook", "lost", _INJECTING),
        ("virtualGatewaySkipImageOverride", "without meaning", "A gateway's image is your own."),
        ("virtualNode", "kept", "Decides which pods are endpoints of a v1beta1 virtual node."),
        ("volumeMounts", "lost", _INJECTING),
        ("xrayAgentConfigMount", "lost", f"{_INJECTING} `mesh.envoy.tracing` says where the daemon listens."),
    )
}


def verdict(leaf: str) -> Verdict:
    """What becomes of `KIND PATH`."""
    plain = leaf.replace("[]", "_")
    return next((found for pattern, found in RULES if fnmatchcase(plain, pattern)), Verdict(word="kept"))
