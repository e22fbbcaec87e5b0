"""Kinds behind public reports, through the deployed application: what Cloud Map's services and namespaces demand, how fronts encode, why TLS refuses.

One deployment for all, with virtual nodes, pods and canaries of their own beside the walkthrough.
"""

import gzip
import shutil
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import brotli
import pytest
import yaml

from tests.conformance.servers import Talk, certificate, serve
from tests.e2e.conftest import Deployed
from world.clusters.client import wait_for
from world.dataplane.certificates import SHOP, Certificates
from world.deploy import ROOT, deploy

pytestmark = [pytest.mark.e2e, pytest.mark.long]

SPACE, API_SPACE, SHARED = "appmesh-demo.pvt.aws.local", "kinds", "shared.kinds.local"
OTHER_ACCOUNT = "444455556666"
SERVICES: dict[str, tuple[str, str, dict[str, Any]]] = {  # virtual node -> namespace, service, how somebody else made it
    "srv": (SPACE, "kind-srv", {"DnsRecords": [{"Type": "SRV", "TTL": 5}]}),
    "api": (API_SPACE, "kind", {}),
    "cname": (SPACE, "kind-cname", {"RoutingPolicy": "WEIGHTED", "DnsRecords": [{"Type": "CNAME", "TTL": 5}]}),
    "six": (SPACE, "kind-six", {"DnsRecords": [{"Type": "AAAA", "TTL": 5}]}),
    "case": (SPACE, "kind-case", {"DnsRecords": [{"Type": "A", "TTL": 5}]}),
    "shared": (SHARED, "kind-shared", {}),
}
WORK = ("srv", "api")
HELD = {  # the reason, and a part of the line that tells the fix
    "cname": ("records", "give its virtual node a service of its own"),
    "six": ("address-family", "give its virtual node a service of its own"),
    "case": ("name-case", "write Kind-Case"),
    "shared": ("namespace-shared", f":{OTHER_ACCOUNT}:namespace/"),
}
TEXT = "blau–grün"
FRONTS: dict[str, tuple[dict[str, str], bytes]] = {
    "gzip": ({"Content-Encoding": "gzip"}, gzip.compress(TEXT.encode())),
    "brotli": ({"Content-Encoding": "br", "Content-Type": "text/plain; charset=utf-8"}, brotli.compress(TEXT.encode())),
    "mark": ({"Content-Type": "text/plain"}, TEXT.encode("utf-8-sig")),
    "charset": ({"Content-Type": "text/plain; charset=windows-1252"}, TEXT.encode("windows-1252")),
    "sixteen": ({"Content-Type": "text/plain; charset=iso-8859-1"}, TEXT.encode("utf-16")),  # its mark outweighs the header
    "wrong": ({"Content-Type": "text/plain; charset=utf-8"}, TEXT.encode("windows-1252")),
}
TLS = {  # the canary's front, and what it must be told of
    "expired": (f"https://{SHOP}", "has a certificate that has expired"),
    "name": ("https://other.example.test", "has a certificate for other names"),
    "issuer": ("https://stranger.example.test", "has a certificate whose issuer is not known"),
    "self": ("https://alone.example.test", "has a certificate that it signed itself"),
}


@dataclass
class Kinds:
    """The world with all of it deployed."""

    here: Deployed
    ids: dict[str, str]  # service name -> id

    def held(self, node: str) -> dict[str, dict[str, str]]:
        """Instances of the node's service."""
        found = self.here.app.registry.list_instances(ServiceId=self.ids[SERVICES[node][1]])["Instances"]
        return {instance["Id"]: instance["Attributes"] for instance in found}


def answering(headers: dict[str, str], body: bytes) -> Talk:
    """200 with these bytes."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body)), "Connection": "close"}.items())
    return lambda wire, _: wire.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body)


def documents() -> str:
    """A virtual node for each kind."""
    nodes = [
        {
            "apiVersion": "appmesh.k8s.aws/v1beta2",
            "kind": "VirtualNode",
            "metadata": {"namespace": "appmesh-demo", "name": f"kind-{node}"},
            "spec": {
                "podSelector": {"matchLabels": {"kind": node}},
                "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}],
                "serviceDiscovery": {"awsCloudMap": {"namespaceName": space, "serviceName": service}},
            },
        }
        for node, (space, service, _) in SERVICES.items()
    ]
    return yaml.safe_dump_all(nodes)


def canaries() -> str:
    """A canary for each front."""
    fronts = {
        f"coded-{name}": {"url": f"http://{name}.example.test", "requests": 4, "expect": {"status": 200, "body": TEXT}} for name in FRONTS
    }
    secure = {f"tls-{cause}": {"url": url, "path": "/color", "requests": 4} for cause, (url, _) in TLS.items()}
    return "".join(f"  {line}\n" for line in yaml.safe_dump({**fronts, **secure}, allow_unicode=True).splitlines())


def services(here: Deployed) -> dict[str, str]:
    """What others made: the services with their records, one in another case than the document says."""
    registry = here.app.registry
    registry.create_http_namespace(Name=API_SPACE)
    here.app.tell("aws", "share", {"owner": OTHER_ACCOUNT, "name": SHARED})

    def spaces() -> dict[str, str] | None:
        found = {space["Name"]: space["Id"] for space in registry.list_namespaces()["Namespaces"]}
        return found if {SPACE, API_SPACE} <= found.keys() else None

    ids = wait_for(spaces, 20, "the namespaces")
    made = {}
    for node, (space, service, records) in SERVICES.items():
        if node != "shared":
            name = service.title() if node == "case" else service
            more = {"DnsConfig": records} if records else {}
            made[service] = registry.create_service(Name=name, NamespaceId=ids[space], **more)["Service"]["Id"]
    return made


@pytest.fixture(scope="module")
def kinds(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinds]:
    """Deployed once; afterwards the walkthrough alone."""
    here, folder = deployed, deployed.world.dir / "config-kinds"
    here.heal()
    ids = services(here)
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    (folder / "mesh" / "kinds.yaml").write_text(documents())
    settings = folder / "crossmesh.yaml"
    settings.write_text(settings.read_text().replace("policy:", f"{canaries()}policy:"))
    container = here.front.get("Deployment", "appmesh-demo", "front")["spec"]["template"]["spec"]["containers"][0]
    for node in SERVICES:
        metadata = {"name": f"kind-{node}", "namespace": "appmesh-demo", "labels": {"kind": node, "kinds": "yes"}}
        spec = {"containers": [{**container, "image": "colorapp", "env": [{"name": "COLOR", "value": node}]}]}
        here.front.apply({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec})
    with ExitStack() as stack:
        fronts = {f"{name}.example.test": stack.enter_context(serve(answering(*said))).port for name, said in FRONTS.items()}
        fronts |= {f"{name}.example.test": port for name, port in secure(here, stack, tmp_path_factory.mktemp("tls")).items()}
        here.app.tell("dataplane", "dns", {"add": fronts})
        try:
            deploy(here.world.document, config=folder, Mode="apply", Schedule="DISABLED")
            here.front.wait_ready("appmesh-demo", "kinds=yes", len(SERVICES))
            yield Kinds(here, ids)
        finally:
            here.app.tell("dataplane", "certificate", {"days": 90})
            undo(here, ids)


def secure(here: Deployed, stack: ExitStack, folder: Path) -> dict[str, int]:
    """Fronts over TLS: with the certificate of another name, from the authority that the functions trust; from one that nobody knows; self-signed."""
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted.load_cert_chain(here.world.dir / "front.pem")
    alone, _ = certificate(folder, 90, "alone.example.test")
    contexts = {"other": trusted, "stranger": Certificates(folder).context, "alone": alone}
    talk = answering({}, b"blue")
    return {name: stack.enter_context(serve(talk, context)).port for name, context in contexts.items()}


def undo(here: Deployed, ids: dict[str, str]) -> None:
    """Pods first, seen as they end; then the documents; then what others made."""
    for node in SERVICES:
        here.front.delete("Pod", "appmesh-demo", f"kind-{node}")
    list_instances = here.app.registry.list_instances
    here.app.look(90)
    wait_for(lambda: not any(list_instances(ServiceId=ident)["Instances"] for ident in ids.values()), 60, "no instance of the pods")
    deploy(here.world.document, Mode="apply", Schedule="DISABLED")
    for ident in ids.values():
        here.app.registry.delete_service(Id=ident)
    here.heal()


def test_each_kind_of_service_and_namespace_works_or_is_withheld_once_by_name_with_the_fix(kinds: Kinds) -> None:
    app = kinds.here.app
    wait_for(lambda: app.look(90).kind == "quiet" and all(kinds.held(node) for node in WORK), 90, "what can be registered")
    ((srv, attributes),) = kinds.held("srv").items()
    assert attributes["AWS_INSTANCE_PORT"] == "8080", "an SRV record has a port"
    assert srv.startswith("eksc1.")
    assert len(kinds.held("api")) == 1
    assert [kinds.held(node) for node in ("cname", "six", "case")] == [{}, {}, {}]
    app.calls(reset=True)
    looked = app.look(90)
    assert looked.withheld_counts == {"records": 1, "address-family": 1, "name-case": 1, "namespace-shared": 1}
    for node, (why, fix) in HELD.items():
        assert [line for line in looked.withheld if f": {why}: " in line and fix in line], (node, looked.withheld)
    asked = {call["operation"] for call in app.calls()["calls"]}
    assert not asked & {"RegisterInstance", "CreateService"}, "nothing that AWS will always refuse is asked twice"


def test_a_front_is_read_as_a_browser_would_whatever_its_encoding(kinds: Kinds) -> None:
    verdicts = {name: kinds.here.app.canary(f"coded-{name}").last for name in FRONTS}
    said = {name: (verdict.kind, verdict.says) for name, verdict in verdicts.items() if verdict}
    assert {name for name, (kind, _) in said.items() if kind == "good"} == FRONTS.keys() - {"wrong"}, said
    assert said["wrong"][0] == "failed", "what a browser shows garbled is no good answer"


def test_each_cause_that_tls_has_at_a_front_is_told_in_its_own_words(kinds: Kinds) -> None:
    app = kinds.here.app
    app.tell("dataplane", "certificate", {"days": -1})
    with ThreadPoolExecutor(len(TLS)) as pool:
        verdicts = dict(zip(TLS, pool.map(lambda cause: app.diagnosed(f"tls-{cause}"), TLS), strict=True))
    for cause, verdict in verdicts.items():
        assert verdict.kind != "good"
        (found,) = verdict.diagnoses or ()
        url, words = TLS[cause]
        assert found.key == f"certificate:{url}"
        assert words in " ".join((found.what, *found.evidence)), found
    assert len({found.fix for verdict in verdicts.values() for found in verdict.diagnoses or ()}) == len(TLS), "each has a fix of its own"
