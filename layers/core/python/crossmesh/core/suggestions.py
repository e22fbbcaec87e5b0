"""The nearest of the names that exist: what a message suggests where a name is mistyped."""

from collections.abc import Iterable

_LOOKED_AT = 200


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a message about a name that there is not: what was meant; "" if nothing looks like
    it.
    """
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def nearest(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str:
    """The name of `known` that looks most like `name`; "" if none looks like it. Case does not
    count.

    Looked at are the first 200 by alphabet: a comparison is dear, and a tenant may write thousands
    of wrong names.
    """
    import difflib  # here: only mistakes need it

    folded = {candidate.lower(): candidate for candidate in sorted(known)[:_LOOKED_AT]}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=cutoff)
    return folded[found[0]] if found else ""
