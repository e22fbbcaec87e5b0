"""Answers of a Kubernetes API that lies, and the view that an observer makes of them."""

from typing import Any

import pytest
from crossmesh.adapters.eks import Access
from crossmesh.adapters.kubernetes import api
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
from crossmesh.core.observed import Seen, Unseen
from crossmesh.core.settings import ClusterSettings
from crossmesh.ports import PodRef

CLUSTER = ClusterSettings(name="one", eks="one", region="us-east-1", controller="none")
TOKEN = "k8s-aws-v1.c2VjcmV0LXRva2Vu"
REGISTERED = (PodRef(namespace="shop", name="a", uid="u1"), PodRef(namespace="shop", name="b", uid="u2"))


class Liar:
    """In the place of the transport: answers what it was given, over and over."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.answers, self.turn = answers, 0

    def request(self, *_: Any) -> tuple[int, bytes]:
        self.turn += 1
        return self.answers[(self.turn - 1) % len(self.answers)]

    def sever(self) -> None:
        """It holds no connections."""


class NoEks:
    """DescribeCluster and tokens without AWS."""

    def access(self, *_: Any) -> Access:
        return Access(endpoint="https://127.0.0.1:1", ca=b"")

    def token(self, *_: Any) -> str:
        return TOKEN

    def forget(self, *_: Any) -> None:
        """Nothing is cached."""


def observe(answers: list[tuple[int, bytes]]) -> Seen | Unseen:
    adapter = KubernetesClusters("us-east-1", NoEks())  # type: ignore[arg-type]
    liar = Liar(answers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "Transport", lambda *_: liar)
        view = adapter.observe(CLUSTER, ("shop",), REGISTERED, "", {})
    assert liar.turn, "nobody was asked"
    return view


def pod(name: str, uid: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": uid}, "status": {"podIP": "127.9.9.9"}}


GOOD = [
    {"metadata": {"name": "kube-system", "uid": "system"}},
    {"kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": [pod("a", "u1"), pod("b", "u2")]},
]
