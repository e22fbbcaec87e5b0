"""Each right of each function's deployed role is needed and none is missing: taken away alone, a situation that uses it turns red."""

import re
from contextlib import suppress
from functools import cache

import pytest

from tests.contract.iam.account import Grant, InProcessAccount, folder_of, grants
from tests.contract.iam.reasons import REASONS
from tests.contract.iam.situations import EXECUTION, SITUATIONS, Situation, here, saying
from tests.contract.iam.table import FILE, text
from tests.contract.template import Filled
from world.deploy import ROOT

PACKAGE = ROOT / "layers" / "core" / "python" / "crossmesh"
TEMPLATE = Filled(SecurityGroups="open")  # the parameters that give most


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


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
def test_the_rights_suffice(situation: Situation) -> None:
    meet(situation)


@cache
def shown_by(grant: Grant) -> Situation | None:
    """The situation that turns red without a right."""
    for situation in uses().get(grant, ()):
        try:
            meet(situation, removed=grant)
        except Exception:  # noqa: BLE001 - any way to turn red will do
            return situation
    return None


@pytest.mark.parametrize("grant", sorted(grants(TEMPLATE)), ids=lambda g: f"{g.function}-{g.sid}-{g.action}")
def test_each_right_is_needed(grant: Grant) -> None:
    using = uses().get(grant, [])
    assert using, "no situation uses it: take it out of template.yaml, or add the situation in which it is needed (situations.py)"
    assert shown_by(grant), f"without it {[s.__name__ for s in using]} end all the same: it is not needed, or they assert too little"


def test_where_only_the_settings_say_open_a_run_tells_what_it_may_not_and_goes_on() -> None:
    account = InProcessAccount(Filled())
    with account.reached():
        where = saying(here(), security_groups="open")
        run = account.invoke("TakeLeaseFunction", where, id="run-1", execution=EXECUTION + "run-1").run
        opened = account.invoke("OpenPortsFunction", where, run=run)
    assert len(opened.refused) == 2
    assert all("eks:DescribeCluster" in told for told in opened.refused)


def page() -> str:
    """docs/iam.md as it should be."""
    return text(TEMPLATE, {grant: shown_by(grant) for grant in grants(TEMPLATE)})


def test_the_page_of_rights_is_as_the_template() -> None:
    assert "**no" not in FILE.read_text()
    assert FILE.read_text() == page(), "docs/iam.md is old: `make iam` writes it"


def test_every_right_has_its_reason_and_every_reason_its_right() -> None:
    assert {grant.action for grant in grants(TEMPLATE)} == set(REASONS)


@pytest.mark.parametrize("function", sorted({grant.function for grant in grants(TEMPLATE)}))
def test_a_step_that_may_write_a_lease_may_update_the_table(function: str) -> None:
    """By the source, for functions whose situations are not written yet, too: the lease is the one thing that is updated in place."""
    text = (PACKAGE / "steps" / f"{folder_of(function)}.py").read_text()
    writes = bool(re.search(r"lease\.(check|take|give_back|drop)\(|write_lease|ask_again|sick\.review|shifts\.record", text))
    assert writes == (Grant(function, "StateLease", "dynamodb:UpdateItem") in grants(TEMPLATE))
