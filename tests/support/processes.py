"""Which processes run."""

import os
from pathlib import Path


def processes(folder: Path) -> list[str]:
    """Command lines and working files of everything that belongs to a world."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in line:
                found.append(line)
    return found
