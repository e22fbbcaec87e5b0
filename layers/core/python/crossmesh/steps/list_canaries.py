"""Step `List canaries`: which canaries this execution is about, so that each is probed by a function call of its own, side by side."""

import msgspec

from crossmesh.steps.calls import Step
from crossmesh.steps.context import Context


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`canary` "" = all."""

    id: str
    canary: str = ""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Their names."""

    canaries: tuple[str, ...]


def run(request: Request, context: Context) -> Step[Response]:
    """Raises RefusedError for a name that crossmesh.yaml does not have."""
    return Response(canaries=(context.canary(request.canary).name,) if request.canary else tuple(c.name for c in context.settings.canaries))
    yield  # a step is a generator, also one that asks nothing
