"""The shipped state machines do the same in an interpreter that others wrote (moto's parser): every state entered, every Catch taken, every way gone.

Seeds are tried in the project's own interpreter, which is quick; those that go a way no seed before went are played in moto's too, and both must agree on
the path, the errors caught, what each function was asked, and the end.
"""

import copy
import logging
from functools import cache
from typing import Any
from unittest import mock

import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from tests.conftest import SECOND_OPINION
from tests.contract.second.plays import Answers, Document, Played, catchers, every_state, others, ours, resolved
from tests.sim.application import load

GIVEN = {
    "Look": {"cause": "drift", "detail": {}},
    "Reconcile": {"id": "look-1", "look": "runs/look-1/look.json"},
    "Canary": {"cause": "schedule", "canary": "", "requests": 0},
}
SEEDS, MOST = 300, 5000  # tried: so many, and on until every state was entered and every Catch taken
ALIKE = 8  # seeds played in both whether or not they go a new way


@cache
def machine(name: str) -> Document:
    return resolved(load().machines[name].definition)


def unguarded(definition: Document) -> Document:
    """The machine without the Catches inside its Maps: nothing else makes a Map fail whose items catch everything."""
    found: Document = copy.deepcopy(definition)
    for state in found["States"].values():
        for _, inner in every_state(state["ItemProcessor"]) if "ItemProcessor" in state else ():
            inner.pop("Catch", None)
    return found


@cache
def chosen(name: str, *, guarded: bool = True) -> dict[int, Played]:
    """Seeds with what they did in the project's interpreter: each goes a way that none before went."""
    definition = machine(name) if guarded else unguarded(machine(name))
    found: dict[int, Played] = {}
    gone: set[Any] = set()
    missed = {*wanted_catches(name, guarded=guarded), *(state for state, _ in every_state(definition) if guarded)}
    for seed in range(MOST):
        if seed >= SEEDS and not missed:
            break
        played = ours(definition, GIVEN[name], Answers(seed, definition, load().functions))
        new = {*played.steps, *played.caught} - gone
        if new or seed < ALIKE:
            found[seed] = played
            gone |= new
            missed -= {*played.caught, *(state for _, state in played.steps)}
    return found


def wanted_catches(name: str, *, guarded: bool) -> set[tuple[str, str, str]]:
    """Every Catch; those of a Map are taken only where its items catch nothing, and then the items have none."""
    maps = {state for state, about in every_state(machine(name)) if about["Type"] == "Map"}
    return {one for one in catchers(machine(name)) if (one[0] in maps) != guarded}


def played_elsewhere(name: str, definition: Document, seeds: dict[int, Played]) -> dict[int, Played]:
    """The same seeds in moto's interpreter."""
    machine_ = load().machines[name]
    read = AmazonStateLanguageParser.parse
    with mock.patch.object(AmazonStateLanguageParser, "parse", staticmethod(cache(read))):  # reading a machine takes longer than playing it
        logging.disable(logging.CRITICAL)
        try:
            return {
                seed: others(definition, GIVEN[name], Answers(seed, definition, load().functions), express=machine_.express) for seed in seeds
            }
        finally:
            logging.disable(logging.NOTSET)


PLAYS = [(name, guarded) for name in sorted(GIVEN) for guarded in (True, False) if guarded or unguarded(machine(name)) != machine(name)]


@pytest.mark.parametrize(
    ("name", "guarded"), PLAYS, ids=[f"{name}-{'as shipped' if guarded else 'items catch nothing'}" for name, guarded in PLAYS]
)
def test_both_interpreters_go_the_same_ways(name: str, guarded: bool, record_property: Any) -> None:
    definition = machine(name) if guarded else unguarded(machine(name))
    seeds = chosen(name, guarded=guarded)
    elsewhere = played_elsewhere(name, definition, seeds)
    differ = {seed: (mine, elsewhere[seed]) for seed, mine in seeds.items() if mine != elsewhere[seed]}
    assert not differ, "\n".join(_told(seed, *both) for seed, both in differ.items())
    ways = {way for one in seeds.values() for way in one.steps}
    how = "" if guarded else ", Catches inside its Map taken away"
    record_property(
        SECOND_OPINION, f"{name} in moto's interpreter{how}: {len(seeds)} executions and {len(ways)} transitions compared, all the same"
    )


def _told(seed: int, mine: Played, theirs: Played) -> str:
    names = [name for name in vars(mine) if getattr(mine, name) != getattr(theirs, name)]
    return "\n".join(f"seed {seed}, {name}:\n  ours  {getattr(mine, name)}\n  moto  {getattr(theirs, name)}" for name in names)


def test_every_machine_is_played() -> None:
    assert set(GIVEN) == set(load().machines)


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_every_state_is_entered_and_every_catch_taken(name: str) -> None:
    entered = {state for played in chosen(name).values() for _, state in played.steps}
    assert entered == {state for state, _ in every_state(machine(name))}
    taken = {one for guarded in (True, False) for played in chosen(name, guarded=guarded).values() for one in played.caught}
    assert taken >= catchers(machine(name))


def test_a_difference_would_be_told() -> None:
    """Another way on, another Catch, another payload: each on one side alone must show."""
    definition = machine("Look")
    changed = [copy.deepcopy(definition) for _ in range(3)]
    changed[0]["States"]["Is a run needed?"]["Default"] = "Start run"
    changed[1]["States"]["Look"]["Catch"][0]["Next"] = "Failed"
    changed[2]["States"]["Look"]["Parameters"]["cause.$"] = "$$.Execution.Name"
    seeds = chosen("Look")
    for one in changed:
        elsewhere = played_elsewhere("Look", one, seeds)
        assert any(elsewhere[seed] != mine for seed, mine in seeds.items())
