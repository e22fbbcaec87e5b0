"""What kube-apiserver adds to an object that leaves it out, for the kinds whose fields somebody reads (Kubernetes API reference, v1 and apps/v1)."""

from typing import Any

Object = dict[str, Any]
_TOLERATED_S = 300  # the DefaultTolerationSeconds admission plugin's


def defaulted(resource: str, item: Object) -> None:
    """Fill in `item`, an object being created."""
    spec = item.get("spec")
    if not isinstance(spec, dict):
        return
    if resource == "pods":
        _pod(spec)
        spec.setdefault("enableServiceLinks", True)
        spec.setdefault("priority", 0)
        spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
        spec.setdefault("tolerations", [_tolerates("not-ready"), _tolerates("unreachable")])
    elif resource in ("deployments", "replicasets"):
        spec.setdefault("replicas", 1)
        _pod(spec.setdefault("template", {}).setdefault("spec", {}))
        if resource == "deployments":
            spec.setdefault("progressDeadlineSeconds", 600)
            spec.setdefault("revisionHistoryLimit", 10)
            strategy = spec.setdefault("strategy", {})
            if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
                rolling = strategy.setdefault("rollingUpdate", {})
                rolling.setdefault("maxSurge", "25%")
                rolling.setdefault("maxUnavailable", "25%")


def _pod(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or ():
        image = container.get("image", "").rpartition("/")[2]
        container.setdefault("imagePullPolicy", "Always" if ":" not in image or image.endswith(":latest") else "IfNotPresent")
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("resources", {})
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _tolerates(condition: str) -> Object:
    return {"key": f"node.kubernetes.io/{condition}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATED_S}
