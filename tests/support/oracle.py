"""Readings for the translator of the world's data plane, its answers by name, and the real Envoy's verdict on them."""

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from world.dataplane import configuration as xds
from world.dataplane.envoys import binary
from world.dataplane.reading import Reading, Service

Spec = dict[str, Any]
MESH, NODE = "m", "front"


def listener(port: int = 8080, protocol: str = "http", **more: Any) -> Spec:
    return {"portMapping": {"port": port, "protocol": protocol}, **more}


def cloud_map(service: str, **more: Any) -> Spec:
    return {"awsCloudMap": {"namespaceName": "n.local", "serviceName": service, **more}}


def route(match: Spec | None = None, *weights: int, kind: str = "httpRoute", name: str = "r", priority: int | None = None, **more: Any) -> Spec:
    """A route to nodes a, b, c of these weights."""
    targets = [{"virtualNode": node, "weight": weight} for node, weight in zip("abc", weights or (1,), strict=False)]
    matched = {"match": match if match is not None else {"prefix": "/"}} if kind != "tcpRoute" or match else {}
    spec: Spec = {kind: {**matched, "action": {"weightedTargets": targets}, **more}}
    return {"routeName": name, "spec": spec if priority is None else {**spec, "priority": priority}}


def nodes(**specs: Spec) -> dict[str, Spec]:
    """a, b and c listen at 8080 with HTTP and are found in Cloud Map, unless told otherwise."""
    plain = {name: {"listeners": [listener()], "serviceDiscovery": cloud_map(name)} for name in "abc"}
    return plain | specs


def reading(
    *routes: Spec, listeners: tuple[tuple[int, str], ...] = ((8080, "http"),), spec: Spec | None = None, service: str = "s.local", **more: Any
) -> Reading:
    """Of the virtual node `front`, with one backend that has these routes."""
    services = {service: Service(service, list(listeners), list(routes))}
    found = {"services": services, "nodes": nodes(), **more}
    return Reading(MESH, found.pop("kind", "virtualNode"), NODE, spec if spec is not None else {}, **found)


def made(read: Reading, folder: Path) -> dict[str, Spec]:
    """Every resource by its name, endpoints apart; accepted by the real Envoy."""
    resources = xds.configuration(read)
    assert refusal(resources, folder) == ""
    return {one["name"]: one for kind, found in resources.items() if kind != xds.ENDPOINTS for one in found}


def refusal(resources: dict[str, list[Spec]], folder: Path) -> str:
    """ "" if Envoy takes all resources together, also in what routes say of clusters; else what it says."""
    tables = {table["name"]: {**_plain(table), "validate_clusters": True} for table in resources[xds.ROUTE]}
    static = {
        "listeners": [_inline(one, tables) for one in resources[xds.LISTENER]],
        "clusters": [_static(one) for one in resources[xds.CLUSTER]],
    }
    start = xds.bootstrap("mesh/m/virtualNode/front", "127.0.0.1", 1)
    static["clusters"] += start["static_resources"]["clusters"]
    return said({"node": start["node"], "static_resources": static, "layered_runtime": start["layered_runtime"]}, folder)


def said(config: Spec, folder: Path) -> str:
    """ "" if Envoy takes a configuration, else its error."""
    return _said(json.dumps(config), folder)


@cache
def _said(config: str, folder: Path) -> str:
    file = folder / "validated.json"
    file.write_text(config)
    command = [binary(), "--mode", "validate", "-c", str(file), "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


def _inline(one: Spec, tables: dict[str, Spec]) -> Spec:
    """A listener that has its routes in itself instead of asking for them."""
    found: Spec = json.loads(json.dumps(_plain(one)))
    for chain in found["filter_chains"]:
        manager = chain["filters"][0]["typed_config"]
        if rds := manager.pop("rds", None):
            manager["route_config"] = tables[rds["route_config_name"]]
        _from_rest(chain)
    return found


def _static(cluster: Spec) -> Spec:
    """A cluster without endpoints instead of one that asks for them."""
    found: Spec = json.loads(json.dumps(_plain(cluster)))
    _from_rest(found)
    if found.pop("eds_cluster_config", None):
        found |= {"type": "STATIC", "load_assignment": {"cluster_name": found["name"]}}
    return found


def _from_rest(value: Any) -> None:
    """Secrets of the management service are asked for by REST: a static configuration has no stream."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict) and "ads" in item:
                value[key] = xds.rest()
            else:
                _from_rest(item)
    elif isinstance(value, list):
        for item in value:
            _from_rest(item)


def _plain(resource: Spec) -> Spec:
    return {key: value for key, value in resource.items() if key != "@type"}


def chains(one: Spec) -> list[tuple[Spec, Spec]]:
    """(match, filter's configuration) of a listener's chains."""
    return [(chain["filter_chain_match"], chain["filters"][0]["typed_config"]) for chain in one["filter_chains"]]


def by_port(one: Spec) -> dict[int, Spec]:
    """The filter's configuration by destination port, of chains that match nothing else."""
    return {match["destination_port"]: config for match, config in chains(one) if match.keys() == {"destination_port"}}
