"""Whose a token is: by TokenReview; where the cluster's API cannot answer, by the keys that it last
gave.

The keys see no deletion: a token of a deleted pod is good until it expires, at most an hour. That
is accepted only while the API is away.
"""

import asyncio

import jwt

from .cluster import Cluster, Missing
from .identity import AUDIENCE, Review, Unanswered

_REQUIRED = ["exp", "iss", "aud", "sub"]
# What API servers sign with; never none, never a shared secret
ALGORITHMS = ["RS256", "ES256", "ES384"]


class Reviewing:
    """A Reviewer over a cluster's API."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._issuer = ""
        self._keys: jwt.PyJWKSet | None = None
        self.by_keys = 0  # reviews that the keys had to answer

    async def __call__(self, token: str) -> Review:
        """As of Reviewer. Raises Unanswered."""
        try:
            return await asyncio.to_thread(self._cluster.review, token)
        except (Unanswered, Missing) as error:
            if self._keys is None:
                raise Unanswered(str(error)) from error
            self.by_keys += 1
            return verified(token, self._issuer, self._keys)

    async def learn(self) -> None:
        """Read the keys anew. Raises Unanswered."""
        try:
            issuer, keys = await asyncio.to_thread(self._cluster.keys)
            self._keys, self._issuer = jwt.PyJWKSet.from_dict(keys), issuer
        except (jwt.PyJWTError, Missing, AttributeError, TypeError) as error:
            raise Unanswered(f"the cluster's keys: {type(error).__name__}") from error


def verified(token: str, issuer: str, keys: jwt.PyJWKSet) -> Review:
    """What a token says of itself, if one of the keys signed it and it is in force."""
    try:
        wanted = jwt.get_unverified_header(token).get("kid")
        key = next((one for one in keys.keys if one.key_id == wanted), None)
        if key is None:
            return Review(error="signed with no key of the cluster")
        said = jwt.decode(
            token, key.key, algorithms=ALGORITHMS, audience=AUDIENCE, issuer=issuer, options={"require": _REQUIRED}
        )
    except jwt.PyJWTError as error:
        return Review(error=f"{type(error).__name__}")
    pod = said.get("kubernetes.io", {}).get("pod", {}).get("uid", "")
    return Review(authenticated=True, user=str(said["sub"]), audiences=(AUDIENCE,), pod=str(pod))
