"""Holds a rendered proxy up to Envoy itself: `envoy --mode validate` of the same resources in a static configuration."""

import datetime
import functools
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import envoy
from crossmesh.core.mesh.xds import names
from crossmesh.core.mesh.xds.proxy import ProxyConfig
from crossmesh.core.mesh.xds.render import Rendered
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Json = dict[str, Any]
_RUNTIME = {"layers": [{"name": "bootstrap", "static_layer": {"re2.max_program_size.error_level": 1000}}]}


def validated(rendered: Rendered, folder: Path) -> dict[str, str]:
    """What Envoy says against each proxy, by id; {} = it takes all of them. It is asked once for all, and for each where it refuses something."""
    configs = {proxy.id: static(proxy, rendered.endpoints.get(proxy.mesh, {}), folder) for proxy in rendered.proxies}
    if not _asked(_together(list(configs.values())), folder):
        return {}
    said = {ident: _asked(config, folder) for ident, config in configs.items()}
    return {ident: problem for ident, problem in said.items() if problem} or {"all together": "refused"}


def _asked(config: Json, folder: Path) -> str:
    file = folder / "proxy.json"
    file.write_text(json.dumps(config))
    return refusal(file)


def _together(configs: list[Json]) -> Json:
    """Several proxies as one: each has an address and names of its own."""
    made: Json = {**configs[0], "static_resources": {"listeners": [], "clusters": [_sds()]}}
    for number, config in enumerate(configs, 1):
        own = re.sub(r'"(cds|lds|rds)_', rf'"proxy{number}_\1_', json.dumps(config["static_resources"]))
        own = own.replace('"address": "0.0.0.0"', f'"address": "127.0.1.{number}"').replace('"address": "::"', f'"address": "fd00::{number}"')
        for kind, resources in json.loads(own).items():
            made["static_resources"][kind] += [one for one in resources if one["name"] != names.SDS_CLUSTER and not _known(made, kind, one)]
    return made


def _known(made: Json, kind: str, resource: Json) -> bool:
    return any(one["name"] == resource["name"] for one in made["static_resources"][kind])


def refusal(file: Path) -> str:
    """Why Envoy does not take a configuration, "" = it does."""
    run = subprocess.run([_binary(), "--mode", "validate", "-c", file, "-l", "error"], capture_output=True, text=True, timeout=60, check=False)
    return "" if run.returncode == 0 else run.stderr[-2_000:]


def static(proxy: ProxyConfig, endpoints: dict[str, Json], folder: Path) -> Json:
    """The same resources without a server: route tables and endpoints in place, every name of a cluster checked, certificates that exist."""
    tables = {table["name"]: table for table in proxy.routes}
    text = json.dumps(
        {
            "node": {"id": proxy.id, "cluster": proxy.id},
            "layered_runtime": _RUNTIME,
            "static_resources": {
                "listeners": [_listener(listener, tables) for listener in proxy.listeners],
                "clusters": [*(_cluster(cluster, endpoints) for cluster in proxy.clusters), _sds()],
            },
        }
    )
    chain, key = certificate(folder)
    made: Json = json.loads(re.sub(r'"filename": "[^"]*"', lambda found: f'"filename": "{key if "key" in found[0] else chain}"', text))
    return made


def _listener(listener: Json, tables: dict[str, Json]) -> Json:
    made: Json = json.loads(json.dumps(listener))
    made.pop("@type")
    for chain in made["filter_chains"]:
        for one in chain["filters"]:
            if "rds" in one["typed_config"]:
                table = tables[one["typed_config"].pop("rds")["route_config_name"]]
                one["typed_config"]["route_config"] = {key: value for key, value in table.items() if key != "@type"} | {
                    "validate_clusters": True
                }
    return made


def _cluster(cluster: Json, endpoints: dict[str, Json]) -> Json:
    made = {key: value for key, value in cluster.items() if key != "@type"}
    if "eds_cluster_config" in made:
        found = endpoints[made.pop("eds_cluster_config")["service_name"]]
        made |= {"type": "STATIC", "load_assignment": {key: value for key, value in found.items() if key != "@type"}}
    return made


def _sds() -> Json:
    address = {"pipe": {"path": "/run/spire/sockets/agent.sock"}}
    assignment = {"cluster_name": names.SDS_CLUSTER, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": names.SDS_CLUSTER,
        "type": "STATIC",
        "load_assignment": assignment,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


@functools.cache
def _binary() -> str:
    folder = Path(envoy.__file__).parent / "_bin"
    return str(next(path for path in sorted(folder.iterdir()) if path.name.startswith("envoy")))


@functools.cache
def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(begin).not_valid_after(begin + datetime.timedelta(days=3_650))
    signed = made.sign(key, hashes.SHA256())
    chain_file, key_file = folder / "chain.pem", folder / "private.pem"
    chain_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return chain_file, key_file
