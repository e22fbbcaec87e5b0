"""Who may ask: only a ServiceAccount's token for our audience, and only for what the snapshot gives to it. The cluster is not asked too often."""

import asyncio
from collections.abc import Callable

import pytest
from crossmesh_xds import identity
from crossmesh_xds.identity import AUDIENCE, Denied, Gate, Identity, Review, Unanswered, judged, may
from crossmesh_xds.published import Allowed

USER = "system:serviceaccount:shop:front"
GOOD = Review(authenticated=True, user=USER, audiences=(AUDIENCE,), pod="uid-1")


def test_a_token_for_us_proves_an_account_and_its_pod() -> None:
    assert judged(GOOD) == Identity(namespace="shop", account="front", pod="uid-1")


@pytest.mark.parametrize(
    ("review", "why"),
    [
        (Review(error="token has expired"), "expired"),
        (Review(authenticated=True, user=USER), "no audience"),
        (Review(authenticated=True, user=USER, audiences=("https://kubernetes.default.svc",)), "not for crossmesh-xds"),
        (Review(authenticated=True, user="kubernetes-admin", audiences=(AUDIENCE,)), "no ServiceAccount"),
        (Review(authenticated=True, user="system:serviceaccount:shop", audiences=(AUDIENCE,)), "no ServiceAccount"),
        (Review(authenticated=True, user="system:serviceaccount::front", audiences=(AUDIENCE,)), "no ServiceAccount"),
        (Review(authenticated=False, user=USER, audiences=(AUDIENCE,)), "does not know"),
    ],
)
def test_anything_else_is_denied(review: Review, why: str) -> None:
    with pytest.raises(Denied, match=why):
        judged(review)


@pytest.mark.parametrize(
    ("allowed", "given"),
    [
        ([], False),
        ([Allowed(cluster="east", namespaces=("shop",))], True),
        ([Allowed(cluster="west", namespaces=("shop",))], False),
        ([Allowed(cluster="east", namespaces=("other",))], False),
        ([Allowed(cluster="east", namespaces=("shop",), accounts=("back",))], False),
        ([Allowed(cluster="east", namespaces=("shop",), accounts=("back", "front"))], True),
        ([Allowed(cluster="west", namespaces=("shop",)), Allowed(cluster="east", namespaces=("shop",))], True),
        ([Allowed(cluster="east", namespaces=("other",)), Allowed(cluster="west", namespaces=("shop",))], False),
    ],
)
def test_a_proxy_is_given_to_whom_the_snapshot_names(allowed: list[Allowed], given: bool) -> None:
    assert may(allowed, "east", Identity(namespace="shop", account="front")) is given


class Reviewer:
    """Answers what it is told to, and counts."""

    def __init__(self, answer: Callable[[str], Review] = lambda _: GOOD) -> None:
        self.answer, self.asked, self.at_once, self.most = answer, 0, 0, 0

    async def __call__(self, token: str) -> Review:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0.001)
            return self.answer(token)
        finally:
            self.at_once -= 1


def test_the_cluster_is_asked_once_for_a_token_until_its_answer_is_old() -> None:
    now, reviewer = [0.0], Reviewer()
    gate = Gate(reviewer, lambda: now[0])

    async def play() -> None:
        await asyncio.gather(*(gate.admit("one", "p") for _ in range(50)))
        now[0] = identity.CACHED_S - 1
        await gate.admit("one", "p")
        assert reviewer.asked <= identity.REVIEWS, "those that were on their way together"
        asked = reviewer.asked
        now[0] = identity.CACHED_S + 1
        await gate.admit("one", "p")
        assert reviewer.asked == asked + 1

    asyncio.run(play())


def test_no_more_than_twenty_reviews_are_on_their_way() -> None:
    reviewer = Reviewer()
    gate = Gate(reviewer)

    async def play() -> None:
        await asyncio.gather(*(gate.admit(f"token-{index}", "p") for index in range(200)))

    asyncio.run(play())
    assert (reviewer.asked, reviewer.most) == (200, identity.REVIEWS)


def test_refusals_are_slower_for_who_comes_again_and_not_for_others() -> None:
    gate = Gate(Reviewer(lambda _: Review(error="no")))

    async def denied(peer: str) -> float:
        with pytest.raises(Denied):
            await gate.admit("bad", peer)
        return gate.delay(peer)

    async def play() -> None:
        delays = [await denied("a") for _ in range(8)]
        assert delays == [1, 2, 4, 8, 16, 30, 30, 30]
        assert await denied("b") == 1

    asyncio.run(play())


def test_a_refusal_is_cached_too_and_forgotten_when_the_peer_proves_itself() -> None:
    reviewer = Reviewer(lambda token: GOOD if token == "good" else Review(error="no"))
    gate = Gate(reviewer)

    async def play() -> None:
        for _ in range(3):
            with pytest.raises(Denied):
                await gate.admit("bad", "a")
        assert reviewer.asked == 1
        await gate.admit("good", "a")
        assert gate.delay("a") == identity.FIRST_REFUSAL_S

    asyncio.run(play())


def test_an_api_that_does_not_answer_denies_nobody_and_is_not_remembered() -> None:
    def away(_: str) -> Review:
        raise Unanswered("away")

    reviewer = Reviewer(away)
    gate = Gate(reviewer)

    async def play() -> None:
        with pytest.raises(Unanswered):
            await gate.admit("one", "a")
        reviewer.answer = lambda _: GOOD
        assert (await gate.admit("one", "a")).account == "front"

    asyncio.run(play())


@pytest.mark.parametrize("token", ["", "x" * (identity.TOKEN_LIMIT + 1)])
def test_what_can_be_no_token_is_not_asked_about(token: str) -> None:
    reviewer = Reviewer()

    async def play() -> None:
        with pytest.raises(Denied):
            await Gate(reviewer).admit(token, "a")

    asyncio.run(play())
    assert reviewer.asked == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "CACHED", 10)
    gate = Gate(Reviewer(lambda _: Review(error="no")))

    async def play() -> None:
        for index in range(40):
            with pytest.raises(Denied):
                await gate.admit(f"t{index}", f"p{index}")

    asyncio.run(play())
    assert (len(gate._known), len(gate._refusals)) == (10, 10)
