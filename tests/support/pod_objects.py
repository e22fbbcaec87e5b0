"""Pods as objects of the Kubernetes API."""

from typing import Any

from tests.conformance.kubernetes_tiers import Object


def pod(name: str, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    """A pod that no scheduler takes, so that nobody but the test changes it."""
    meta = {"name": name, "labels": labels} if labels else {"name": name}
    return {"metadata": meta, "spec": {"schedulerName": "nobody", "containers": [{"name": "app", "image": "x"}], **spec}}
