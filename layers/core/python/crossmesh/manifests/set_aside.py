"""Names of documents that a mistake keeps out: whoever refers to them is told of that mistake, not
of another name that looks alike.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from crossmesh.core.compiler.findings import where
from crossmesh.core.documents import Document, Finding

_METADATA = re.compile(r"^metadata:(.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_NAME = re.compile(r"(?<![\w/.-])name:[ \t]*[\"']?([A-Za-z0-9.-]+)")
_CODES = ("not-yaml", "other-version", "unknown-group", "unknown-kind", "unknown-version", "not-a-manifest")


def names(file: str, data: bytes, findings: Sequence[Finding], read: Iterable[str]) -> dict[str, str]:
    """The names of a file's documents that are not among those `read`, each with what to do first;
    {} = no mistake keeps documents out.
    """
    mistake = next(
        (
            finding
            for finding in findings
            if finding.level == "error" and finding.place.file == file and finding.code in _CODES
        ),
        None,
    )
    if mistake is None:
        return {}
    blocks = (_NAME.search(block[1]) for block in _METADATA.finditer(data.decode("utf-8", "replace")))
    written = Counter(found[1] for found in blocks if found)
    written.subtract(read)
    first = f"correct what is wrong at {where(mistake.place)} first: that document is not read"
    return {name: first for name, count in written.items() if count > 0}


def outside(documents: Iterable[Document], kept: Iterable[str]) -> dict[str, str]:
    """Virtual nodes and services that are read, and in no mesh, by bare name, each with what to do
    first.
    """
    known = set(kept)
    lost = (one for one in documents if one.kind in ("VirtualNode", "VirtualService") and one.key not in known)
    return {
        one.name: f"{one.kind} {one.key} ({where(one.place)}) belongs to no mesh: correct that first" for one in lost
    }
