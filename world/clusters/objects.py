"""What kinds there are, how objects are selected, and how patches merge — as kube-apiserver does it, for the part that is used here."""

import re
from collections.abc import Callable
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str, str]  # group, resource, namespace, name

KINDS: dict[str, dict[str, str]] = {
    "": {
        "pods": "Pod",
        "services": "Service",
        "nodes": "Node",
        "namespaces": "Namespace",
        "serviceaccounts": "ServiceAccount",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "events": "Event",
    },
    "apps": {"deployments": "Deployment", "replicasets": "ReplicaSet"},
    "policy": {"poddisruptionbudgets": "PodDisruptionBudget"},
    "networking.k8s.io": {"networkpolicies": "NetworkPolicy"},
    "discovery.k8s.io": {"endpointslices": "EndpointSlice"},
    "rbac.authorization.k8s.io": {
        "roles": "Role",
        "rolebindings": "RoleBinding",
        "clusterroles": "ClusterRole",
        "clusterrolebindings": "ClusterRoleBinding",
    },
    "apiextensions.k8s.io": {"customresourcedefinitions": "CustomResourceDefinition"},
    "appmesh.k8s.aws": {
        "meshes": "Mesh",
        "virtualnodes": "VirtualNode",
        "virtualservices": "VirtualService",
        "virtualrouters": "VirtualRouter",
        "virtualgateways": "VirtualGateway",
        "gatewayroutes": "GatewayRoute",
        "backendgroups": "BackendGroup",
    },
}
VERSIONS = {
    "": "v1",
    "apps": "v1",
    "policy": "v1",
    "networking.k8s.io": "v1",
    "discovery.k8s.io": "v1",
    "rbac.authorization.k8s.io": "v1",
    "apiextensions.k8s.io": "v1",
    "appmesh.k8s.aws": "v1beta2",
}
CUSTOM = {"appmesh.k8s.aws"}  # groups that are served only where their CustomResourceDefinitions are installed
CLUSTER_WIDE = {"nodes", "namespaces", "clusterroles", "clusterrolebindings", "meshes", "customresourcedefinitions"}
_MERGE_KEY = {
    "conditions": "type",
    "containers": "name",
    "podIPs": "ip",
    "ports": "containerPort",
    "containerStatuses": "name",
    "env": "name",
}
_FIELDS = {"metadata.name", "metadata.namespace", "status.phase", "status.podIP", "spec.nodeName", "involvedObject.name"}


class ApiError(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    def status(self) -> Object:
        """As Kubernetes writes it."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }


def api_version(group: str) -> str:
    """apiVersion of a group's objects."""
    return f"{group}/{VERSIONS[group]}" if group else "v1"


def label_selector(text: str) -> Callable[[Object], bool]:
    """A predicate for a selector's text."""
    tests: list[Callable[[dict[str, str]], bool]] = []
    for raw in re.split(r",(?![^(]*\))", text or ""):
        part = raw.strip()
        if not part:
            continue
        if found := re.fullmatch(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)", part):
            values = {value.strip() for value in found[3].split(",")}
            inside = found[2] == "in"
            tests.append(lambda labels, k=found[1], v=values, i=inside: (labels.get(k) in v) == i)
        elif found := re.fullmatch(r"([^!=\s]+)\s*(==|=|!=)\s*(\S*)", part):
            equal = found[2] != "!="
            tests.append(lambda labels, k=found[1], v=found[3], e=equal: (labels.get(k) == v) == e)
        elif part.startswith("!"):
            tests.append(lambda labels, k=part[1:].strip(): k not in labels)
        elif re.fullmatch(r"\S+", part):
            tests.append(lambda labels, k=part: k in labels)
        else:
            raise ApiError(400, "BadRequest", f"unable to parse requirement: {part!r}")
    return lambda item: all(test(item["metadata"].get("labels") or {}) for test in tests)


def matches(selector: Object | None, labels: dict[str, str]) -> bool:
    """metav1.LabelSelector's matchLabels; a Service's plain map is given as {"matchLabels": map}."""
    wanted = (selector or {}).get("matchLabels") or {}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def field_selector(text: str) -> Callable[[Object], bool]:
    """A predicate for the few fields that can be selected by."""
    tests: list[Callable[[Object], bool]] = []
    for part in filter(None, (text or "").split(",")):
        found = re.fullmatch(r"([^!=]+)(!?)={1,2}(.*)", part)
        if not found or found[1] not in _FIELDS:
            raise ApiError(400, "BadRequest", f"field label not supported: {part}")

        def test(item: Object, path: str = found[1], negated: bool = bool(found[2]), wanted: str = found[3]) -> bool:
            value: Any = item
            for name in path.split("."):
                value = (value or {}).get(name)
            return ((value or "") == wanted) != negated

        tests.append(test)
    return lambda item: all(test(item) for test in tests)


def merged(old: Any, new: Any, *, strategic: bool, key: str = "") -> Any:
    """`old` with a merge patch (RFC 7386) or strategic merge patch applied."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = dict(old)
        for name, value in new.items():
            if value is None:
                found.pop(name, None)
            else:
                found[name] = merged(old.get(name), value, strategic=strategic, key=name)
        return found
    if strategic and isinstance(old, list) and isinstance(new, list) and key in _MERGE_KEY:
        by = _MERGE_KEY[key]
        items, fresh = list(old), []
        for item in new:
            place = next((i for i, other in enumerate(items) if other.get(by) == item.get(by)), None)
            if place is None:
                fresh.append(item)
            else:
                items[place] = merged(items[place], item, strategic=True)
        return fresh + items  # new ones come first
    if isinstance(new, dict):
        return {name: merged(None, value, strategic=strategic, key=name) for name, value in new.items() if value is not None}
    return new


def json_patched(old: Object, operations: list[Object]) -> Object:
    """RFC 6902: add, replace, remove, test."""
    import copy

    found = copy.deepcopy(old)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        place: Any = found
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        verb = operation["op"]
        if isinstance(place, list):
            index = len(place) if last == "-" else int(last)
            if verb == "add":
                place.insert(index, operation["value"])
            elif verb == "replace":
                place[index] = operation["value"]
            elif verb == "remove":
                del place[index]
        elif verb in ("add", "replace"):
            place[last] = operation["value"]
        elif verb == "remove":
            if last not in place:
                raise ApiError(422, "Invalid", f"nothing to remove at {operation['path']}")
            del place[last]
        if verb == "test" and (place[int(last)] if isinstance(place, list) else place.get(last)) != operation["value"]:
            raise ApiError(422, "Invalid", f"testing value {operation['path']} failed")
    return found
