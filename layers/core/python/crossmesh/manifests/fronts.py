"""The Services that canaries ask, held against the manifest files: a namespace or a Service that no
document names is mistyped, as far as files can tell.
"""

from collections.abc import Iterable, Iterator, Sequence

from crossmesh.core.documents import Document, Finding, SourceLocation
from crossmesh.core.settings import CanarySettings, Settings
from crossmesh.core.suggestions import nearest
from crossmesh.manifests.yaml_documents import line_of

Other = tuple[str, str, str]
"""A document of another API group: kind, namespace, name."""


def check(
    settings: Settings, documents: Sequence[Document], others: Sequence[Other], file: str, lines: dict[str, int]
) -> Iterator[Finding]:
    """A warning for each canary whose Service no file has, where the files tell of Services or
    namespaces at all.
    """
    spaces = {
        document.namespace or document.name
        for document in documents
        if document.namespace or document.kind == "Namespace"
    }
    spaces |= {space for _, space, _ in others}
    services = {(space, name) for kind, space, name in others if kind == "Service"}
    for canary in settings.canaries:
        target = canary.service
        if target is None:
            continue
        field = f"canaries.{canary.name}.service"
        if spaces and target.namespace not in spaces:
            if why := _space(canary, target.namespace, spaces):
                yield _warning(file, lines, f"{field}.namespace", "unknown-namespace", *why)
        elif (
            there := sorted(name for space, name in services if space == target.namespace)
        ) and target.name not in there:
            message = f"no file declares Service {target.namespace}/{target.name}, which canary {canary.name} asks"
            yield _warning(
                file, lines, f"{field}.name", "unknown-service", message, _fix(target.name, there, "the files declare")
            )


def _space(canary: CanarySettings, name: str, spaces: Iterable[str]) -> tuple[str, str] | None:
    """A front outside the mesh may stand in any namespace; one that shows the mesh's proportions
    stands in the mesh.
    """
    if canary.expect.mix is None and not nearest(name, spaces):
        return None
    message = f"no document names the namespace {name!r}, in which canary {canary.name} asks a Service"
    return message, _fix(name, sorted(spaces), "the documents name")


def _fix(name: str, known: Sequence[str], says: str) -> str:
    near = nearest(name, known)
    return (
        f"did you mean {near}? " if near else ""
    ) + f"{says}: {', '.join(known[:10])}{' …' if len(known) > 10 else ''}"


def _warning(file: str, lines: dict[str, int], field: str, code: str, message: str, fix: str) -> Finding:
    return Finding(
        level="warning",
        code=code,
        place=SourceLocation(file=file, line=line_of(lines, field), field=field),
        message=message,
        fix=fix,
    )
