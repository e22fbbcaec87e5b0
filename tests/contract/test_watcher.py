"""The watcher's manifests, image and role: it may see pods and put events on the hint bus, and nothing else, anywhere."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from crossmesh_watcher import bus, settings

from tests.support.template_resources import RESOURCES, TEMPLATE
from world.clusters.auth import allowed
from world.clusters.client import RESOURCE
from world.clusters.objects import CLUSTER_WIDE
from world.clusters.store import Store
from world.deploy import ROOT

WATCHER = ROOT / "watcher"
ACCOUNT = ("system:serviceaccount:crossmesh:crossmesh-watcher", frozenset({"system:serviceaccounts", "system:authenticated"}))


@pytest.fixture(scope="module")
def objects() -> dict[str, dict[str, Any]]:
    """What `kubectl apply -k` would send, by kind."""
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(WATCHER / "deploy" / "example")]
    built = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {item["kind"]: item for item in yaml.safe_load_all(built)}


@pytest.fixture
def store(objects: dict[str, dict[str, Any]]) -> Store:
    """A cluster's objects with the watcher's among them, as the world's API takes them."""
    found = Store()
    for kind, item in objects.items():
        group, resource = RESOURCE[kind]
        namespace = "" if resource in CLUSTER_WIDE else item["metadata"]["namespace"]
        found.create((group, resource, namespace, item["metadata"]["name"]), item)
    return found


def test_the_cluster_lets_it_see_pods_everywhere_and_do_nothing_else(store: Store) -> None:
    def may(verb: str, resource: str, namespace: str = "appmesh-demo", group: str = "", sub: str = "") -> bool:
        return allowed(store, ACCOUNT, verb, group, resource, namespace, "", sub)

    assert may("list", "pods")
    assert may("watch", "pods")
    others = ["get", "create", "update", "patch", "delete", "deletecollection"]
    assert not any(may(verb, "pods") for verb in others)
    assert not any(may(verb, "pods", sub=sub) for verb in [*others, "list"] for sub in ("exec", "log", "status", "eviction"))
    resources = [("", "secrets"), ("", "configmaps"), ("", "nodes"), ("apps", "deployments"), ("rbac.authorization.k8s.io", "clusterroles")]
    assert not any(may(verb, resource, group=group) for group, resource in resources for verb in [*others, "list", "watch"])


def test_another_account_gets_nothing_from_its_binding(store: Store) -> None:
    assert not allowed(store, ("system:serviceaccount:crossmesh:default", ACCOUNT[1]), "list", "", "pods", "appmesh-demo", "", "")
    assert not allowed(store, ("system:serviceaccount:other:crossmesh-watcher", ACCOUNT[1]), "list", "", "pods", "appmesh-demo", "", "")


def test_its_pod_is_without_privilege_and_bounded(objects: dict[str, dict[str, Any]]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(pod)
    assert container["resources"]["limits"]["memory"]
    assert {container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")} == {"/livez", "/readyz"}
    assert objects["Namespace"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_manifests_give_exactly_the_settings_that_it_asks_for(objects: dict[str, dict[str, Any]]) -> None:
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == [{"configMapRef": {"name": objects["ConfigMap"]["metadata"]["name"]}}]
    found = settings.read(objects["ConfigMap"]["data"])
    assert container["ports"] == [{"name": "health", "containerPort": found.health[1]}]
    told = set(re.findall(r"`(CROSSMESH_\w+)`", (WATCHER / "README.md").read_text()))
    assert told == {getattr(settings, name) for name in ("CLUSTER", "BUS", "NAMESPACES", "SELECTOR", "HEALTH", "FOLDER")}


def test_its_role_is_for_this_service_account_and_puts_events_on_one_bus(objects: dict[str, dict[str, Any]]) -> None:
    account = objects["ServiceAccount"]["metadata"]
    for name in ("WatcherRole", "WatcherIrsaRole"):
        (policy,) = RESOURCES[name]["Properties"]["Policies"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Action"]) == ("Allow", ["events:PutEvents"])
        assert statement["Resource"] == {"Fn::GetAtt": ["Hints", "Arn"]}
        assert "ManagedPolicyArns" not in RESOURCES[name]["Properties"]
    (trust,) = RESOURCES["WatcherRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    assert trust["Action"] == ["sts:AssumeRole", "sts:TagSession"]
    assert trust["Condition"]["StringEquals"] == {
        "aws:SourceAccount": {"Ref": "AWS::AccountId"},
        "aws:RequestTag/eks-cluster-arn": {"Ref": "EksClusterArns"},
        "aws:RequestTag/kubernetes-namespace": account["namespace"],
        "aws:RequestTag/kubernetes-service-account": account["name"],
    }


def test_the_role_for_irsa_is_whole_json_and_asks_for_subject_and_audience() -> None:
    text = RESOURCES["WatcherIrsaRole"]["Properties"]["AssumeRolePolicyDocument"]["Fn::Sub"]
    values = {"AWS::Partition": "aws", "AWS::AccountId": "111122223333", "WatcherOidcIssuer": "oidc.eks.us-east-1.amazonaws.com/id/A1"}
    values["AWS::URLSuffix"] = "amazonaws.com.cn"
    (statement,) = json.loads(re.sub(r"\$\{([\w:]+)\}", lambda found: values[found[1]], text))["Statement"]
    issuer = values["WatcherOidcIssuer"]
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::111122223333:oidc-provider/{issuer}"}
    assert statement["Condition"] == {
        "StringEquals": {
            f"{issuer}:aud": ["sts.amazonaws.com", "sts.amazonaws.com.cn"],
            f"{issuer}:sub": "system:serviceaccount:crossmesh:crossmesh-watcher",
        }
    }
    pattern = re.compile(TEMPLATE["Parameters"]["WatcherOidcIssuer"]["AllowedPattern"])
    assert pattern.match(issuer)
    assert pattern.match("")
    assert not pattern.match(f"https://{issuer}")
    assert not pattern.match('x/"}')


def test_its_hints_are_what_the_rule_takes() -> None:
    pattern = RESOURCES["LookHint"]["Properties"]["EventPattern"]
    assert bus.SOURCE in pattern["source"]
    assert bus.DETAIL_TYPE in pattern["detail-type"]


def test_what_it_installs_is_pinned_hashed_and_the_projects() -> None:
    def pins(file: Path) -> set[str]:
        return set(re.findall(r"^(\S+==\S+)", file.read_text(), re.MULTILINE))

    own = pins(WATCHER / "requirements.txt")
    assert own <= pins(ROOT / "requirements" / "dev.txt"), "run `make lock`"
    names = {pin.partition("==")[0] for pin in own}
    wanted = tomllib.loads((WATCHER / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {re.split(r"[<>=!]", line)[0] for line in wanted} <= names
    text = (WATCHER / "requirements.txt").read_text()
    for pin in own:
        assert re.search(rf"^{re.escape(pin)} [^\n]*\\\n\s+--hash=sha256:[0-9a-f]{{64}}", text, re.MULTILINE), pin
    assert "://" not in text


REFUSALS = {  # what kubectl is given below the folder `deploy`, and what it says; each has its row in the README
    "beside": "evalsymlink failure on",
    ".": "unable to find one of 'kustomization.yaml'",
    "example/kustomization.yaml": "file is not directory",
    "both": "Found multiple kustomization files",
    "misspelled": "invalid Kustomization:",
}


@pytest.mark.parametrize("folder", REFUSALS)
def test_what_kustomize_itself_refuses_is_in_the_readme_with_its_fix(tmp_path: Path, folder: str) -> None:
    deploy = tmp_path / "deploy"
    shutil.copytree(WATCHER / "deploy", deploy)
    example = (deploy / "example" / "kustomization.yaml").read_text()
    for name, text in (("beside", example.replace("../base", "../../base")), ("misspelled", example.replace("resources:", "resuorces:"))):
        (deploy / name).mkdir()
        (deploy / name / "kustomization.yaml").write_text(text)
    shutil.copytree(deploy / "example", deploy / "both")
    (deploy / "both" / "kustomization.yml").write_text(example)
    command = [str(Path(sys.executable).parent / "kubectl"), "kustomize", str(deploy / folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert REFUSALS[folder] in run.stderr
    rows = [line for line in (WATCHER / "README.md").read_text().splitlines() if line.startswith("| `")]
    assert sum(REFUSALS[folder].split("'")[0].strip() in row for row in rows) == 1
