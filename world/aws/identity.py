"""Who calls, and what they may: asked of ministack's host, where users, sessions and deployed roles live; remembered for seconds."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from world.aws.models.errors import AwsError
from world.aws.permissions import Need, denied

REMEMBERED_S = 3.0
CACHED_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Identity:
    """A principal as CloudTrail would name it. `kind`: IAMUser or AssumedRole; `name` the user or role; `secret` of the access key."""

    access_key_id: str
    session_token: str
    secret: str
    arn: str
    kind: str
    name: str
    principal_id: str
    account: str
    issuer_arn: str


class Identities:
    """The client of the control server. `http` must outlive it."""

    def __init__(self, http: aiohttp.ClientSession, control: str) -> None:
        self._http, self._control = http, control
        self._known: dict[tuple[str, str], tuple[float, Identity | AwsError]] = {}
        self._verdicts: dict[tuple[str, str, str, str, str], tuple[float, tuple[bool, str]]] = {}

    async def resolve(self, access_key_id: str, session_token: str) -> Identity:
        """Raises AwsError for a key that is unknown, inactive or expired, or whose session token is wrong."""
        key, now = (access_key_id, session_token), time.monotonic()
        since, found = self._known.get(key, (-1e9, None))
        if found is None or now - since > REMEMBERED_S:
            found = await self._ask_identity(access_key_id, session_token)
            _remember(self._known, key, (now, found))
        if isinstance(found, AwsError):
            raise found
        return found

    async def _ask_identity(self, access_key_id: str, session_token: str) -> Identity | AwsError:
        answer = await self._post("/_world/identity", {"access_key_id": access_key_id, "session_token": session_token})
        if "code" in answer:
            return AwsError(answer["code"], answer["message"])
        return Identity(access_key_id=access_key_id, session_token=session_token, **answer)

    async def authorise(self, identity: Identity, needs: Sequence[Need]) -> None:
        """Raises AccessDeniedException for the first need that is not met."""
        now = time.monotonic()
        keys = [
            (identity.access_key_id, identity.session_token, need.action, need.resource, str(sorted(need.context.items()))) for need in needs
        ]
        held = {key: self._verdicts[key] for key in keys if key in self._verdicts}
        stale = [place for place, key in enumerate(keys) if now - held.get(key, (-1e9,))[0] > REMEMBERED_S]
        if stale:
            checks = [{"action": needs[p].action, "resource": needs[p].resource, "context": needs[p].context} for p in stale]
            asked = {"access_key_id": identity.access_key_id, "session_token": identity.session_token, "checks": checks}
            answer = await self._post("/_world/authorise", asked)
            for place, verdict in zip(stale, answer["results"], strict=True):
                held[keys[place]] = (now, (verdict["allowed"], verdict["reason"]))
                _remember(self._verdicts, keys[place], held[keys[place]])
        for key, need in zip(keys, needs, strict=True):
            allowed, reason = held[key][1]
            if not allowed:
                raise denied(identity.arn, need, reason)

    async def _post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self._http.post(f"{self._control}{path}", json=document) as answer:
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AwsError("ServiceUnavailable", f"The world's IAM does not answer: {error}") from error

    async def emit(self, event: dict[str, Any]) -> None:
        """Publish an event on the default bus."""
        await self._post("/_world/emit", event)

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()
        self._verdicts.clear()


def _remember(cache: dict[Any, Any], key: Any, value: Any) -> None:
    if len(cache) > CACHED_MOST:
        cache.clear()
    cache[key] = value
