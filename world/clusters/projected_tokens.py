"""Tokens of ServiceAccounts for an audience (TokenRequest), whose they are (TokenReview), and the keys that sign them (OpenID)."""

import base64
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from world.clusters.objects import ApiError, Object

ISSUER = "https://kubernetes.default.svc.cluster.local"
LASTS_S = 3600
_KEY_ID, _ALGORITHM = "world", "RS256"
_PREFIX = "authentication.kubernetes.io/"
_KIND = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1"}


class ProjectedTokens:
    """Signed with a key of the cluster's own, which lasts as long as this object."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def issue(self, namespace: str, account: str, audiences: list[str], pod: Object | None = None, seconds: int = LASTS_S) -> str:
        """A token of the account, bound to the pod where one is given."""
        now = int(time.time())
        about: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": account, "uid": account}}
        if pod:
            about["pod"] = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        claims = {
            "iss": ISSUER,
            "aud": audiences,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "sub": f"system:serviceaccount:{namespace}:{account}",
        }
        return jwt.encode({**claims, "kubernetes.io": about}, self._key, algorithm=_ALGORITHM, headers={"kid": _KEY_ID})

    def request(self, namespace: str, account: str, body: Any, pod: Object | None) -> Object:
        """The answer to a TokenRequest."""
        spec = body.get("spec") or {}
        seconds = int(spec.get("expirationSeconds") or LASTS_S)
        token = self.issue(namespace, account, list(spec.get("audiences") or [ISSUER]), pod, seconds)
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        return {**_KIND, **body, "kind": "TokenRequest", "status": {"token": token, "expirationTimestamp": ends}}

    def review(self, body: Any) -> Object:
        """The answer to a TokenReview: authenticated only for an audience that was asked for."""
        spec = body.get("spec") or {}
        if not spec.get("token"):
            raise ApiError(400, "BadRequest", "token is required for TokenReview in authentication")
        asked = list(spec.get("audiences") or [ISSUER])
        try:
            claims = jwt.decode(spec.get("token", ""), self._key.public_key(), algorithms=[_ALGORITHM], audience=asked, issuer=ISSUER)
        except jwt.InvalidTokenError as error:
            return {**_KIND, **body, "status": {"authenticated": False, "error": f"[invalid bearer token, {error}]", "user": {}}}
        about = claims["kubernetes.io"]
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{about['namespace']}", "system:authenticated"]
        extra = {f"{_PREFIX}pod-{key}": [value] for key, value in about.get("pod", {}).items()}
        user = {"username": claims["sub"], "uid": about["serviceaccount"]["uid"], "groups": groups, "extra": extra}
        return {**_KIND, **body, "status": {"authenticated": True, "user": user, "audiences": [a for a in claims["aud"] if a in asked]}}

    def configuration(self) -> Object:
        """The OpenID provider's configuration."""
        return {
            "issuer": ISSUER,
            "jwks_uri": f"{ISSUER}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [_ALGORITHM],
        }

    def keys(self) -> Object:
        """The public keys, as a JWKS."""
        numbers = self._key.public_key().public_numbers()
        found = {"kty": "RSA", "use": "sig", "alg": _ALGORITHM, "kid": _KEY_ID, "n": _number(numbers.n), "e": _number(numbers.e)}
        return {"keys": [found]}


def _number(value: int) -> str:
    return base64.urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8, "big")).rstrip(b"=").decode()
