"""A finding at a field of a document."""

from typing import Literal

import msgspec

from crossmesh.core.documents import Finding, SourceLocation


def told_at(place: SourceLocation, field: str, level: Literal["error", "warning"], code: str, *words: str) -> Finding:
    message, fix = (*words, "")[:2]
    return Finding(level=level, code=code, place=msgspec.structs.replace(place, field=field), message=message, fix=fix)
