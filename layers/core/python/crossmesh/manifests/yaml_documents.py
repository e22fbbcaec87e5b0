"""YAML as Kubernetes' toolchain reads it, with the line of every field: bytes in, plain values out.

Each `---` part is read for itself, so that one broken document hides no mistake of the next.
"""

import itertools
import re
from collections.abc import Iterator

from crossmesh.core.documents import Finding
from crossmesh.manifests.yaml_composer import Budget, Composer, Refused, Tree, finding_of

LIMIT = 5_000_000  # bytes a file; nobody wrote more by hand
_PARTS = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
# A byte order mark may begin each document (YAML 1.2.2, 5.2); files joined into one have them
_BEGUN = re.compile(r"\A(---[^\n]*\n)\ufeff")
_DIRECTIVE = re.compile(r"^%.*$", re.MULTILINE)


def read(file: str, data: bytes) -> tuple[list[Tree], list[Finding]]:
    """Every document of a file that is not empty, and what was wrong with the others. Never
    raises.
    """
    text, refused = _decode(data)
    if refused:
        return [], [finding_of(file, 0, refused)]
    trees: list[Tree] = []
    findings: list[Finding] = []
    seen = 0
    budget = Budget()
    for part, first in _parts(text):
        composer = Composer(file, part, first, seen, budget)
        trees += composer.run()
        findings += composer.findings
        seen = composer.document
    return trees, findings


def line_of(lines: dict[str, int], field: str, default: int = 1) -> int:
    """The line of `field`, or of the nearest thing around it that has one."""
    while field:
        if field in lines:
            return lines[field]
        field = field[: max(field.rfind("."), field.rfind("["), 0)]
    return lines.get("", default)


def _decode(data: bytes) -> tuple[str, Refused | None]:
    if len(data) > LIMIT:
        return "", Refused("file-too-large", 1, f"found {len(data):,} bytes, allowed are {LIMIT:,}", "split the file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        if wide:
            return "", Refused(
                "not-utf8", 1, "the file is UTF-16, as its first two bytes say", "save the file as UTF-8"
            )
        return "", Refused(
            "not-utf8", line, f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8", "save the file as UTF-8"
        )
    return (text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text), None


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """Each part that a line `---` opens, with the number of its first line. Directives say nothing
    that is of use here.
    """
    cuts = [0, *(match.start() for match in _PARTS.finditer(text)), len(text)]
    line = 1
    for start, end in itertools.pairwise(cuts):
        part = _BEGUN.sub(r"\1", text[start:end], count=1)
        if part.strip():
            yield (_DIRECTIVE.sub("", part) if not start else part), line
        line += part.count("\n")
