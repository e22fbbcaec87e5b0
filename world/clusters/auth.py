"""Who asks, and may they: static administrator token, EKS bearer tokens checked with STS, rights from RBAC objects."""

import base64
import json
import re
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any
from xml.etree import ElementTree

from world.clusters.objects import ApiError
from world.clusters.projected_tokens import ProjectedTokens
from world.clusters.store import Store

PREFIX = "k8s-aws-v1."
_ALLOWED = {
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
}
_CACHED = 5.0  # seconds that a checked token is believed

Who = tuple[str, frozenset[str]]


class Authenticator:
    """Tokens of one cluster. EKS tokens are sent to the world's STS, which checks the signature; access entries map roles to groups."""

    def __init__(self, document: dict[str, Any], cluster: str, admin_token: str) -> None:
        self._cluster, self._region = cluster, document["region"]
        self._sts = f"http://127.0.0.1:{document['ports']['ministack']}"
        self._entries = f"http://127.0.0.1:{document['ports']['aws']}/_world/access-entries/{cluster}"
        self._fixed: dict[str, Who] = {admin_token: ("admin", frozenset({"system:masters", "system:authenticated"}))}
        self._known: dict[str, tuple[float, Who]] = {}
        self._lock = threading.Lock()
        self.projected = ProjectedTokens()

    def who(self, token: str) -> Who:
        """The caller; ApiError 401."""
        if token in self._fixed:
            return self._fixed[token]
        with self._lock:
            until, found = self._known.get(token, (0.0, ("", frozenset())))
        if until > time.monotonic():
            return found
        found = self._eks(token)
        with self._lock:
            self._known = {t: entry for t, entry in self._known.items() if entry[0] > time.monotonic()}
            self._known[token] = (time.monotonic() + _CACHED, found)
        return found

    def issue(self, namespace: str, account: str) -> str:
        """A token of a service account, good for as long as the API lives."""
        token = secrets.token_urlsafe(48)
        groups = {"system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"}
        self._fixed[token] = (account_user(namespace, account), frozenset(groups))
        return token

    def _eks(self, token: str) -> Who:
        if not token.startswith(PREFIX):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        try:
            encoded = token.removeprefix(PREFIX)
            url = urllib.parse.urlsplit(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode())
        except ValueError:
            raise ApiError(401, "Unauthorized", "Unauthorized") from None
        query = {key.lower(): value for key, value in urllib.parse.parse_qsl(url.query)}
        signed = query.get("x-amz-signedheaders", "").split(";")
        sound = (
            url.scheme == "https"
            and url.netloc in (f"sts.{self._region}.amazonaws.com", "sts.amazonaws.com")
            and set(query) <= _ALLOWED
            and query.get("action") == "GetCallerIdentity"
            and "x-k8s-aws-id" in signed
        )
        if not sound:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        caller = caller_identity(self._sts, url.netloc, url.query, self._cluster)
        if caller is None:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        found = re.fullmatch(r"(arn:aws:)sts(::\d+:)assumed-role/([^/]+)/.*", caller["Arn"])
        arn = f"{found[1]}iam{found[2]}role/{found[3]}" if found else caller["Arn"]
        try:
            with urllib.request.urlopen(self._entries, timeout=2) as answer:
                entries = json.load(answer)
        except (OSError, ValueError):
            raise ApiError(401, "Unauthorized", "Unauthorized") from None
        if arn not in entries:
            raise ApiError(401, "Unauthorized", "Unauthorized")
        return arn, frozenset({*entries[arn], "system:authenticated"})


def caller_identity(sts: str, host: str, query: str, cluster: str) -> dict[str, str] | None:
    """Whose key signed a GetCallerIdentity for this cluster's name (a signed header): Arn, UserId and Account as STS tells them; None if it refuses."""
    request = urllib.request.Request(f"{sts}/?{query}", headers={"Host": host, "x-k8s-aws-id": cluster})
    try:
        with urllib.request.urlopen(request, timeout=3) as answer:
            tree = ElementTree.fromstring(answer.read())
    except (OSError, ElementTree.ParseError):
        return None
    found = {name: e.text or "" for e in tree.iter() if (name := e.tag.rpartition("}")[2]) in ("Arn", "UserId", "Account")}
    return found if len(found) == 3 else None


def account_user(namespace: str, name: str) -> str:
    """The user that a service account is."""
    return f"system:serviceaccount:{namespace}:{name}"


def allowed(store: Store, who: Who, verb: str, group: str, resource: str, namespace: str, name: str, sub: str) -> bool:
    """RBAC: some rule of a role bound to the caller fits."""
    user, groups = who
    if "system:masters" in groups:
        return True
    full = f"{resource}/{sub}" if sub else resource

    def bound(binding: dict[str, Any]) -> bool:
        return any(
            (s.get("kind") == "Group" and s.get("name") in groups)
            or (s.get("kind") == "User" and s.get("name") == user)
            or (s.get("kind") == "ServiceAccount" and account_user(s.get("namespace", ""), s.get("name", "")) == user)
            for s in binding.get("subjects") or ()
        )

    def fits(role: dict[str, Any]) -> bool:
        for rule in role.get("rules") or ():
            names = rule.get("resourceNames")
            if (
                {verb, "*"} & set(rule.get("verbs") or ())
                and {group, "*"} & set(rule.get("apiGroups") or ())
                and {full, "*"} & set(rule.get("resources") or ())
                and (not names or name in names)
            ):
                return True
        return False

    rbac = "rbac.authorization.k8s.io"
    bindings = [(b, "") for b in store.all(rbac, "clusterrolebindings")]
    if namespace:
        bindings += [(b, namespace) for b in store.all(rbac, "rolebindings", namespace)]
    for binding, inside in bindings:
        if not bound(binding):
            continue
        ref = binding["roleRef"]
        key = (rbac, "clusterroles", "", ref["name"]) if ref["kind"] == "ClusterRole" else (rbac, "roles", inside, ref["name"])
        role = store.objects.get(key)
        if role and fits(role[0]):
            return True
    return False
