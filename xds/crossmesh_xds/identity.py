"""Who asks: the ServiceAccount behind a token, by the cluster's TokenReview, and whether a proxy
may be given to it.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

import msgspec

from .published import Allowed

AUDIENCE = "crossmesh-xds"
REVIEWS = 20  # in flight
CACHED_S, CACHED = 60.0, 5_000
TOKEN_LIMIT = 16_384  # characters
FIRST_REFUSAL_S, LONGEST_REFUSAL_S = 1.0, 30.0
_PREFIX = "system:serviceaccount:"


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """A ServiceAccount, and the pod of its token where the cluster says so."""

    namespace: str
    account: str
    pod: str = ""  # uid


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster says of a token (the status of a TokenReview)."""

    authenticated: bool = False
    user: str = ""
    audiences: tuple[str, ...] = ()
    pod: str = ""
    error: str = ""


class Denied(PermissionError):
    """The token proves nobody who may ask. The message never has the token."""


class Unanswered(RuntimeError):
    """The cluster did not say. Nobody is let in for that, and nobody is punished."""


Reviewer = Callable[[str], Awaitable[Review]]


def judged(review: Review) -> Identity:
    """The identity that a review proves for our audience. Raises Denied.

    The audience is looked for in the answer: a cluster that does not know audiences answers without
    any, for whatever token.
    """
    if not review.authenticated:
        raise Denied(f"the cluster does not know the token: {review.error[:200] or 'not authenticated'}")
    if AUDIENCE not in review.audiences:
        raise Denied(f"the token is for {', '.join(review.audiences)[:200] or 'no audience'}, not for {AUDIENCE}")
    namespace, _, account = review.user.removeprefix(_PREFIX).partition(":")
    if not review.user.startswith(_PREFIX) or not namespace or not account:
        raise Denied("the token is no ServiceAccount's")
    return Identity(namespace=namespace, account=account, pod=review.pod)


def may(allowed: Iterable[Allowed], cluster: str, who: Identity) -> bool:
    """Whether a proxy's entry names this account of this cluster."""
    return any(
        one.cluster == cluster and who.namespace in one.namespaces and (not one.accounts or who.account in one.accounts)
        for one in allowed
    )


class Gate:
    """Asks the cluster once for a token while its answer is fresh, at most REVIEWS at a time.
    Refusals are slow, slower for who comes again.
    """

    def __init__(self, review: Reviewer, clock: Callable[[], float] = time.monotonic) -> None:
        self._review, self._clock = review, clock
        self._slots = asyncio.Semaphore(REVIEWS)
        self._known: OrderedDict[str, tuple[float, Identity | Denied]] = OrderedDict()
        self._refusals: OrderedDict[str, int] = OrderedDict()

    async def admit(self, token: str, peer: str) -> Identity:
        """Who it is. Raises Denied (wait `delay` before saying so) or Unanswered."""
        if not token or len(token) > TOKEN_LIMIT:
            raise self._denied(Denied("no token" if not token else "a token that is too long"), peer)
        mark = hashlib.sha256(token.encode()).hexdigest()
        found = self._cached(mark)
        if found is None:
            async with self._slots:
                found = self._cached(mark) or await self._asked(mark, token)
        if isinstance(found, Denied):
            raise self._denied(Denied(*found.args), peer)
        self._refusals.pop(peer, None)
        return found

    def delay(self, peer: str) -> float:
        """Seconds to wait before a refusal is said to this peer."""
        return float(min(FIRST_REFUSAL_S * 2.0 ** min(self._refusals.get(peer, 1) - 1, 10), LONGEST_REFUSAL_S))

    def _cached(self, mark: str) -> Identity | Denied | None:
        at, found = self._known.get(mark, (0.0, None))
        return found if found is not None and self._clock() - at < CACHED_S else None

    async def _asked(self, mark: str, token: str) -> Identity | Denied:
        answer = await self._review(token)
        found: Identity | Denied
        try:
            found = judged(answer)
        except Denied as error:
            found = error
        self._known[mark] = self._clock(), found
        self._known.move_to_end(mark)
        if len(self._known) > CACHED:
            self._known.popitem(last=False)
        return found

    def _denied(self, error: Denied, peer: str) -> Denied:
        self._refusals[peer] = self._refusals.get(peer, 0) + 1
        self._refusals.move_to_end(peer)
        if len(self._refusals) > CACHED:
            self._refusals.popitem(last=False)
        return error
