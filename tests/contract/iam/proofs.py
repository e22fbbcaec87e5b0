"""Which situation needs which right, played; and the page of rights that follows from it."""

from contextlib import suppress
from functools import cache

from tests.contract.iam.account import Grant, InProcessAccount, grants
from tests.contract.iam.situations import SITUATIONS, Situation
from tests.contract.iam.table import text
from tests.contract.template import Filled

# The parameters that give most.
TEMPLATE = Filled(SecurityGroups="open")


def meet(situation: Situation, removed: Grant | None = None) -> set[Grant]:
    """Play a situation in a fresh account, with one right taken away; the rights it used."""
    account = InProcessAccount(TEMPLATE)
    account.removed = removed
    with account.reached():
        situation(account)
    return account.used


@cache
def uses() -> dict[Grant, list[Situation]]:
    """Which situations use which right, the one that uses fewest first: it is the quickest to play."""
    found: dict[Grant, list[Situation]] = {}
    used: dict[Situation, set[Grant]] = {}
    for situation in SITUATIONS:
        with suppress(Exception):  # told by test_the_rights_suffice
            used[situation] = meet(situation)
    for situation in sorted(used, key=lambda s: len(used[s])):
        for grant in used[situation]:
            found.setdefault(grant, []).append(situation)
    return found


@cache
def shown_by(grant: Grant) -> Situation | None:
    """The situation that turns red without a right."""
    for situation in uses().get(grant, ()):
        try:
            meet(situation, removed=grant)
        except Exception:  # noqa: BLE001 - any way to turn red will do
            return situation
    return None


def page() -> str:
    """docs/reference/iam.md as it should be."""
    return text(TEMPLATE, {grant: shown_by(grant) for grant in grants(TEMPLATE)})
