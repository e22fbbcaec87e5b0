"""Each right of each function's deployed role is needed and none is missing: taken away alone, a situation that uses it turns red."""

import re

import pytest

from tests.contract.iam.account import Grant, InProcessAccount, folder_of, grants
from tests.contract.iam.proofs import TEMPLATE, meet, page, shown_by, uses
from tests.contract.iam.reasons import REASONS
from tests.contract.iam.situations import EXECUTION, SITUATIONS, Situation, here, saying
from tests.contract.iam.table import FILE
from tests.contract.template import Filled
from world.deploy import ROOT

PACKAGE = ROOT / "layers" / "core" / "python" / "crossmesh"


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.__name__)
def test_the_rights_suffice(situation: Situation) -> None:
    meet(situation)


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


def test_the_page_of_rights_is_as_the_template() -> None:
    assert "**no" not in FILE.read_text()
    assert FILE.read_text() == page(), "docs/reference/iam.md is old: `make iam` writes it"


def test_every_right_has_its_reason_and_every_reason_its_right() -> None:
    assert {grant.action for grant in grants(TEMPLATE)} == set(REASONS)


@pytest.mark.parametrize("function", sorted({grant.function for grant in grants(TEMPLATE)}))
def test_a_step_that_may_write_a_lease_may_update_the_table(function: str) -> None:
    """By the source, for functions whose situations are not written yet, too: the lease is the one thing that is updated in place."""
    text = (PACKAGE / "steps" / f"{folder_of(function)}.py").read_text()
    ways = (
        r"lease\.(check|take|give_back|drop)\(",
        r"write_lease|ask_again|left_behind|\benter\(",
        r"outliers\.review|(shifts|traffic_shifts)\.record",
        r"canary_runs\.(begin|end)\(",
    )
    writes = any(re.search(way, text) for way in ways)
    assert writes == (Grant(function, "StateLease", "dynamodb:UpdateItem") in grants(TEMPLATE))
