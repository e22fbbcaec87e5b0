"""X-Ray's segment documents as a tree of who called whom. Pure. Source: X-Ray's developer guide,
"Segment documents".
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A segment, or a call to somewhere else that a segment holds. Times in seconds since the
    epoch; `origin` as X-Ray names it, "call" for a call.
    """

    id: str
    name: str
    origin: str = ""
    start: float = 0.0
    end: float = 0.0
    status: int = 0
    url: str = ""
    fault: bool = False
    error: bool = False
    children: tuple["Span", ...] = ()

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return max(0.0, (self.end - self.start) * 1000)


def spans(documents: Iterable[Mapping[str, Any]]) -> tuple[Span, ...]:
    """The roots, oldest first. What has no parent here is a root; local subsegments (without a
    namespace) are passed through to what they hold.
    """
    flat: dict[str, tuple[Mapping[str, Any], str]] = {}
    for document in documents:
        _flatten(document, str(document.get("parent_id", "")), flat)
    kept = {ident: about for ident, about in flat.items() if _shown(about[0])}

    def parent_of(ident: str) -> str:
        above = flat[ident][1]
        while above and above in flat and above not in kept:
            above = flat[above][1]
        return above if above in kept else ""

    below: dict[str, list[str]] = {}
    for ident in sorted(kept, key=lambda one: (kept[one][0].get("start_time", 0.0), one)):
        below.setdefault(parent_of(ident), []).append(ident)

    def span(ident: str) -> Span:
        return _span(kept[ident][0], tuple(span(child) for child in below.get(ident, ())))

    return tuple(span(ident) for ident in below.get("", ()))


def _flatten(document: Mapping[str, Any], parent: str, flat: dict[str, tuple[Mapping[str, Any], str]]) -> None:
    ident = str(document.get("id", ""))
    if not ident or ident in flat:
        return
    flat[ident] = (document, parent)
    for inner in document.get("subsegments") or ():
        _flatten(inner, ident, flat)


def _shown(document: Mapping[str, Any]) -> bool:
    return ("trace_id" in document and document.get("type") != "subsegment") or document.get("namespace") in (
        "remote",
        "aws",
    )


def _span(document: Mapping[str, Any], children: tuple[Span, ...]) -> Span:
    http = document.get("http") or {}
    start = float(document.get("start_time", 0.0))
    call = document.get("namespace") in ("remote", "aws")
    return Span(
        id=str(document["id"]),
        name=str(document.get("name", "")),
        origin="call" if call else str(document.get("origin", "")),
        start=start,
        end=float(document.get("end_time", start)),
        status=int((http.get("response") or {}).get("status") or 0),
        url=str((http.get("request") or {}).get("url") or ""),
        fault=bool(document.get("fault")),
        error=bool(document.get("error")),
        children=children,
    )
