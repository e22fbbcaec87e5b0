"""Encryption as App Mesh's guide says: who encrypts, with what, trusting whom; each form with files and secrets taken by Envoy."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.oracle import Spec, cloud_map, listener, made, nodes, reading, route
from tests.support.oracle_files import Files

A, IN = "cds_egress_m_a_http_8080", "lds_ingress_0.0.0.0_15000"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def serving(files: Files, mode: str = "STRICT", **more: Any) -> Spec:
    return {"mode": mode, "certificate": {"file": files.pair("server")}, **more}


def sockets(found: dict[str, Spec]) -> list[tuple[Spec, Spec | None]]:
    return [(chain["filter_chain_match"], (chain.get("transport_socket") or {}).get("typed_config")) for chain in found[IN]["filter_chains"]]


@pytest.mark.parametrize(
    ("mode", "matches", "inspected"),
    [
        ("STRICT", [({}, True)], False),
        ("PERMISSIVE", [({"transport_protocol": "tls"}, True), ({"transport_protocol": "raw_buffer"}, False)], True),
        ("DISABLED", [({}, False)], False),
    ],
)
def test_a_listeners_mode_says_who_may_come_in(files: Files, mode: str, matches: list[Any], inspected: bool, tmp_path: Path) -> None:
    found = made(reading(route(), spec={"listeners": [listener(tls=serving(files, mode))]}), tmp_path)
    told = [({k: v for k, v in match.items() if k != "destination_port"}, socket is not None) for match, socket in sockets(found)]
    assert told == matches
    assert (len(found[IN]["listener_filters"]) == 2) == inspected
    first = sockets(found)[0][1]
    if first:
        pair = files.pair("server")
        common = {
            "tls_certificates": [{"certificate_chain": {"filename": pair["certificateChain"]}, "private_key": {"filename": pair["privateKey"]}}]
        }
        assert {k: v for k, v in first.items() if k != "@type"} == {"common_tls_context": common}


def test_a_listener_that_trusts_somebody_demands_a_certificate(files: Files, tmp_path: Path) -> None:
    names = {"match": {"exact": ["front.n.local", "spiffe://n/front"]}}
    tls = serving(files, validation={"trust": {"file": {"certificateChain": files.authority}}, "subjectAlternativeNames": names})
    ((_, socket),) = sockets(made(reading(route(), spec={"listeners": [listener(tls=tls)]}), tmp_path))
    assert socket is not None
    assert socket["require_client_certificate"]
    assert socket["common_tls_context"]["validation_context"] == {
        "trusted_ca": {"filename": files.authority},
        "match_typed_subject_alt_names": [
            {"san_type": "DNS", "matcher": {"exact": "front.n.local"}},
            {"san_type": "URI", "matcher": {"exact": "spiffe://n/front"}},
        ],
    }


def towards(files: Files, folder: Path, mode: str | None, policy: Spec | None, own: Spec | None = None, discovery: Spec | None = None) -> Any:
    """What front does to reach a."""
    server = listener(**({"tls": serving(files, mode)} if mode else {}))
    backend = {"virtualServiceName": "s.local", **({"clientPolicy": {"tls": own}} if own else {})}
    spec: Spec = {"backends": [{"virtualService": backend}], **({"backendDefaults": {"clientPolicy": {"tls": policy}}} if policy else {})}
    callee = nodes(a={"listeners": [server], "serviceDiscovery": discovery or cloud_map("a")})
    socket = made(reading(route(), spec=spec, nodes=callee), folder)[A].get("transport_socket")
    return socket and socket["typed_config"]["common_tls_context"]


def trusting(files: Files, **more: Any) -> Spec:
    return {"validation": {"trust": {"file": {"certificateChain": files.authority}}}, **more}


@pytest.mark.parametrize(
    ("mode", "policy", "encrypts", "validates"),
    [
        (None, None, False, False),
        ("DISABLED", None, False, False),
        ("STRICT", None, True, False),  # a server's file certificate is not validated
        ("PERMISSIVE", None, True, False),
        (None, {}, True, True),  # enforced if nothing is said
        (None, {"enforce": True}, True, True),
        (None, {"enforce": False}, False, False),
        ("STRICT", {"enforce": False}, True, True),
        (None, {"ports": [8080, 1]}, True, True),
        (None, {"ports": [1]}, False, False),
        ("STRICT", {"ports": [1]}, True, False),
        ("DISABLED", {}, True, True),
    ],
)
def test_a_policy_that_covers_the_port_decides_else_the_servers_mode(
    files: Files, mode: str | None, policy: Spec | None, encrypts: bool, validates: bool, tmp_path: Path
) -> None:
    common = towards(files, tmp_path, mode, None if policy is None else trusting(files, **policy))
    assert (common is not None, "validation_context" in (common or {})) == (encrypts, validates)


@pytest.mark.parametrize(
    ("discovery", "name"),
    [(cloud_map("a"), "a.n.local"), ({"dns": {"hostname": "a.example.test"}}, "a.example.test")],
)
def test_a_policy_without_names_wants_the_name_that_the_node_is_found_by(files: Files, discovery: Spec, name: str, tmp_path: Path) -> None:
    common = towards(files, tmp_path, None, trusting(files), discovery=discovery)
    assert common["validation_context"]["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": name}}]


def test_a_backends_own_policy_goes_before_the_default(files: Files, tmp_path: Path) -> None:
    own = trusting(files, certificate={"file": files.pair("client")})
    own["validation"]["subjectAlternativeNames"] = {"match": {"exact": ["other.local"]}}
    common = towards(files, tmp_path, None, trusting(files), own)
    assert common["validation_context"]["match_typed_subject_alt_names"][0]["matcher"] == {"exact": "other.local"}
    assert common["tls_certificates"][0]["private_key"] == {"filename": files.pair("client")["privateKey"]}


def test_secrets_come_from_the_socket_beside_and_acms_from_the_management_service(files: Files, tmp_path: Path) -> None:
    sds = {"certificate": {"sds": {"secretName": "me"}}, "validation": {"trust": {"sds": {"secretName": "ca"}}}}
    common = towards(files, tmp_path, None, sds)
    (secret,) = common["tls_certificate_sds_secret_configs"]
    source = secret["sds_config"]["api_config_source"]["grpc_services"]
    assert (secret["name"], source) == ("me", [{"envoy_grpc": {"cluster_name": "static_cluster_sds_unix_socket"}}])
    assert common["combined_validation_context"]["validation_context_sds_secret_config"]["name"] == "ca"
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/one"
    acm = {"mode": "STRICT", "certificate": {"acm": {"certificateArn": arn}}}
    ((_, socket),) = sockets(made(reading(route(), spec={"listeners": [listener(tls=acm)]}), tmp_path))
    assert socket is not None
    (secret,) = socket["common_tls_context"]["tls_certificate_sds_secret_configs"]
    assert secret == {"name": arn, "sds_config": {"ads": {}, "resource_api_version": "V3"}}
