"""What a manifest is once read: its content, and the place in the file that a message about it
names.
"""

from typing import Any, Literal

import msgspec


class SourceLocation(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where something stands: `file`, 1-based `line`, 0-based `document` in the file, dotted
    `field` ("" = the whole document).

    Of a document read live, `file` names cluster and object, and there are no lines: `line` is 0.
    """

    file: str
    line: int
    document: int = 0
    field: str = ""

    def __str__(self) -> str:
        return self.where + (f" {self.field}" if self.field else "")

    @property
    def where(self) -> str:
        """File and line, or cluster and object."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Finding(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One mistake or warning: where, what was found, what is allowed or how to fix it. `code` is
    stable, for tests and machines.
    """

    level: Literal["error", "warning"]
    code: str
    place: SourceLocation
    message: str
    fix: str = ""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest of a kind crossmesh reads.

    `spec` is the JSON value as the schema leaves it: no nulls, no unknown or mistyped members (for
    Namespace: empty). `mesh` is the mesh that a converted v1beta1 document names; v1beta2 leaves it
    to the labels of the Namespace. `live`: it came out of a cluster, whose webhook has written
    `meshRef` into it. `broken`: the fields with mistakes that have been reported; others may refer
    to the document all the same.
    """

    api_version: str
    kind: str
    namespace: str
    name: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    spec: dict[str, Any] = {}
    place: SourceLocation
    lines: dict[str, int] = {}  # dotted field -> line, for findings about parts of the spec
    mesh: str = ""
    live: bool = False
    broken: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, or the bare name of what no namespace holds."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def legacy(self) -> bool:
        """Whether it was written as v1beta1."""
        return self.api_version.endswith("/v1beta1")

    def doubts(self, field: str) -> bool:
        """Whether `field` lacks something perhaps only because it was mistyped, which has been
        said.
        """
        return any(
            bad in ("", field) or bad.startswith((f"{field}.", f"{field}[")) or field.startswith((f"{bad}.", f"{bad}["))
            for bad in self.broken
        )

    def at(self, field: str) -> SourceLocation:
        """Where `field` stands, or the nearest thing around it that has a line."""
        around = field
        while around and around not in self.lines:
            around = around[: max(around.rfind("."), around.rfind("["), 0)]
        line = self.lines[around] if around else self.place.line
        return SourceLocation(file=self.place.file, line=line, document=self.place.document, field=field)
