"""What is asked of the cluster's own API: whose a token is, its keys, and the Secret with our
authority. Calls block.

Address, token and authority are read again for each connection: tokens are replaced about hourly.
"""

import base64
import os
import ssl
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import urllib3

from .certificates import Pair, authority
from .identity import AUDIENCE, Review, Unanswered

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SECRET = "crossmesh-xds-authority"  # noqa: S105 - a name
CONNECT_S, READ_S = 2.0, 5.0
ANSWER_LIMIT = 1 << 20  # bytes
_POD = "authentication.kubernetes.io/pod-uid"
_CERTIFICATE, _KEY = "ca.crt", "ca.key"

T = TypeVar("T")


class Conflict(RuntimeError):
    """Somebody else made it first."""


class Missing(LookupError):
    """There is no such object."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An API server and how to prove both sides' identity. `ca` is PEM, "" for plain HTTP in
    tests.
    """

    server: str
    ca: str
    token: str

    def __repr__(self) -> str:
        """Without the token: values end in logs."""
        return f"Access({self.server})"


def in_cluster(folder: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ) -> Access:
    """As the pod's service account. Raises Unanswered."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise Unanswered("KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster")
    try:
        token, ca = (folder / "token").read_text().strip(), (folder / "ca.crt").read_text()
    except OSError as error:
        raise Unanswered(f"the service account's files: {error}") from error
    return Access(server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", ca=ca, token=token)


class _User(msgspec.Struct):
    username: str = ""
    extra: dict[str, list[str]] = {}


class _Status(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)
    audiences: list[str] = []
    error: str = ""


class _TokenReview(msgspec.Struct):
    kind: str
    status: _Status = msgspec.field(default_factory=_Status)


class _Secret(msgspec.Struct):
    data: dict[str, str] = {}


class Cluster:
    """Asks as `access` says. Every method raises Unanswered where the API does not say."""

    def __init__(self, access: Callable[[], Access]) -> None:
        self._access, self._local = access, threading.local()

    def review(self, token: str) -> Review:
        """Whose a token is."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        answer = self._asked("POST", "/apis/authentication.k8s.io/v1/tokenreviews", _TokenReview, body)
        if answer.kind != "TokenReview":
            raise Unanswered(f"asked for a TokenReview and got a {answer.kind[:50]}")
        said = answer.status
        pods = said.user.extra.get(_POD, [])
        return Review(
            authenticated=said.authenticated,
            user=said.user.username,
            audiences=tuple(said.audiences),
            pod=pods[0] if pods else "",
            error=said.error,
        )

    def keys(self) -> tuple[str, dict[str, Any]]:
        """The issuer of the cluster's tokens, and its keys (JWKS)."""
        found = self._asked("GET", "/.well-known/openid-configuration", dict[str, Any])
        return str(found.get("issuer", "")), self._asked("GET", "/openid/v1/jwks", dict[str, Any])

    def authority(self, namespace: str) -> Pair:
        """Our authority from its Secret. The first server that asks makes it; of two that do at
        once, one wins and both take it.
        """
        path = f"/api/v1/namespaces/{quote(namespace)}/secrets"
        for _ in range(2):
            try:
                data = self._asked("GET", f"{path}/{SECRET}", _Secret).data
            except Missing:
                made = authority()
            else:
                return _pair(data)
            body = {
                "apiVersion": "v1",
                "kind": "Secret",
                "type": "Opaque",
                "metadata": {"name": SECRET},
                "data": {
                    name: base64.b64encode(pem).decode()
                    for name, pem in ((_CERTIFICATE, made.certificate), (_KEY, made.key))
                },
            }
            try:
                self._asked("POST", path, _Secret, body)
            except Conflict:
                continue
            return made
        raise Unanswered(f"the Secret {namespace}/{SECRET} is made and gone")

    def _asked(self, method: str, path: str, kind: type[T], body: Any = None) -> T:
        access = self._access()
        headers = {
            "Authorization": f"Bearer {access.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        try:
            response = self._pool(access).request(
                method,
                f"{access.server}{path}",
                body=msgspec.json.encode(body) if body is not None else None,
                headers={**headers, "User-Agent": "crossmesh-xds"},
                timeout=urllib3.Timeout(connect=CONNECT_S, read=READ_S),
                retries=False,
                preload_content=False,
            )
            data = response.read(ANSWER_LIMIT + 1)
            response.drain_conn() if len(data) <= ANSWER_LIMIT else response.close()
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unanswered(f"{method} {path}: {type(error).__name__}") from error
        if response.status == 404:
            raise Missing(path)
        if response.status == 409:
            raise Conflict(path)
        if response.status not in (200, 201) or len(data) > ANSWER_LIMIT:
            raise Unanswered(f"{method} {path}: status {response.status}, {len(data)} bytes")
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise Unanswered(f"{method} {path}: {error}") from error

    def _pool(self, access: Access) -> urllib3.PoolManager:
        """One for each thread, as long as the authority is the same."""
        held: tuple[str, urllib3.PoolManager] | None = getattr(self._local, "pool", None)
        if held is None or held[0] != access.ca:
            held = (
                access.ca,
                urllib3.PoolManager(maxsize=1, ssl_context=_tls(access.ca))
                if access.ca
                else urllib3.PoolManager(maxsize=1),
            )
            self._local.pool = held
        return held[1]


def _tls(ca: str) -> ssl.SSLContext:
    """Chain and host name are checked. Certificates of older clusters lack the key identifier that
    RFC 5280's strict reading wants.
    """
    context = ssl.create_default_context(cadata=ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _pair(data: Mapping[str, str]) -> Pair:
    try:
        return Pair(certificate=base64.b64decode(data[_CERTIFICATE]), key=base64.b64decode(data[_KEY]))
    except (KeyError, ValueError) as error:
        raise Unanswered(f"the Secret {SECRET} has no {_CERTIFICATE} and {_KEY}") from error
