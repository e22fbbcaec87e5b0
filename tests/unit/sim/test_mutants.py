"""The planted bugs fit the source as it is; a mutant that changes nothing breaks nothing, one that does is caught. All of them are `make proof`'s."""

from tests.sim import mutation
from tests.sim.mutants import MUTANTS, STEPS, USECASES, Mutant, mend
from tests.support.sim_schedules import WORK


def test_every_planted_bug_still_fits_its_source() -> None:
    assert mend() == []
    assert len(MUTANTS) >= 60
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


def test_a_bug_is_caught_and_its_absence_is_not() -> None:
    old = "if alive:\n"
    same = Mutant("nothing", f"{USECASES}/lease.py", old, old, "indirect")
    bug = Mutant(
        "no lease check",
        f"{STEPS}/apply_registry.py",
        "                lease.check(self.run), self._read(",
        "                self._read(",
        "intermediate",
    )
    found = {killed.mutant: killed.property for killed in mutation.run([WORK], 1, [same, bug])}
    assert found == {"nothing": "", "no lease check": "lease-each-batch"}
