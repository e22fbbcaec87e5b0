"""What every part of the world does as a process: a log line when ready, an end on SIGTERM, and no child that outlives it."""

import os
import subprocess
import sys


def lead_group() -> None:
    """Be the leader of a process group of one's own, so that a part and its children can be ended together."""
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)


_watchers: list[subprocess.Popen[bytes]] = []


def end_group_with_me() -> None:
    """Start a child that waits for this process to end, however it ends, and then kills the whole group.

    It waits for the end of a pipe that only this process holds; PR_SET_PDEATHSIG will not do, for it fires when the *thread* that
    started a child ends.
    """
    command = f"read -r _; kill -9 -{os.getpgrp()}"
    _watchers.append(subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, close_fds=True))


def say_ready() -> None:
    """Tell the supervisor."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
