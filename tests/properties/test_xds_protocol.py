"""Whatever the order of requests, answers, refusals, reconnects and snapshots, and however old a replica is: no Envoy goes back, no route names a
cluster that is not there, nothing refused comes again, no endpoint set is emptied, no cluster warms for ever, and all end where they should."""

import random
import sys
from pathlib import Path
from types import ModuleType

import pytest
from crossmesh_xds import fleet, shared, stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.xds_schedules import play

CHOICES = st.lists(st.integers(0, 65_535), max_size=300)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1_000_000), choices=CHOICES)
def test_every_schedule_keeps_the_rules_and_comes_to_its_end(seed: int, choices: list[int]) -> None:
    play(seed, choices, stream, fleet)


PLANTED = {  # what is wrong: (module, the code, what stands in its place)
    "answers requests that speak of an older response": ("stream", "elif said.nonce != state.nonce:", "elif False:"),
    "sends what was refused again": ("stream", "if (kind, one.name, one.hash) in self.refused or ", "if "),
    "takes a refusal for an acceptance": ("stream", "if not said.error:", "if True:"),
    "does not send endpoints after a changed cluster": ("stream", "self._types[Kind.ENDPOINTS].again |= {", "_ = {"),
    "sends routes before their clusters": ("stream", "return not used or ", "return True or "),
    "drops clusters that routes still name": ("stream", "if name not in target and name in used}", "if not target}"),
    "never drops a cluster": ("stream", "used = self._used(state)", "used = set(state.accepted)"),
    "drops clusters of an Envoy that comes back": ("stream", "if clusters.came and not ", "if False and not "),
    "goes back on an older replica": ("stream", "if self.behind(view):", "if False:"),
    "forgets what Envoys hold when they leave": ("fleet", "self._remember(member.proxy, kind, version, resources)", "pass"),
    "remembers a difference by what it leads to alone": (
        "shared",
        '("changed", id(before), id(after))',
        '("changed", id(after))',
    ),
    "remembers parts without their names": ("shared", '("part", id(resources), names)', '("part", id(resources))'),
    "tells only the first Envoy": (
        "fleet",
        "return [one for member in self._of(key) for one in",
        "return [one for member in self._of(key)[:0] for one in",
    ),
}


def planted(which: str, code: str, other: str) -> tuple[ModuleType, ModuleType]:
    """Copies of shared, stream and fleet with a bug in one of them. Given back are stream and fleet."""
    found = []
    for module in (shared, stream, fleet):
        source = Path(str(module.__file__)).read_text()
        name = module.__name__.rpartition(".")[2]
        if name == which:
            assert source.count(code) == 1, f"{code!r} stands {source.count(code)} times in {name}: mend the planted bug"
            source = source.replace(code, other)
        copy = ModuleType(f"crossmesh_xds.planted_{name}")
        copy.__package__ = "crossmesh_xds"
        sys.modules[copy.__name__] = copy
        for other_name in ("shared", "stream"):
            source = source.replace(f"from .{other_name} import", f"from .planted_{other_name} import")
        exec(compile(source, f"planted {name}", "exec"), copy.__dict__)
        found.append(copy)
    return found[1], found[2]


@pytest.mark.parametrize("bug", PLANTED)
def test_each_planted_bug_is_caught(bug: str) -> None:
    wrong = planted(*PLANTED[bug])
    for seed in range(600):
        rng = random.Random(seed)
        choices = [rng.randrange(65_536) for _ in range(rng.choice([40, 150, 400]))]
        try:
            play(seed, choices, *wrong)
        except AssertionError:
            return
    raise AssertionError(f"not caught: a server that {bug}")
