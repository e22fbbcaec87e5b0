"""docs/reference/fields.md says what is so: each leaf is changed, and exactly the parts that it names change."""

from tests.contract.fields.leaves import leaves
from tests.contract.fields.measured import measured
from tests.contract.fields.table import FILE, page, recorded
from tests.contract.fields.verdicts import RULES, verdict


def test_each_leaf_changes_exactly_what_is_recorded_of_it() -> None:
    found, known = measured(), recorded()
    assert {leaf: paths for leaf, paths in found.items() if known.get(leaf) != paths} == {}, "after a change that is meant: `make fields`"
    assert known.keys() == found.keys()


def test_the_page_is_that_of_today() -> None:
    assert FILE.read_text() == page(recorded()), "docs/reference/fields.md is old: `make fields` writes it"


def test_a_verdict_and_what_was_measured_do_not_contradict() -> None:
    every = [f"{kind} {path}" for kind, path, _ in leaves()]
    assert len(every) > 300
    assert [leaf for leaf in every if verdict(leaf).sets != bool(recorded()[leaf])] == []


def test_every_rule_is_about_a_leaf() -> None:
    used = {id(verdict(f"{kind} {path}")) for kind, path, _ in leaves()}
    assert [pattern for pattern, one in RULES if id(one) not in used] == []
