"""An answer's bytes as the text that a browser would show: content encodings undone, then the
character encoding that WHATWG's rules find.

A front that compresses, or that does not write UTF-8, keeps its promises all the same. Everything
is bounded: no layer is unpacked beyond the limit.
"""

import codecs
import re
import zlib
from collections.abc import Mapping
from typing import Any

ACCEPTED = "gzip, deflate, br"
LAYERS = 3  # content encodings on top of each other
_META = re.compile(rb"""<meta\s[^>]{0,200}?charset\s{0,9}=\s{0,9}["']?([\w-]{1,40})""", re.IGNORECASE)
_META_WITHIN = 1024  # bytes in which a page may say its encoding (HTML standard, 4.2.5.4)
_CHARSET = re.compile(r"""charset\s{0,9}=\s{0,9}["']?([\w:.+-]{1,40})""", re.IGNORECASE)


class UnreadableError(ValueError):
    """A body that no browser could show either."""


def text_of(data: bytes, headers: Mapping[str, str], limit: int) -> str:
    """The text of a body of which `data` was read; at most `limit` bytes of it. Raises
    UnreadableError.
    """
    encodings = [
        name
        for part in headers.get("content-encoding", "").lower().split(",")
        if (name := part.strip()) not in ("", "identity")
    ]
    if len(encodings) > LAYERS:
        raise UnreadableError(f"{len(encodings)} content encodings on top of each other")
    for name in reversed(encodings):
        data = _undone(name, data, limit)
    return _decoded(data[:limit], headers.get("content-type", ""))


def _undone(name: str, data: bytes, limit: int) -> bytes:
    """One content encoding undone. What ends early is taken as far as it goes, as browsers do."""
    undo = {"gzip": _gunzipped, "x-gzip": _gunzipped, "deflate": _inflated, "br": _unbrotlied}.get(name)
    if undo is None:
        raise UnreadableError(f"content encoding {name[:40]!r} was not asked for ({ACCEPTED})")
    try:
        return undo(data, limit) if data else b""
    except _broken() as error:
        raise UnreadableError(f"the body is not {name}, which its Content-Encoding says: {error}") from error


def _gunzipped(data: bytes, limit: int) -> bytes:
    found = b""
    while data and len(found) < limit:
        member = zlib.decompressobj(wbits=31)
        found += member.decompress(data, limit - len(found))
        data = member.unused_data if member.eof and member.unused_data.startswith(b"\x1f\x8b") else b""
    return found


def _inflated(data: bytes, limit: int) -> bytes:
    """zlib's format, as the standard says, or the bare stream that some servers send instead."""
    try:
        return zlib.decompressobj(wbits=15).decompress(data, limit)
    except zlib.error:
        return zlib.decompressobj(wbits=-15).decompress(data, limit)


def _unbrotlied(data: bytes, limit: int) -> bytes:
    import brotli

    found: bytes = brotli.Decompressor().process(data, output_buffer_limit=limit)
    return found[:limit]


def _broken() -> tuple[type[Exception], ...]:
    import brotli

    return zlib.error, brotli.error


def _decoded(data: bytes, content_type: str) -> str:
    """By byte order mark, header, the page's own word, and else UTF-8 where it is, windows-1252
    where it is not.
    """
    import webencodings

    kind = content_type.partition(";")[0].strip().lower()
    said = _CHARSET.search(content_type[:500])
    encoding: Any = webencodings.lookup(said[1]) if said else None
    if (
        encoding is None
        and kind in ("text/html", "application/xhtml+xml")
        and (meta := _META.search(data, 0, _META_WITHIN))
    ):
        encoding = webencodings.lookup(meta[1].decode())
        if encoding is not None and encoding.name.startswith("utf-16"):
            encoding = webencodings.UTF8  # a page that is read as ASCII so far cannot be UTF-16
    if encoding is None:
        encoding = webencodings.UTF8 if kind.endswith("json") or _is_utf8(data) else webencodings.lookup("windows-1252")
    text, _ = webencodings.decode(data, encoding, "replace")
    return str(text)


def _is_utf8(data: bytes) -> bool:
    """Also where the last character was cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True
