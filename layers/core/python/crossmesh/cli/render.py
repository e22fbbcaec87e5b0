"""`crossmesh render --target appmesh`: the requests that the manifests mean, as a JSON list in apply order. No network."""

import argparse
from pathlib import Path

import msgspec

from crossmesh.cli.printing import print_json
from crossmesh.core.render import requests
from crossmesh.core.topology_build import build
from crossmesh.errors import ConfigError
from crossmesh.manifests import load
from crossmesh.manifests.config import load_config


def run(arguments: argparse.Namespace) -> int:
    """Print the requests; refuses manifests with errors."""
    if arguments.files:
        loaded = load([(name, Path(name).read_bytes()) for name in arguments.files])
        built = build(loaded.documents, ip_family=arguments.ip_family)
        topology, findings = built.topology, (*loaded.findings, *built.findings)
    else:
        config = load_config(Path(arguments.config), ip_family=arguments.ip_family)
        topology, findings = config.topology, config.findings
    if any(finding.level == "error" for finding in findings):
        raise ConfigError(tuple(findings))
    print_json([msgspec.to_builtins(request) for request in requests(topology, ip_family=arguments.ip_family)])
    return 0
