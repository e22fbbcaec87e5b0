"""Recorded renderings for own Envoys (`tests/golden/envoy`): manifests with what each proxy is given. `python -m tests.support.golden_envoy` records anew."""

import functools
import json
from pathlib import Path
from typing import Any

from crossmesh.core.compiler.build import build
from crossmesh.core.mesh.xds.endpoints import Host
from crossmesh.core.mesh.xds.render import Rendered, render
from crossmesh.core.settings import EnvoySettings, EnvoyTracing
from crossmesh.core.topology import Topology
from crossmesh.manifests import load

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "envoy"
_WAIVED = EnvoySettings(plaintext=("shop/cart", "shop/front"))
CASES: dict[str, tuple[tuple[Path, ...], EnvoySettings]] = {
    "walkthrough": (tuple(sorted((ROOT / "config" / "mesh").glob("*.yaml"))), EnvoySettings()),
    "every-field": ((ROOT / "tests" / "golden" / "every-field.yaml",), _WAIVED),
    **{file.stem: ((file,), EnvoySettings()) for file in sorted(GOLDEN.glob("*.yaml"))},
    "xray": ((GOLDEN / "protocols.yaml",), EnvoySettings(tracing=EnvoyTracing(provider="xray", endpoint="127.0.0.1:2000"))),
    "otlp": ((GOLDEN / "protocols.yaml",), EnvoySettings(tracing=EnvoyTracing(provider="otlp", endpoint="otel.tracing.svc:4317", sampling=50))),
}
RECORDED = tuple(case for case in CASES if case != "leaves")  # that one is for the table of fields (`tests/contract/fields`)


def declared(text: str) -> Topology:
    """The topology of manifests that have no mistake."""
    loaded = load([("mesh.yaml", text.encode())])
    built = build(loaded.documents)
    assert [finding for finding in (*loaded.findings, *built.findings) if finding.level == "error"] == []
    return built.topology


@functools.cache
def rendered(case: str) -> Rendered:
    """A case's rendering, with two hosts of each Cloud Map service."""
    files, settings = CASES[case]
    loaded = load([(file.name, file.read_bytes()) for file in files])
    topology = build(loaded.documents).topology
    return render(topology, settings, hosts=hosts(topology))


def hosts(topology: Topology) -> dict[str, list[Host]]:
    """Two hosts of each Cloud Map service, in two zones; the second is unhealthy."""
    found: dict[str, list[Host]] = {}
    for node in topology.nodes:
        if node.cloud_map is not None:
            for number in (1, 2):
                placed = {"REGION": "us-east-1", "AVAILABILITY_ZONE": f"us-east-1{'ab'[number - 1]}", **dict(node.cloud_map.attributes)}
                ident = f"{node.name}-{number}"
                host = Host(id=ident, address=f"10.0.{len(found)}.{number}", attributes=placed, healthy=number == 1)
                found.setdefault(node.cloud_map.key, []).append(host)
    return found


def text(case: str) -> str:
    """A recorded rendering as it should be."""
    made = rendered(case)
    proxies: dict[str, Any] = {
        proxy.id: {"listeners": proxy.listeners, "routes": proxy.routes, "clusters": proxy.clusters} for proxy in made.proxies
    }
    return json.dumps({"proxies": proxies, "endpoints": made.endpoints}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    for name in RECORDED:
        (GOLDEN / f"{name}.json").write_text(text(name))
