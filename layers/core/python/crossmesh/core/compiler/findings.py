"""Where the parts of the topology's building put what they find."""

from crossmesh.core.documents import Document, Finding, SourceLocation


class Findings:
    """A growing set of findings. The same mistake found twice is one."""

    def __init__(self) -> None:
        self._found: set[Finding] = set()

    def error(self, document: Document, field: str, code: str, message: str, fix: str = "") -> None:
        """Something that must be put right before anything is changed."""
        self._found.add(Finding(level="error", code=code, place=document.at(field), message=message, fix=fix))

    def warning(self, document: Document, field: str, code: str, message: str, fix: str = "") -> None:
        """Something doubtful, or that App Mesh will refuse although AWS's controller would send
        it.
        """
        self._found.add(Finding(level="warning", code=code, place=document.at(field), message=message, fix=fix))

    def absent(self, document: Document, field: str, code: str, message: str, fix: str = "") -> None:
        """An error about something missing in `field`, unless a mistake there has been reported."""
        if not document.doubts(field):
            self.error(document, field, code, message, fix)

    def add(self, finding: Finding) -> None:
        """A finding made elsewhere."""
        self._found.add(finding)

    def sorted(self) -> tuple[Finding, ...]:
        """All of them, by place."""
        return tuple(sorted(self._found, key=lambda f: (f.place, f.code, f.message)))


def where(*service_names: SourceLocation) -> str:
    """Places in a sentence."""
    return " and ".join(place.where for place in service_names)
