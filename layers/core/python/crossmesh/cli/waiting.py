"""Wait for what the deployed application will have seen: ask it for a look, then read until it is
there. `apply`, `shift` and `canary run` wait so after a deployment, and `status --wait`.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from crossmesh.cli import printing, stack
from crossmesh.cli.operate import hint
from crossmesh.errors import CrossmeshError

AGAIN = 10.0  # seconds after which another look is asked for
FIRST = 45.0  # seconds for the first look after a deployment
EVERY = 0.5  # seconds between two readings of it

T = TypeVar("T")


def wait(
    here: stack.Deployed,
    read: Callable[[], T],
    done: Callable[[T], bool],
    seconds: float,
    *,
    every: float,
    told: Callable[[T], None] = lambda _: None,
) -> T:
    """What is read at last: what is `done`, or whatever there is after `seconds`. Nothing is asked
    for where the first reading will do.
    """
    found, began = read(), time.monotonic()
    asked, refused = began - AGAIN, False
    while not done(found) and (now := time.monotonic()) - began < seconds:
        if now - asked >= AGAIN and not refused:
            asked = now
            refused = not _asked(here)
        told(found)
        time.sleep(every)
        found = read()
    return found


def for_deployment(here: stack.Deployed) -> None:
    """Where no look has run since the stack was deployed, ask for one and wait for it, at most
    FIRST: what the look before ran on says nothing about the configuration that is deployed now.
    """
    if stack.behind(here):
        with printing.Progress("the application was just deployed: waiting for its first look"):
            wait(here, lambda: stack.behind(here), lambda behind: not behind, FIRST, every=EVERY)


def _asked(here: stack.Deployed) -> bool:
    """Ask for a look; False where that is refused. Looks come by themselves, too, so the waiting
    goes on.
    """
    try:
        hint(here.outputs)
    except CrossmeshError as error:
        printing.error_console().print(f"no look could be asked for ({error}): waiting for the next one by schedule")
        return False
    return True
