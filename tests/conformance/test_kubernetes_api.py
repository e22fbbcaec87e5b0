"""What a Kubernetes API does, on both tiers: the embedded one must answer as kube-apiserver answers, field by field.

Each test asserts what is expected of either; then its answers on the two are compared (conftest). What is not compared: values that no two servers
share (uids, versions, times, addresses, made-up name ends), `managedFields`, and the words of a Status. `DIFFERENT` lists what else is known to differ.
"""

import threading
import time
from typing import Any

import pytest

from tests.conformance.kubernetes_tiers import Api, Object, wait_for
from tests.support.pod_objects import pod

DIFFERENT = """
- `managedFields`: the embedded tier does not track who set what; server-side apply there is a merge.
- Kubernetes puts its node's zone and region on a pod as labels, from 1.35 on (PodTopologyLabels); the embedded tier is as EKS 1.33.
- A namespace goes at once in the embedded tier; Kubernetes ends its content first and shows it Terminating meanwhile.
- Legacy tokens of service accounts, admission plugins, validation beyond names and containers, PATCH by apply, OpenAPI: Kubernetes only.
- Kinds beyond those crossmesh, its watcher and the demo use: Kubernetes only.
"""


def ready(address: str, state: str = "True") -> Object:
    """A status as a kubelet writes it."""
    condition = {"type": "Ready", "status": state, "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [condition]}}


def filled(api: Api, count: int, labels: dict[str, str] | None = None) -> None:
    """p00, p01, …"""
    for index in range(count):
        assert api.create(pod(f"p{index:02}", labels)).status == 201


def in_cluster(name: str) -> Any:
    """Ask this cluster instead of eksc1."""

    def mark(test: Any) -> Any:
        test.cluster = name
        return test

    return mark


# --- objects -----------------------------------------------------------------------------------------------------------------------------------


def test_create_and_read(api: Api) -> None:
    made = api.create(pod("one", {"app": "x"}))
    assert made.status == 201
    meta = made.body["metadata"]
    assert meta["namespace"] == api.namespace
    assert meta["uid"]
    assert meta["creationTimestamp"].endswith("Z")
    read = api.get(f"{api.pods}/one")
    assert read.body["metadata"]["uid"] == meta["uid"]
    assert read.version == made.version
    assert made.body["status"]["phase"] == "Pending"


def test_list_shape(api: Api) -> None:
    filled(api, 2)
    found = api.get(api.pods)
    assert found.body["kind"] == "PodList"
    assert found.names == ["p00", "p01"]
    assert all("kind" not in item and "apiVersion" not in item for item in found.items), "items of a list do not repeat the kind"
    assert int(found.version) >= int(found.items[1]["metadata"]["resourceVersion"])


def test_generate_name(api: Api) -> None:
    names = {api.create({**pod(""), "metadata": {"generateName": "made-"}}).body["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("made-") and len(name) == 10 for name in names)


def test_refused_objects(api: Api) -> None:
    api.create(pod("there"))
    assert api.create(pod("there")).body["reason"] == "AlreadyExists"
    assert api.create(pod("there")).status == 409
    assert api.create(pod("x"), "/api/v1/namespaces/nowhere/pods").status == 404
    assert api.get(f"{api.pods}/missing").status == 404
    assert api.delete(f"{api.pods}/missing").status == 404
    assert api.patch(f"{api.pods}/missing", {"metadata": {"labels": {"a": "b"}}}).status == 404
    assert api.create(pod("Not_A_Name")).status == 422
    assert api.create({**pod("empty"), "spec": {"containers": []}}).status == 422
    assert api.get("/api/v1/widgets").status == 404
    assert api.get("/apis/nothing.example/v1/widgets").status == 404


def test_replace_and_stale_version(api: Api) -> None:
    first = api.create(pod("one", {"step": "1"}))
    changed = {**first.body, "metadata": {**first.body["metadata"], "labels": {"step": "2"}}}
    second = api.ask("PUT", f"{api.pods}/one", changed)
    assert second.status == 200
    assert second.body["metadata"]["labels"] == {"step": "2"}
    assert int(second.version) > int(first.version)
    assert api.ask("PUT", f"{api.pods}/one", changed).body["reason"] == "Conflict"
    stale = {"metadata": {"resourceVersion": first.version, "labels": {"step": "3"}}}
    assert api.patch(f"{api.pods}/one", stale).status == 409
    assert api.patch(f"{api.pods}/one", {"metadata": {"labels": {"step": "3"}}}).status == 200


def test_unchanged_write_makes_no_version(api: Api) -> None:
    first = api.create(pod("one", {"a": "b"}))
    assert api.patch(f"{api.pods}/one", {"metadata": {"labels": {"a": "b"}}}).version == first.version


def test_merge_patch(api: Api) -> None:
    api.create(pod("one", {"keep": "1", "drop": "2"}))
    found = api.patch(f"{api.pods}/one", {"metadata": {"labels": {"drop": None, "new": "3"}, "annotations": {"note": "x"}}})
    assert found.body["metadata"]["labels"] == {"keep": "1", "new": "3"}


def test_json_patch(api: Api) -> None:
    api.create(pod("one", {"a/b": "1", "c": "2"}))
    right = [
        {"op": "test", "path": "/metadata/labels/c", "value": "2"},
        {"op": "replace", "path": "/metadata/labels/c", "value": "3"},
        {"op": "remove", "path": "/metadata/labels/a~1b"},
        {"op": "add", "path": "/metadata/labels/d", "value": "4"},
    ]
    assert api.patch(f"{api.pods}/one", right, "json").body["metadata"]["labels"] == {"c": "3", "d": "4"}
    wrong = [{"op": "test", "path": "/metadata/labels/c", "value": "nine"}, {"op": "remove", "path": "/metadata/labels/c"}]
    assert api.patch(f"{api.pods}/one", wrong, "json").status == 422
    assert api.patch(f"{api.pods}/one", [{"op": "remove", "path": "/metadata/labels/none"}], "json").status == 422
    assert api.get(f"{api.pods}/one").body["metadata"]["labels"] == {"c": "3", "d": "4"}


def test_unknown_patch_type(api: Api) -> None:
    api.create(pod("one"))
    assert api.ask("PATCH", f"{api.pods}/one", {"metadata": {}}, "application/json").status == 415


def test_status_subresource(api: Api) -> None:
    api.create(pod("one", {"app": "x"}))
    ignored = api.patch(f"{api.pods}/one", {"status": {"phase": "Failed"}})
    assert ignored.status == 200
    assert ignored.body["status"]["phase"] == "Pending"
    status = api.patch(f"{api.pods}/one/status", {**ready("10.9.0.1"), "metadata": {"labels": {"more": "y"}}, "spec": {"nodeName": "ignored"}})
    assert status.body["status"]["podIP"] == "10.9.0.1"
    assert status.body["metadata"]["labels"]["more"] == "y"
    assert "nodeName" not in status.body["spec"]
    whole = api.get(f"{api.pods}/one").body
    replaced = api.ask("PUT", f"{api.pods}/one/status", {**whole, "status": {**whole["status"], "phase": "Succeeded"}})
    assert replaced.body["status"]["phase"] == "Succeeded"


def test_strategic_merge_of_conditions(api: Api) -> None:
    api.create(pod("one"))
    api.patch(f"{api.pods}/one/status", ready("10.9.0.2"), "strategic-merge")
    gate = {"type": "world/gate", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    merged = api.patch(f"{api.pods}/one/status", {"status": {"conditions": [gate]}}, "strategic-merge").body["status"]["conditions"]
    assert {c["type"]: c["status"] for c in merged} == {"Ready": "True", "world/gate": "True"}
    worse = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    merged = api.patch(f"{api.pods}/one/status", {"status": {"conditions": [worse]}}, "strategic-merge").body["status"]["conditions"]
    assert {c["type"]: c["status"] for c in merged} == {"Ready": "False", "world/gate": "True"}
    bare = api.patch(f"{api.pods}/one/status", {"status": {"conditions": [worse]}}).body["status"]["conditions"]
    assert [c["type"] for c in bare] == ["Ready"], "a plain merge patch replaces the list"


def test_delete_with_precondition(api: Api) -> None:
    made = api.create(pod("one"))
    assert api.delete(f"{api.pods}/one", preconditions={"uid": "another"}).status == 409
    assert api.delete(f"{api.pods}/one", preconditions={"uid": made.body["metadata"]["uid"]}).status == 200
    assert api.get(f"{api.pods}/one").status == 404


def test_a_write_meant_for_another_uid(api: Api) -> None:
    made = api.create(pod("one"))
    other = {"metadata": {"uid": "another", "labels": {"a": "b"}}}
    assert api.patch(f"{api.pods}/one", other).status == 422
    assert api.patch(f"{api.pods}/one/status", other, "strategic-merge").status == 422
    assert api.ask("PUT", f"{api.pods}/one", {**made.body, "metadata": {**made.body["metadata"], "uid": "another"}}).status == 409
    assert api.patch(f"{api.pods}/one", {"metadata": {"uid": made.body["metadata"]["uid"], "labels": {"a": "b"}}}).status == 200


def test_finalizer_holds(api: Api) -> None:
    held = pod("held")
    held["metadata"]["finalizers"] = ["world.example/hold"]
    api.create(held)
    api.delete(f"{api.pods}/held", gracePeriodSeconds=0)
    assert "deletionTimestamp" in api.get(f"{api.pods}/held").body["metadata"]
    api.patch(f"{api.pods}/held", {"metadata": {"finalizers": None}})
    assert api.get(f"{api.pods}/held").status == 404


# --- selectors ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=x", ["a", "b"]),
        ("app==x,tier=1", ["a"]),
        ("app!=x", ["c", "d"]),
        ("app in (x, y)", ["a", "b", "c"]),
        ("app notin (x)", ["c", "d"]),
        ("tier", ["a", "c"]),
        ("!tier", ["b", "d"]),
        ("app in (x),!tier", ["b"]),
        ("app=", ["d"]),
    ],
)
def test_label_selectors(api: Api, selector: str, names: list[str]) -> None:
    for name, labels in (("a", {"app": "x", "tier": "1"}), ("b", {"app": "x"}), ("c", {"app": "y", "tier": "2"}), ("d", {"app": ""})):
        api.create(pod(name, labels))
    assert api.get(api.pods, labelSelector=selector).names == names


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("metadata.name=a", ["a"]),
        ("metadata.name!=a", ["b", "c"]),
        ("status.phase=Running", ["b"]),
        ("status.phase!=Running,metadata.name!=c", ["a"]),
        ("status.podIP=10.9.0.7", ["b"]),
        ("spec.nodeName=", ["a", "b"]),
        ("spec.nodeName=eksc1-node-none", ["c"]),
    ],
)
def test_field_selectors(api: Api, selector: str, names: list[str]) -> None:
    api.create(pod("a"))
    api.create(pod("b"))
    api.create(pod("c", nodeName="eksc1-node-none"))
    api.patch(f"{api.pods}/b/status", ready("10.9.0.7"))
    assert api.get(api.pods, fieldSelector=selector).names == names


def test_selectors_that_mean_nothing(api: Api) -> None:
    assert api.get(api.pods, labelSelector="app in x").status == 400
    assert api.get(api.pods, fieldSelector="spec.image=x").status == 400


# --- paging ------------------------------------------------------------------------------------------------------------------------------------


def test_pages_are_of_one_moment(api: Api) -> None:
    filled(api, 5)
    first = api.get(api.pods, limit=2)
    assert first.names == ["p00", "p01"]
    assert first.body["metadata"]["remainingItemCount"] == 3
    api.create(pod("p02-new"))
    api.delete(f"{api.pods}/p03", gracePeriodSeconds=0)
    second = api.get(api.pods, **{"limit": 2, "continue": first.body["metadata"]["continue"]})
    third = api.get(api.pods, **{"limit": 2, "continue": second.body["metadata"]["continue"]})
    assert second.names + third.names == ["p02", "p03", "p04"]
    assert second.body["metadata"]["remainingItemCount"] == 1
    assert first.version == second.version == third.version
    assert "continue" not in third.body["metadata"]
    assert "remainingItemCount" not in third.body["metadata"]
    assert api.get(api.pods).names == ["p00", "p01", "p02", "p02-new", "p04"]


def test_pages_of_a_selection_do_not_count_the_rest(api: Api) -> None:
    filled(api, 3, {"app": "x"})
    first = api.get(api.pods, limit=2, labelSelector="app=x")
    assert "remainingItemCount" not in first.body["metadata"]
    assert api.get(api.pods, **{"limit": 2, "labelSelector": "app=x", "continue": first.body["metadata"]["continue"]}).names == ["p02"]


def test_a_page_that_holds_all_has_no_next(api: Api) -> None:
    filled(api, 2)
    assert "continue" not in api.get(api.pods, limit=2).body["metadata"]
    assert api.get(api.pods, limit=0).names == ["p00", "p01"]


def test_a_continue_that_is_none(api: Api) -> None:
    assert api.get(api.pods, **{"limit": 2, "continue": "garbage"}).status == 400


@in_cluster("eksc2")
def test_expired_page(api: Api) -> None:
    filled(api, 3)
    first = api.get(api.pods, limit=1)
    later = api.create(pod("later"))
    api.tier.compact(api.cluster, later.version)
    gone = api.get(api.pods, **{"limit": 1, "continue": first.body["metadata"]["continue"]})
    assert gone.status == 410
    assert gone.body["reason"] == "Expired"


# --- watches -----------------------------------------------------------------------------------------------------------------------------------


def later(what: Any) -> threading.Thread:
    """Do it in half a second, while a watch runs."""

    def run() -> None:
        time.sleep(0.5)
        what()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_watch_from_a_list(api: Api) -> None:
    filled(api, 1)
    version = api.get(api.pods).version

    def change() -> None:
        api.ask("POST", api.pods, pod("new"), record=False)
        api.patch(f"{api.pods}/new", {"metadata": {"labels": {"a": "b"}}}, record=False)
        api.ask("DELETE", f"{api.pods}/new", {"gracePeriodSeconds": 0}, record=False)

    changes = later(change)
    events = api.watch(api.pods, resourceVersion=version, timeoutSeconds=3)
    changes.join()
    assert [(kind, item["metadata"]["name"]) for kind, item in events] == [
        ("ADDED", "new"),
        ("MODIFIED", "new"),
        ("MODIFIED", "new"),
        ("DELETED", "new"),
    ]
    assert [item["metadata"].get("deletionGracePeriodSeconds") for _, item in events] == [None, None, 0, 0], "marked, then gone"
    versions = [int(item["metadata"]["resourceVersion"]) for _, item in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


def test_watch_of_a_selection(api: Api) -> None:
    version = api.get(api.pods).version

    def change() -> None:
        api.ask("POST", api.pods, pod("comes", {"app": "y"}), record=False)
        api.ask("POST", api.pods, pod("stays", {"app": "x"}), record=False)
        api.patch(f"{api.pods}/comes", {"metadata": {"labels": {"app": "x"}}}, record=False)
        api.patch(f"{api.pods}/comes", {"metadata": {"labels": {"more": "z"}}}, record=False)
        api.patch(f"{api.pods}/stays", {"metadata": {"labels": {"app": "y"}}}, record=False)
        api.ask("DELETE", f"{api.pods}/stays", {"gracePeriodSeconds": 0}, record=False)

    changes = later(change)
    events = api.watch(api.pods, resourceVersion=version, labelSelector="app=x", timeoutSeconds=3)
    changes.join()
    found = [(kind, item["metadata"]["name"]) for kind, item in events]
    assert found == [("ADDED", "stays"), ("ADDED", "comes"), ("MODIFIED", "comes"), ("DELETED", "stays")], "leaving a selection is a DELETED"


def test_watch_without_a_version_begins_with_what_is_there(api: Api) -> None:
    filled(api, 2)
    events = api.watch(api.pods, timeoutSeconds=1)
    assert sorted((kind, item["metadata"]["name"]) for kind, item in events) == [("ADDED", "p00"), ("ADDED", "p01")]


def test_watch_bookmarks(api: Api) -> None:
    filled(api, 1)
    version = api.get(api.pods).version
    events = api.watch(api.pods, resourceVersion=version, timeoutSeconds=3, allowWatchBookmarks="true")
    assert {kind for kind, _ in events} <= {"BOOKMARK"}
    if not events and api.tier.name == "real":
        return  # Kubernetes promises no bookmark within any time (API concepts, watch bookmarks)
    item = events[-1][1]
    assert item["kind"] == "Pod"
    assert int(item["metadata"]["resourceVersion"]) >= int(version)


def test_a_watch_that_asks_for_what_is_there_is_told_where_that_ends(api: Api) -> None:
    """`kubectl delete` and `kubectl wait` of 1.35 and later wait for that bookmark."""
    filled(api, 2)
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true", "timeoutSeconds": 2}
    events = api.watch(api.pods, **asked)
    assert [kind for kind, _ in events[:3]] == ["ADDED", "ADDED", "BOOKMARK"]
    assert events[2][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


@in_cluster("eksc2")
def test_watch_from_a_forgotten_version(api: Api) -> None:
    old = api.create(pod("one"))
    new = api.create(pod("two"))
    api.tier.compact(api.cluster, api.create(pod("three")).version)
    events = api.watch(api.pods, resourceVersion=str(int(old.version) - 1), timeoutSeconds=2)
    assert int(new.version) > int(old.version)
    assert [kind for kind, _ in events] == ["ERROR"]
    assert events[0][1]["code"] == 410


# --- who may -----------------------------------------------------------------------------------------------------------------------------------


def test_tokens(api: Api) -> None:
    assert api.ask("GET", api.pods, token="").status == 401
    assert api.ask("GET", api.pods, token="nonsense").status == 401
    assert api.ask("GET", api.pods, token="k8s-aws-v1.bm9uc2Vuc2U").status == 401
    other = api.tier.clusters["eksc2"].token
    assert api.ask("GET", api.pods, token=other).status == 401, "another cluster's administrator"


def test_eks_tokens(api: Api) -> None:
    tier = api.tier
    reader = tier.role("reader-of-one", {"eksc1": ["crossmesh:readers"]})
    stranger = tier.role("stranger", {})
    nobody = tier.role("in-no-group", {"eksc1": ["some:group"]})
    path, other = "/api/v1/namespaces/kube-system", "/api/v1/namespaces/default"

    def status(keys: Any, where: str = "eksc1") -> int:
        return api.ask("GET", path, token=tier.token(keys, where)).status

    wait_for(lambda: api.ask("GET", path, token=tier.token(reader, "eksc1"), record=False).status == 200, 10, "the access entry's effect")
    wait_for(lambda: api.ask("GET", path, token=tier.token(nobody, "eksc1"), record=False).status == 403, 10, "the other entry's effect")
    assert status(reader) == 200
    assert status(reader, "eksc2") == 401, "a token made for another cluster's name"
    assert status(stranger) == 401, "no access entry"
    assert status(nobody) == 403, "an access entry without a role"
    forged = type(reader)(reader.access_key, "wrong" * 8, reader.token)
    assert status(forged) == 401
    assert api.ask("GET", other, token=tier.token(reader, "eksc1")).status == 403, "resourceNames: kube-system alone"
    assert api.ask("GET", api.pods, token=tier.token(reader, "eksc1")).status == 200
    assert api.ask("GET", "/api/v1/nodes", token=tier.token(reader, "eksc1"), record=False).status == 200
    assert api.ask("POST", api.pods, pod("x"), token=tier.token(reader, "eksc1")).body["reason"] == "Forbidden"
    assert api.ask("GET", "/api/v1/namespaces/default/secrets", token=tier.token(reader, "eksc1"), record=False).status in (403, 404)


def test_rights_follow_their_bindings(api: Api) -> None:
    keys = api.tier.role("bound", {"eksc1": ["test:bound"]})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{api.namespace}"
    api.create({"metadata": {"name": "pods"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}, f"{rbac}/roles")
    subject = {"kind": "Group", "name": "test:bound", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {
        "metadata": {"name": "pods"},
        "roleRef": {"kind": "Role", "name": "pods", "apiGroup": "rbac.authorization.k8s.io"},
        "subjects": [subject],
    }
    api.create(binding, f"{rbac}/rolebindings")

    def status(path: str) -> int:
        return api.ask("GET", path, token=api.tier.token(keys, "eksc1"), record=False).status

    wait_for(lambda: status(api.pods) == 200, 10, "the binding's effect")
    assert status("/api/v1/namespaces/default/pods") == 403
    assert status("/api/v1/pods") == 403
    assert status(f"/api/v1/namespaces/{api.namespace}/services") == 403
    api.delete(f"{rbac}/rolebindings/pods")
    wait_for(lambda: status(api.pods) == 403, 10, "the end of the binding")


def test_access_reviews(api: Api) -> None:
    keys = api.tier.role("reviewed", {"eksc1": ["crossmesh:readers"]})
    token = api.tier.token(keys, "eksc1")
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    def may(verb: str, resource: str, token: str | None) -> bool:
        about = {"namespace": api.namespace, "verb": verb, "resource": resource}
        found: bool = api.create({"spec": {"resourceAttributes": about}}, path, token=token, record=False).body["status"]["allowed"]
        return found

    wait_for(lambda: api.ask("GET", api.pods, token=token, record=False).status == 200, 10, "the access entry's effect")
    assert [may(verb, "pods", token) for verb in ("get", "list", "delete", "create")] == [True, True, False, False]
    assert may("delete", "pods", None)
    who = api.create({}, "/apis/authentication.k8s.io/v1/selfsubjectreviews", token=token, record=False).body["status"]["userInfo"]
    assert who["username"].endswith("role/reviewed")
    assert {"crossmesh:readers", "system:authenticated"} <= set(who["groups"])


# --- other kinds -------------------------------------------------------------------------------------------------------------------------------


def test_namespaces(api: Api) -> None:
    own = api.get(f"/api/v1/namespaces/{api.namespace}")
    assert own.body["metadata"]["labels"]["kubernetes.io/metadata.name"] == api.namespace
    assert own.body["status"]["phase"] == "Active"
    assert api.get("/api/v1/namespaces/kube-system").status == 200
    api.create({"metadata": {"name": "short-lived"}}, "/api/v1/namespaces")
    api.create(pod("inside"), "/api/v1/namespaces/short-lived/pods")
    api.ask("DELETE", "/api/v1/namespaces/short-lived", record=False)
    wait_for(lambda: api.ask("GET", "/api/v1/namespaces/short-lived", record=False).status == 404, 20, "the namespace's end")
    assert api.get("/api/v1/namespaces/short-lived/pods/inside").status == 404


def test_nodes(api: Api) -> None:
    found = api.ask("GET", "/api/v1/nodes", record=False)
    zones = {item["metadata"]["name"]: item["metadata"]["labels"]["topology.kubernetes.io/zone"] for item in found.items}
    assert zones == {"eksc1-node-1": "us-east-1a", "eksc1-node-2": "us-east-1b"}
    assert all(
        {"type": "Ready", "status": "True"}.items() <= c.items() for n in found.items for c in n["status"]["conditions"] if c["type"] == "Ready"
    )


def test_services(api: Api) -> None:
    path = f"/api/v1/namespaces/{api.namespace}/services"
    body = {
        "metadata": {"name": "front"},
        "spec": {"type": "LoadBalancer", "selector": {"app": "front"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    assert api.create(body, path, record=False).status == 201
    found = wait_for(
        lambda: api.ask("GET", f"{path}/front", record=False).body["status"].get("loadBalancer", {}).get("ingress"),
        10,
        "a load balancer's name",
    )
    assert found[0]["hostname"].endswith(".us-east-1.elb.amazonaws.com")


def test_mesh_kinds(api: Api) -> None:
    path = f"/apis/appmesh.k8s.aws/v1beta2/namespaces/{api.namespace}/virtualnodes"
    body = {
        "apiVersion": "appmesh.k8s.aws/v1beta2",
        "kind": "VirtualNode",
        "metadata": {"name": "blue"},
        "spec": {"podSelector": {"matchLabels": {"version": "blue"}}, "listeners": [{"portMapping": {"port": 8080, "protocol": "http"}}]},
    }
    assert api.create(body, path).status == 201
    listed = api.get(path)
    assert listed.body["kind"] == "VirtualNodeList"
    assert listed.items[0]["spec"] == body["spec"]


def test_version(api: Api) -> None:
    found = api.ask("GET", "/version", record=False).body
    assert (found["major"], found["minor"]) == ("1", "37")
