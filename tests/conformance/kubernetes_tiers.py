"""The two cluster tiers as one kind of thing: raw HTTP to either, every answer kept with what must differ from server to server taken out."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from botocore.credentials import Credentials
from crossmesh.adapters.eks import bearer_token

from world.aws.clients import client, environment
from world.clusters.client import Cluster, apply, wait_for
from world.clusters.real.definitions import define
from world.state import World
from world.supervisor import CLUSTERS_ONLY, REAL_CLUSTERS_ONLY, ROOT, running_world

Object = dict[str, Any]

# What no two servers share, and what one has only for its own sake. Presence is compared, the value is not.
_VOLATILE = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "lastUpdateTime",
    "startTime",
    "startedAt",
}
_VOLATILE |= {"continue", "podIP", "hostIP", "ip", "clusterIP", "clusterIPs", "nodePort", "nodeName", "hostname", "pod-template-hash"}
_LEFT_OUT = {"managedFields", "selfLink"}
_PLACED = {"topology.kubernetes.io/region", "topology.kubernetes.io/zone"}  # which Kubernetes puts on pods, from 1.35 on


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: Any

    @property
    def items(self) -> list[Object]:
        """A list's."""
        found: list[Object] = self.body["items"]
        return found

    @property
    def names(self) -> list[str]:
        """Names of a list's items."""
        return [item["metadata"]["name"] for item in self.items]

    @property
    def version(self) -> str:
        """resourceVersion."""
        return str(self.body["metadata"]["resourceVersion"])


@dataclass
class Api:
    """One cluster of one tier. `ask` records each answer in `told`, for comparison with the other tier's."""

    tier: "Tier"
    cluster: str
    namespace: str
    told: list[Any] = field(default_factory=list)

    @property
    def pods(self) -> str:
        """The test's own pods."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    def ask(
        self,
        verb: str,
        path: str,
        body: Any = None,
        kind: str = "application/json",
        token: str | None = None,
        *,
        record: bool = True,
        **query: Any,
    ) -> Answer:
        """One request. `token` "" asks without one; the default is the administrator's."""
        found = self.tier.request(self.cluster, verb, path + (f"?{urlencode(query)}" if query else ""), body, kind, token)
        if record:
            self.told.append((verb, path, {k: v for k, v in query.items() if k not in _VOLATILE}, found.status, plain(found.body)))
        return found

    def get(self, path: str, **query: Any) -> Answer:
        """GET."""
        return self.ask("GET", path, **query)

    def create(self, item: Object, path: str = "", **how: Any) -> Answer:
        """POST."""
        return self.ask("POST", path or self.pods, item, **how)

    def patch(self, path: str, body: Any, kind: str = "merge", **how: Any) -> Answer:
        """PATCH: merge, strategic-merge or json."""
        return self.ask("PATCH", path, body, f"application/{kind}-patch+json", **how)

    def delete(self, path: str, **options: Any) -> Answer:
        """DELETE with options in the body."""
        return self.ask("DELETE", path, options or None)

    def watch(self, path: str, **query: Any) -> list[tuple[str, Object]]:
        """Events until the server ends the watch; bookmarks are not recorded, as their number is the server's affair."""
        found = self.tier.request(self.cluster, "GET", f"{path}?{urlencode({'watch': 'true', **query})}", None, "", None, lines=True).body
        events = [(event["type"], event["object"]) for event in found]
        self.told.append(("WATCH", path, [(kind, plain(item)) for kind, item in events if kind != "BOOKMARK"]))
        return events


def plain(value: Any, key: str = "") -> Any:
    """An answer without what must differ. Of a Status the reason and code stay: its words are for people."""
    if isinstance(value, dict):
        if value.get("kind") == "Status" and value.get("status") == "Failure":
            return {"kind": "Status", "reason": value.get("reason"), "code": value.get("code")}
        kept = {name: plain(item, name) for name, item in value.items() if name not in _LEFT_OUT and not (key == "labels" and name in _PLACED)}
        return {name: item for name, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, list):
        return [plain(item, key) for item in value]
    if key in _VOLATILE:
        return value and "…"
    if isinstance(value, str):
        return re.sub(r"-[a-z0-9]{8,10}(-[a-z0-9]{5})?$|(?<=made-)[a-z0-9]{5}$", "…", value) if key in ("name", "generateName") else value
    return value


def differences(embedded: Any, real: Any, path: str = "") -> list[str]:
    """Where two plain answers part."""
    if isinstance(embedded, dict) and isinstance(real, dict):
        names = [*embedded, *(name for name in real if name not in embedded)]
        return [line for name in names for line in differences(embedded.get(name), real.get(name), f"{path}.{name}")]
    if isinstance(embedded, list | tuple) and isinstance(real, list | tuple) and len(embedded) == len(real):
        return [
            line for index, (one, other) in enumerate(zip(embedded, real, strict=True)) for line in differences(one, other, f"{path}[{index}]")
        ]
    return [] if embedded == real else [f"{path}: embedded {embedded!r}, real {real!r}"]


class Tier:
    """A world with clusters of one kind."""

    def __init__(self, name: str, world: World) -> None:
        self.name, self.world = name, world
        self._reader: dict[str, str] = {}
        self.clusters = {cluster: Cluster(world.document, cluster) for cluster in world.document["clusters"]}
        for cluster in self.clusters:
            apply(world.document, cluster, ROOT / "clusters" / "reader.yaml")

    def request(self, cluster: str, verb: str, path: str, body: Any, kind: str, token: str | None, *, lines: bool = False) -> Answer:
        """One request; a refusal is an answer too."""
        of = self.clusters[cluster]
        headers = {"Authorization": f"Bearer {of.token if token is None else token}"} if token != "" else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            of.server + path, data=data, method=verb, headers={**headers, **({"Content-Type": kind} if data else {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=of.tls) as answer:
                return Answer(answer.status, [json.loads(line) for line in answer] if lines else json.load(answer))
        except urllib.error.HTTPError as refusal:
            body = refusal.read().decode()
            return Answer(refusal.code, json.loads(body) if body.startswith("{") else body)

    def compact(self, cluster: str, version: str) -> None:
        """Forget history up to a version: what etcd does every five minutes."""
        if self.name == "embedded":
            self.clusters[cluster].tell("compact", {"version": int(version)})
            return
        store = json.loads((self.world.dir / "real.json").read_text())["etcd"]
        asked = json.dumps({"revision": version, "physical": True}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{store}/v3/kv/compaction", data=asked), timeout=10) as answer:
            answer.read()

    def role(self, name: str, groups: dict[str, list[str]]) -> Credentials:
        """Credentials of an assumed role with an access entry in each cluster of `groups`."""
        iam, eks = client(self.world.document, "iam"), client(self.world.document, "eks")
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        for cluster, kubernetes in groups.items():
            eks.create_access_entry(clusterName=cluster, principalArn=arn, kubernetesGroups=kubernetes)
        keys = client(self.world.document, "sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return Credentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])

    def reader_environment(self) -> dict[str, str]:
        """What a function has in its environment: a role that may describe clusters and is let into all of them, as reader and gatekeeper."""
        if not self._reader:
            keys = self.role("looks", {cluster: ["crossmesh:readers", "crossmesh:gatekeepers"] for cluster in self.clusters})
            policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "eks:DescribeCluster", "Resource": "*"}]}
            client(self.world.document, "iam").put_role_policy(RoleName="looks", PolicyName="looks", PolicyDocument=json.dumps(policy))
            own = {"AWS_ACCESS_KEY_ID": keys.access_key, "AWS_SECRET_ACCESS_KEY": keys.secret_key, "AWS_SESSION_TOKEN": keys.token}
            self._reader = {**environment(self.world.document), **own, "AWS_DEFAULT_REGION": self.world.document["region"]}
        return self._reader

    def token(self, keys: Credentials, cluster: str) -> str:
        """What `aws eks get-token` makes."""
        return bearer_token(keys, self.world.document["region"], cluster)


@contextmanager
def running_tier(name: str, root: Path, *, forgetful: bool = True) -> Iterator[Tier]:
    """Two clusters of a tier and the AWS they trust. `forgetful`: eksc2 is without Kubernetes' watch cache, so that what is compacted is gone."""
    parts = CLUSTERS_ONLY if name == "embedded" else REAL_CLUSTERS_ONLY
    with running_world(name, root, filled=False, parts=parts, clusters={"eksc2": {"watch_cache": not forgetful}}) as world:
        for cluster in world.document["clusters"]:
            define(Cluster(world.document, cluster))  # the real tier has them from its start
        yield Tier(name, world)


__all__ = ["Answer", "Api", "Tier", "differences", "plain", "running_tier", "wait_for"]
