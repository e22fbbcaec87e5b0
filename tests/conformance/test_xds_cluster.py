"""What the cluster's API is asked, and what is made of its answers and its silence."""

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from crossmesh_xds.certificates import Pair, authority, due, leaf
from crossmesh_xds.cluster import SECRET, Access, Cluster
from crossmesh_xds.identity import AUDIENCE, Denied, Review, Unanswered, judged
from crossmesh_xds.reviewing import Reviewing
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.answering import Answering

ISSUER = "https://issuer.test"


class Api(ThreadingHTTPServer):
    """A few paths of an API server. `down` makes it fail."""

    daemon_threads = True

    def __init__(self) -> None:
        self.down, self.secrets, self.reviews, self.status = False, dict[str, Any](), list[Any](), dict[str, Any]()
        self.key = ec.generate_private_key(ec.SECP256R1())
        api = self

        class Handler(Answering, BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                if self.path == "/.well-known/openid-configuration":
                    self.answer(200, {"issuer": ISSUER})
                elif self.path == "/openid/v1/jwks":
                    self.answer(200, {"keys": [json.loads(jwt.algorithms.ECAlgorithm.to_jwk(api.key.public_key())) | {"kid": "k1"}]})
                else:
                    self.answer(200, api.secrets[name]) if name in api.secrets else self.answer(404, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert self.headers["Authorization"] == "Bearer ours"
                if self.path.endswith("tokenreviews"):
                    api.reviews.append(body["spec"])
                    self.answer(201, {"kind": "TokenReview", "status": api.status})
                elif body["metadata"]["name"] in api.secrets:
                    self.answer(409, {})
                else:
                    api.secrets[body["metadata"]["name"]] = body
                    self.answer(201, body)

            def answer(self, status: int, body: Any) -> None:
                self.send(503 if api.down else status, json.dumps(body).encode())

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def token(self, **more: Any) -> str:
        now = time.time()
        said = {"iss": ISSUER, "aud": [AUDIENCE], "sub": "system:serviceaccount:shop:front", "exp": now + 60, "nbf": now - 1}
        said["kubernetes.io"] = {"pod": {"uid": "uid-1"}}
        return jwt.encode(said | more, self.key, algorithm="ES256", headers={"kid": "k1"})


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def cluster(api: Api) -> Cluster:
    return Cluster(lambda: Access(server=f"http://127.0.0.1:{api.server_address[1]}", ca="", token="ours"))


def test_a_review_asks_for_our_audience_and_tells_account_and_pod(api: Api, cluster: Cluster) -> None:
    extra = {"authentication.kubernetes.io/pod-uid": ["uid-1"], "authentication.kubernetes.io/pod-name": ["front-0"]}
    api.status = {"authenticated": True, "user": {"username": "system:serviceaccount:shop:front", "extra": extra}, "audiences": [AUDIENCE]}
    assert cluster.review("theirs") == Review(authenticated=True, user="system:serviceaccount:shop:front", audiences=(AUDIENCE,), pod="uid-1")
    assert api.reviews == [{"token": "theirs", "audiences": [AUDIENCE]}]
    api.status = {"error": "no"}
    assert not cluster.review("theirs").authenticated


def test_an_api_that_fails_is_no_verdict_on_a_token(api: Api, cluster: Cluster) -> None:
    api.down = True
    with pytest.raises(Unanswered):
        cluster.review("theirs")
    gone = Cluster(lambda: Access(server="http://127.0.0.1:9", ca="", token="ours"))
    with pytest.raises(Unanswered):
        gone.review("theirs")


def test_the_first_server_makes_the_authority_and_the_second_takes_it(api: Api, cluster: Cluster) -> None:
    first = cluster.authority("crossmesh")
    assert cluster.authority("crossmesh") == first
    assert base64.b64decode(api.secrets[SECRET]["data"]["ca.crt"]) == first.certificate
    assert "PRIVATE" not in repr(first)


def test_of_two_servers_that_make_it_at_once_one_wins(api: Api, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    other = authority()

    def beaten() -> Pair:
        """While ours is made, the other server writes its own."""
        data = {"ca.crt": base64.b64encode(other.certificate).decode(), "ca.key": base64.b64encode(other.key).decode()}
        api.secrets[SECRET] = {"data": data}
        return authority()

    monkeypatch.setattr("crossmesh_xds.cluster.authority", beaten)
    assert cluster.authority("crossmesh") == other


def test_a_secret_that_is_none_of_ours_is_not_written_over(api: Api, cluster: Cluster) -> None:
    api.secrets[SECRET] = {"data": {"something": "eA=="}}
    with pytest.raises(Unanswered):
        cluster.authority("crossmesh")
    assert api.secrets[SECRET] == {"data": {"something": "eA=="}}


@pytest.fixture
def away(api: Api, cluster: Cluster) -> Reviewing:
    """The API gave its keys, and is away now."""
    found = Reviewing(cluster)
    asyncio.run(found.learn())
    api.down = True
    return found


def test_while_the_api_is_away_its_keys_tell_who_it_is(api: Api, away: Reviewing) -> None:
    found = judged(asyncio.run(away(api.token())))
    assert (found.namespace, found.account, found.pod) == ("shop", "front", "uid-1")
    assert away.by_keys == 1


@pytest.mark.parametrize(
    "more",
    [{"exp": 1}, {"aud": ["other"]}, {"iss": "https://other.test"}, {"sub": "admin"}, {"nbf": 9_999_999_999}, {"exp": None}, {"aud": None}],
    ids=str,
)
def test_a_token_that_a_review_would_refuse_is_refused_by_the_keys_too(api: Api, away: Reviewing, more: dict[str, Any]) -> None:
    token = api.token(**{key: value for key, value in more.items() if value is not None})
    if None in more.values():
        (gone,) = more
        said = jwt.decode(token, options={"verify_signature": False})
        del said[gone]
        token = jwt.encode(said, api.key, algorithm="ES256", headers={"kid": "k1"})
    with pytest.raises(Denied):
        judged(asyncio.run(away(token)))


def test_a_forged_signature_and_no_signature_are_refused(api: Api, away: Reviewing) -> None:
    said = jwt.decode(api.token(), options={"verify_signature": False})
    public = api.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = [
        jwt.encode(said, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "k1"}),
        jwt.encode(said, api.key, algorithm="ES256", headers={"kid": "k2"}),
        jwt.encode(said, "", algorithm="none", headers={"kid": "k1"}),
        jwt.encode(said, base64.b64encode(public), algorithm="HS256", headers={"kid": "k1"}),
        "not.a.token",
    ]
    for token in forged:
        with pytest.raises(Denied):
            judged(asyncio.run(away(token)))


def test_without_keys_an_api_that_is_away_lets_nobody_in_and_denies_nobody(api: Api, cluster: Cluster) -> None:
    api.down = True
    with pytest.raises(Unanswered):
        asyncio.run(Reviewing(cluster)(api.token()))


def test_a_leaf_is_signed_for_its_names_and_due_before_it_ends() -> None:
    signer = authority()
    made = leaf(signer, ["a.test", "b.test"])
    certificate, parent = x509.load_pem_x509_certificate(made.certificate), x509.load_pem_x509_certificate(signer.certificate)
    certificate.verify_directly_issued_by(parent)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "b.test"]
    assert not due(made)
    assert due(made, datetime.now(UTC) + timedelta(days=21))
    assert made.key != signer.key
