"""A schedule of much work in little time."""

from tests.sim.schedule import Event, Schedule

WORK = Schedule(
    pods={"eksc1": {"front": 1, "blue": 1}, "eksc2": {"blue": 4, "red": 4}},
    hints="lost",
    events=(
        Event(t=0, do="add", cluster="eksc2", kind="blue"),
        Event(t=0, do="terminate", cluster="eksc2", kind="red"),
        Event(t=0, do="unready", cluster="eksc2", kind="red", arg=1),
        Event(t=0, do="squat", arg=1),
        Event(t=0, do="scribble", arg=2),
        Event(t=0, do="reroute"),
    ),
)
