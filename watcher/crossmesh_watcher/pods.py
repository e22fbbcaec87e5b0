"""Which pod events are worth a look: those after which another set of endpoints may be right. Most
status writes are not.

A pod that was never ready since its birth was seen has no instance anywhere, so nothing of it
matters until it is ready. That is more than thrift: a hint at its creation would put off the hint
of its readiness, a moment later, by the second between two hints.
"""

from collections.abc import Iterable

import msgspec

_NEWBORN = 0  # the mark of a pod that came while we watched and was never ready since
_ANNOTATION = "appmesh.k8s.aws/virtualNode"  # v1beta1 nodes select pods by it


class _Base(msgspec.Struct, rename="camel"):
    pass


class Meta(_Base):
    """Metadata of a pod, or of a list."""

    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None
    continue_: str = msgspec.field(default="", name="continue")


class _Condition(_Base):
    type: str
    status: str


class _Status(_Base):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[_Condition] | None = None


class Pod(_Base):
    """The fields that count; the rest is never built."""

    metadata: Meta
    status: _Status = msgspec.field(default_factory=_Status)


class PodList(_Base):
    """A page of pods."""

    kind: str
    metadata: Meta
    items: list[Pod] | None = None


def is_ready(pod: Pod) -> bool:
    """ContainersReady with an address: it may be an endpoint. Its own Ready may still wait for
    registration.
    """
    return bool(pod.status.pod_ip) and _is("ContainersReady", pod)


def _is(kind: str, pod: Pod) -> bool:
    return any(c.type == kind and c.status == "True" for c in pod.status.conditions or ())


def mark(pod: Pod) -> int:
    """A number that differs (but for a collision in 64 bits) where anything relevant does; never
    that of a newborn.
    """
    meta, status = pod.metadata, pod.status
    labels = frozenset((meta.labels or {}).items())
    finished = status.phase in ("Succeeded", "Failed")
    chosen_by = (meta.annotations or {}).get(_ANNOTATION, "")
    return (
        hash(
            (
                is_ready(pod),
                _is("Ready", pod),
                meta.deletion_timestamp is not None,
                finished,
                status.pod_ip,
                labels,
                chosen_by,
            )
        )
        or 1
    )


class Known:
    """The pods of one namespace as last seen, a number each. In memory only: after a restart the
    first list counts as a change.
    """

    def __init__(self) -> None:
        self._marks: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._marks or {})

    def listed(self, pods: Iterable[Pod]) -> bool:
        """Take a complete list as the truth; True where it differs from what was known, or nothing
        was.
        """
        marks = {pod.metadata.uid: mark(pod) for pod in pods}
        changed, self._marks = marks != self._marks, marks
        return changed

    def moved(self, pod: Pod) -> bool:
        """An ADDED or MODIFIED event; True where it is relevant."""
        marks = self._marks = self._marks if self._marks is not None else {}
        before = marks.get(pod.metadata.uid, _NEWBORN)
        now = mark(pod) if before != _NEWBORN or is_ready(pod) else _NEWBORN
        marks[pod.metadata.uid] = now
        return now != before

    def deleted(self, pod: Pod) -> bool:
        """A DELETED event; True where it is relevant."""
        return (self._marks or {}).pop(pod.metadata.uid, _NEWBORN) != _NEWBORN
