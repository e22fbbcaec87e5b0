"""Whether a pointer that was read follows the snapshot that is served: forward only, and within one
lineage.

Another lineage is a table that was made anew, restored, or another region's. It is adopted only if
its root names the served lineage as its parent, or a person named it in the settings. Its numbers
must go on above the served one: proxies that hold a newer version take nothing older.
"""

from enum import Enum

from .published import Pointer, Root


class Verdict(Enum):
    """What to do with what was read."""

    NEXT = "next"
    SAME = "same"
    OLDER = "older"
    FOREIGN = "foreign"


def of_pointer(served: Pointer | None, read: Pointer) -> Verdict:
    """By the pointer alone. Of another lineage it cannot say: NEXT, for its root is to be read and
    asked (`of_root`).
    """
    if served is None or served.lineage != read.lineage:
        return Verdict.NEXT
    if read == served:
        return Verdict.SAME
    # The same number with another root, or a higher number of a lower epoch: two writers, and this
    # one lost.
    return Verdict.NEXT if read.epoch >= served.epoch and read.number > served.number else Verdict.OLDER


def of_root(served: Pointer | None, root: Root, adopted: str = "") -> Verdict:
    """By the root of what `of_pointer` let pass. `adopted` is the lineage that a person named."""
    if served is None:
        return Verdict.NEXT if not adopted or adopted == root.lineage else Verdict.FOREIGN
    if served.lineage == root.lineage:
        return Verdict.NEXT
    named = adopted == root.lineage or (root.parent is not None and root.parent.lineage == served.lineage)
    return Verdict.NEXT if named and root.number > served.number else Verdict.FOREIGN
