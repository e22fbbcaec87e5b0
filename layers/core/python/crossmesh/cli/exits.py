"""The exit codes of every verb: the one table that `crossmesh --help`,
docs/reference/command-line.md and the code share.
"""

DONE = 0
FAILED = 1
USAGE = 2
FOUND = 3
INTERRUPTED = 130

TABLE: tuple[tuple[int, str], ...] = (
    (
        DONE,
        (
            "Done, or nothing to do. `status`: every number agrees. `plan`: no change and nothing withheld. `validate`:"
            " nothing is wrong."
        ),
    ),
    (
        FAILED,
        (
            "Failed or refused; the configuration here is not that of the stack. `validate`: errors. `plan"
            " --fail-on-removal`: live instances would be removed."
        ),
    ),
    (
        USAGE,
        (
            "Wrong usage: an unknown verb or flag, or a value that cannot be or names no file, environment, profile,"
            " service, target, canary, cluster or run."
        ),
    ),
    (
        FOUND,
        (
            "Differences or findings: `plan` or `apply` has changes or withheld actions left, `status` is not green,"
            " `doctor` found something, `validate` has warnings only, `replay` gives another plan, `init` leaves"
            " something to do, a canary or trace failed."
        ),
    ),
    (INTERRUPTED, "Interrupted by Ctrl-C. The last line says what goes on without you."),
)


def epilog() -> str:
    """The table as `--help` prints it."""
    return "\n".join(("exit codes:", *(f"  {code:<5}{text}" for code, text in TABLE)))
