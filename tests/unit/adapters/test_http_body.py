"""A body is judged as a browser would read it, and never unpacked beyond its limit."""

import gzip
import subprocess
import sys
import zlib

import brotli
import pytest
from crossmesh.adapters.http_body import UnreadableError, text_of
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 65_536


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "identity": bytes,
    "": bytes,
    "gzip, br": lambda data: brotli.compress(gzip.compress(data)),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_what_was_packed_is_read(encoding: str) -> None:
    assert text_of(PACKED[encoding]("blau: ü".encode()), {"content-encoding": encoding}, LIMIT) == "blau: ü"


def test_a_bare_deflate_stream_and_several_gzip_members_are_read() -> None:
    assert text_of(bare(b"blue"), {"content-encoding": "deflate"}, LIMIT) == "blue"
    assert text_of(gzip.compress(b"bl") + gzip.compress(b"ue"), {"content-encoding": "gzip"}, LIMIT) == "blue"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_an_empty_body_is_empty_and_a_cut_one_is_read_as_far_as_it_goes(encoding: str) -> None:
    assert text_of(b"", {"content-encoding": encoding}, LIMIT) == ""
    cut = PACKED[encoding](b"".join(b"%d," % n for n in range(9_000)))[:4_000]
    assert text_of(cut, {"content-encoding": encoding}, LIMIT).startswith("0,1,2,3")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "compress", "gzip, gzip, gzip, gzip"])
def test_what_no_browser_could_show_is_an_error(encoding: str) -> None:
    with pytest.raises(UnreadableError):
        text_of(b"plain text, and not packed", {"content-encoding": encoding}, LIMIT)


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (b"\xef\xbb\xbfblue", "", "blue"),  # a mark
        (b"\xff\xfeb\0l\0", "", "bl"),
        (b"\xfe\xff\0b\0l", "text/plain; charset=utf-8", "bl"),  # a mark is stronger than the header
        ("grün".encode("latin-1"), "text/plain; charset=ISO-8859-1", "grün"),
        ("„grün“".encode("cp1252"), "text/plain; charset=iso-8859-1", "„grün“"),  # browsers take it for windows-1252
        ("grün".encode("latin-1"), "text/plain", "grün"),
        ("grün".encode(), "text/plain", "grün"),
        ("青".encode("shift_jis"), 'text/plain; charset="Shift_JIS"', "青"),
        ("синий".encode("koi8-r"), "text/html; charset=koi8-r", "синий"),
        ("蓝".encode("gb18030"), "text/plain;charset=gb2312", "蓝"),
        ("<meta charset=windows-1251>синий".encode("cp1251"), "text/html", "<meta charset=windows-1251>синий"),
        ("<meta charset=utf-16>ü".encode(), "text/html", "<meta charset=utf-16>ü"),
        ("ü".encode("latin-1"), "application/json", "\ufffd"),  # always UTF-8
        ("ü".encode(), "text/plain; charset=unicode_escape", "ü"),  # a codec of Python that is no encoding of the web
        (b"+AGI-", "text/plain; charset=utf-7", "+AGI-"),
        (b"x" * 5 + "ü".encode()[:1], "text/plain", "x" * 5 + "\ufffd"),  # cut within a character
    ],
)
def test_the_character_encoding_is_the_one_a_browser_finds(data: bytes, kind: str, text: str) -> None:
    assert text_of(data, {"content-type": kind}, LIMIT) == text


@given(
    data=st.binary(max_size=300),
    encoding=st.sampled_from(["", "gzip", "deflate", "br", "gzip, br", "x"]),
    kind=st.text(max_size=60) | st.sampled_from(["text/html", "text/plain; charset=x-user-defined", "a/b; charset=utf-16be"]),
    packed=st.booleans(),
)
def test_whatever_comes_it_is_text_or_unreadable(data: bytes, encoding: str, kind: str, packed: bool) -> None:
    body = PACKED.get(encoding, bytes)(data) if packed else data
    try:
        assert len(text_of(body, {"content-encoding": encoding, "content-type": kind}, 100)) <= 100
    except UnreadableError:
        assert encoding


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, gzip", "gzip, br"])
def test_a_bomb_is_unpacked_up_to_the_limit_only(encoding: str) -> None:
    """200 MB from 200 KB: measured in a process of its own."""
    code = (
        "import sys, brotli\n"
        "from tests.support.measured import peak\n"
        "from crossmesh.adapters.http_body import text_of\n"
        "data = sys.stdin.buffer.read()\n"
        "before = peak()\n"
        f"text = text_of(data, {{'content-encoding': {encoding!r}}}, {LIMIT})\n"
        "print(len(text), peak() - before)"
    )
    bomb = bytes(200_000_000)
    for name in encoding.split(", "):
        bomb = PACKED[name](bomb) if name != "br" else _brotlied(bomb)
    run = subprocess.run([sys.executable, "-c", code], input=bomb, capture_output=True, check=True)
    length, megabytes = map(int, run.stdout.split())
    assert length <= LIMIT
    assert megabytes < 40


def _brotlied(data: bytes) -> bytes:
    return bytes(brotli.compress(data, quality=1))
