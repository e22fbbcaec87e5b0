"""What differs between a declared spec and the one App Mesh answers, field by field, knowing what
its API adds by itself. Pure.
"""

from typing import Any

import msgspec

# Where a manifest is silent the API answers with these; their presence is no drift.
_DEFAULTS: tuple[tuple[tuple[str, ...], Any], ...] = ((("egressFilter",), {"type": "DROP_ALL"}),)


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One field that differs: dotted `field`, value found (`old`) and declared (`new`), None =
    absent.
    """

    field: str
    old: Any = None
    new: Any = None


def differences(declared: Any, found: Any, path: tuple[str, ...] = ()) -> tuple[Change, ...]:
    """The fields in which `found` is not as `declared`. Empty and absent are the same, as in AWS's
    controller (pkg/equality).
    """
    if declared == found:
        return ()
    new, old = _plain(declared), _plain(found)
    if isinstance(new, dict) and isinstance(old, dict):
        fields: list[Change] = []
        for key in sorted(new.keys() | old.keys()):
            here = (*path, key)
            if key not in new and ((here, old[key]) in _DEFAULTS or (key == "port" and path[-1:] == ("healthCheck",))):
                continue
            fields += differences(new.get(key), old.get(key), here)
        return tuple(fields)
    if isinstance(new, list) and isinstance(old, list) and len(new) == len(old):
        return tuple(
            c for i, (a, b) in enumerate(zip(new, old, strict=True)) for c in differences(a, b, (*path, str(i)))
        )
    return () if new == old else (Change(field=".".join(path), old=old, new=new),)


def _plain(value: Any) -> Any:
    """Without what says nothing: None, empty lists, empty objects. Whole floats are the integers
    they equal.
    """
    if isinstance(value, dict):
        kept = {key: plain for key, item in value.items() if (plain := _plain(item)) is not None}
        return kept or None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value] or None
    return value
