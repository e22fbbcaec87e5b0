"""The server of Envoys as it is installed: what it may do, how its pod is bounded, and that manifests, README and settings say the same."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from crossmesh_xds import cluster, identity, metrics, settings

from world.clusters.auth import allowed
from world.clusters.client import RESOURCE
from world.clusters.objects import CLUSTER_WIDE
from world.clusters.store import Store
from world.deploy import ROOT

SERVER = ROOT / "xds"
ACCOUNT = ("system:serviceaccount:crossmesh:crossmesh-xds", frozenset({"system:serviceaccounts", "system:authenticated"}))


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k` would send, by kind."""
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(SERVER / "deploy" / "example")]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {item["kind"]: item for item in yaml.safe_load_all(built)}


def test_it_may_review_tokens_and_keep_one_secret_and_do_nothing_else(objects: dict[str, dict[str, Any]]) -> None:
    store = Store()
    store.create(("", "namespaces", "", "crossmesh"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "crossmesh"}})
    for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"):
        group, resource = RESOURCE[kind]
        item = objects[kind]
        store.create((group, resource, "" if resource in CLUSTER_WIDE else item["metadata"]["namespace"], item["metadata"]["name"]), item)

    def may(verb: str, resource: str, group: str = "", namespace: str = "crossmesh", name: str = "") -> bool:
        return allowed(store, ACCOUNT, verb, group, resource, namespace, name, "")

    assert may("create", "tokenreviews", "authentication.k8s.io", "")
    assert may("get", "secrets", name=cluster.SECRET)
    assert may("create", "secrets")
    assert not may("get", "secrets", name="other")
    assert not any(may(verb, "secrets", name=cluster.SECRET) for verb in ("list", "watch", "update", "patch", "delete"))
    assert not any(may(verb, "secrets", namespace="shop", name=cluster.SECRET) for verb in ("get", "create"))
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    assert not any(may(verb, resource) for verb in verbs for resource in ("pods", "configmaps", "serviceaccounts", "services"))


def test_its_pods_are_without_privilege_bounded_spread_and_not_all_away_at_once(objects: dict[str, dict[str, Any]]) -> None:
    deployment = objects["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert deployment["replicas"] == 2
    assert objects["PodDisruptionBudget"]["spec"]["minAvailable"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"memory": "512Mi"}
    assert {one["topologyKey"] for one in pod["topologySpreadConstraints"]} == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/livez", "/readyz"}
    (volume,) = pod["volumes"]
    assert volume["projected"]["sources"][0]["serviceAccountToken"]["audience"] == identity.AUDIENCE
    assert objects["Service"]["spec"]["clusterIP"] == "None"


def test_manifests_and_readme_name_exactly_the_settings_that_it_reads(objects: dict[str, dict[str, Any]]) -> None:
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    given = {one["name"]: {"metadata.namespace": "crossmesh"}.get(one["valueFrom"]["fieldRef"]["fieldPath"], "x") for one in container["env"]}
    found = settings.read({**objects["ConfigMap"]["data"], **given})
    assert sorted(port["containerPort"] for port in container["ports"]) == sorted((found.listen[1], found.http[1]))
    assert objects["Service"]["metadata"]["name"] == found.service
    assert objects["ServiceAccount"]["metadata"]["name"] == "crossmesh-xds"
    told = set(re.findall(r"`(CROSSMESH_\w+)`", (SERVER / "README.md").read_text()))
    assert told == {value for value in vars(settings).values() if isinstance(value, str) and value.startswith("CROSSMESH_")}


def test_the_readme_names_every_metric_and_only_those() -> None:
    rows = (SERVER / "README.md").read_text().partition("## Metrics")[2].partition("## Bounds")[0]
    told = {
        name.partition("{")[0].removesuffix("_total")
        for name in re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)
        for name in re.findall(r"`([\w{}]+)`", name)
    }
    made = {family.name.removeprefix("crossmesh_xds_") for family in metrics.Metrics().registry.collect()}
    assert told == made


def test_what_it_installs_is_what_it_says_it_needs() -> None:
    names = set(re.findall(r"^([\w.-]+)==", (SERVER / "requirements.txt").read_text(), re.MULTILINE))
    wanted = tomllib.loads((SERVER / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[<>=!]", line)[0].lower() for line in wanted} <= names


def test_it_imports_nothing_of_the_package_and_of_the_watcher() -> None:
    for path in (SERVER / "crossmesh_xds").glob("*.py"):
        assert not re.search(r"^\s*(from|import) crossmesh(_watcher)?\b", path.read_text(), re.MULTILINE), path


PURE = {"shared", "stream", "fleet", "mesh", "succession"}


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_protocol_is_pure(module: str) -> None:
    """What the schedules play is all there is: no clock, no thread, no socket."""
    text = (SERVER / "crossmesh_xds" / f"{module}.py").read_text()
    imported = set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))
    assert imported <= {"hashlib", "re", "enum", "msgspec", "collections.abc", "typing", *(f".{name}" for name in (*PURE, "published"))}
