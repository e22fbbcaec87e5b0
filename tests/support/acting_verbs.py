"""The verbs of the command line that change something."""

ACTING = (
    ("pause",),
    ("resume",),
    ("drain", "--yes"),
    ("adopt", "--yes"),
    ("forget", "a", "--yes"),
    ("unlock", "--yes"),
    ("redrive", "--yes"),
    ("shift", "s", "--to", "blue=50,red=50", "--yes"),
    ("apply", "--yes"),
    ("canary", "run", "front"),
)
