"""Manifests as text, for tests to change one thing in."""

from crossmesh.core.compiler.build import BuildResult, build
from crossmesh.core.documents import Finding
from crossmesh.core.mesh.appmesh.render import requests
from crossmesh.core.mesh.appmesh.state import AppMeshRequest
from crossmesh.core.mesh.backends import unsupported
from crossmesh.manifests import load

HEAD = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {mesh: shop}}
---
apiVersion: appmesh.k8s.aws/v1beta2
kind: Mesh
metadata: {name: shop}
spec: {namespaceSelector: {matchLabels: {mesh: shop}}}
"""


def manifest(kind: str, name: str, spec: str, *, namespace: str = "shop", labels: str = "{}", version: str = "v1beta2") -> str:
    """One document after a separator, its spec from line 9 of it on (the separator is line 1)."""
    body = "\n".join(f"  {line}" for line in spec.strip("\n").splitlines())
    head = f"---\napiVersion: appmesh.k8s.aws/{version}\nkind: {kind}\nmetadata:\n  name: {name}\n"
    return f"{head}  namespace: {namespace}\n  labels: {labels}\nspec:\n{body}\n"


def node(name: str, *, service: str = "", port: int = 8080, protocol: str = "http", attributes: str = "[]", more: str = "") -> str:
    """A virtual node with Cloud Map discovery."""
    spec = f"""\
podSelector: {{matchLabels: {{app: {name}}}}}
listeners: [{{portMapping: {{port: {port}, protocol: {protocol}}}}}]
serviceDiscovery: {{awsCloudMap: {{namespaceName: shop.local, serviceName: {service or name}, attributes: {attributes}}}}}
{more}"""
    return manifest("VirtualNode", name, spec)


def built(*texts: str, ip_family: str = "ipv4") -> tuple[BuildResult, tuple[Finding, ...]]:
    """All documents of one file `mesh.yaml` built, with every finding."""
    loaded = load([("mesh.yaml", "".join(texts).encode())])
    made = build(loaded.documents, ip_family=ip_family)
    return made, (*loaded.findings, *sorted({*made.findings, *unsupported(made)}, key=lambda f: (f.place, f.code, f.message)))


def told(*texts: str) -> list[str]:
    """Every finding as a line."""
    return [say(finding) for finding in built(*texts)[1]]


def say(finding: Finding) -> str:
    """A finding as a line."""
    return f"{finding.level} {finding.code} {finding.place}: {finding.message}"


def rendered(*texts: str, ip_family: str = "ipv4") -> tuple[AppMeshRequest, ...]:
    """The requests, of manifests without errors."""
    made, findings = built(*texts, ip_family=ip_family)
    assert not [say(f) for f in findings if f.level == "error"]
    return requests(made.topology, ip_family=ip_family)
