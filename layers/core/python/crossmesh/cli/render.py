"""`crossmesh render`: what the manifests mean to a mesh, from files alone. No network.

For App Mesh the API requests, in apply order. For own Envoys what each proxy is given.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from crossmesh.cli import printing
from crossmesh.cli.printing import print_json
from crossmesh.core.compiler.build import build
from crossmesh.core.documents import Document, Finding
from crossmesh.core.mesh.backends import BACKENDS
from crossmesh.core.mesh.xds.render import Rendered
from crossmesh.core.mesh.xds.render import render as render_envoy
from crossmesh.core.settings import EnvoySettings
from crossmesh.core.topology import Topology
from crossmesh.errors import ConfigError
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config

ENVOY = "envoy"
TARGETS = sorted({*(name for name, backend in BACKENDS.items() if backend.keeps_mesh), ENVOY})


def run(arguments: argparse.Namespace) -> int:
    """Print the rendering; refuses manifests with errors."""
    settings = EnvoySettings()
    if arguments.files:
        loaded = load([(name, Path(name).read_bytes()) for name in arguments.files])
        built = build(loaded.documents, ip_family=arguments.ip_family)
        topology, findings, documents = built.topology, (*loaded.findings, *built.findings), loaded.documents
    else:
        config = load_config(Path(arguments.config), ip_family=arguments.ip_family)
        topology, findings, documents = config.topology, config.findings, config.documents
        settings = config.settings.mesh.envoy if config.settings is not None else settings
    _refuse(findings)
    if arguments.target == ENVOY:
        settings = msgspec.structs.replace(settings, plaintext=(*settings.plaintext, *arguments.plaintext))
        print_json(_envoy(topology, settings, arguments.ip_family, documents))
    else:
        print_json(list(BACKENDS[arguments.target].render(topology, ip_family=arguments.ip_family)))
    return 0


def _envoy(
    topology: Topology, settings: EnvoySettings, ip_family: str, documents: Iterable[Document]
) -> dict[str, Any]:
    """Every proxy by id. Files know no pods, so endpoints are empty."""
    rendered = render_envoy(topology, settings, ip_family=ip_family)
    findings = located(rendered.findings, documents)
    _refuse(findings)
    for finding in findings:
        printing.error(f"warning: {finding.place}: {finding.message}")
    return {proxy.id: _resources(rendered, proxy.mesh, msgspec.to_builtins(proxy)) for proxy in rendered.proxies}


def _resources(rendered: Rendered, mesh: str, proxy: dict[str, Any]) -> dict[str, Any]:
    wanted = {
        cluster["eds_cluster_config"]["service_name"]
        for cluster in proxy["clusters"]
        if "eds_cluster_config" in cluster
    }
    endpoints = [rendered.endpoints[mesh][name] for name in sorted(wanted)]
    return {key: proxy[key] for key in ("listeners", "routes", "clusters")} | {"endpoints": endpoints}


def located(findings: Iterable[Finding], documents: Iterable[Document]) -> tuple[Finding, ...]:
    """The findings with the lines of their fields, where the documents know them."""
    by_place = {document.place: document for document in documents}

    def placed(finding: Finding) -> Finding:
        document = by_place.get(msgspec.structs.replace(finding.place, field=""))
        return finding if document is None else msgspec.structs.replace(finding, place=document.at(finding.place.field))

    return tuple(placed(finding) for finding in findings)


def _refuse(findings: Iterable[Finding]) -> None:
    findings = tuple(findings)
    if any(finding.level == "error" for finding in findings):
        raise ConfigError(findings)
