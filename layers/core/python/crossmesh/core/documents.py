"""What a manifest is once read: its content, and the place in the file that a message about it names."""

from typing import Any, Literal

import msgspec


class Place(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where something stands: `file`, 1-based `line`, 0-based `document` in the file, dotted `field` ("" = the whole document)."""

    file: str
    line: int
    document: int = 0
    field: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" {self.field}" if self.field else "")


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One mistake or warning: where, what was found, what is allowed or how to cure it. `code` is stable, for tests and machines."""

    level: Literal["error", "warning"]
    code: str
    place: Place
    message: str
    cure: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest of a kind crossmesh reads. `spec` is the raw JSON value (for Namespace: empty); `origins` names every file it stood in."""

    api_version: str
    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    spec: dict[str, Any] = {}
    place: Place
    lines: dict[str, int] = {}  # dotted field -> line, for findings about parts of the spec
