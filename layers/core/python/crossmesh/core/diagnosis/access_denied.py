"""Missing permissions, read from AWS's words for them. Pure."""

import re

from crossmesh.core.canary.layers import Diagnosis
from crossmesh.core.unseen import fix

_DENIED = re.compile(r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)")
_ROLE = re.compile(r":assumed-role/([^/]+)/")


def denied(text: str) -> tuple[str, str] | None:
    """(action, role or user) of AWS's words for a missing permission, None where the text is about
    something else.
    """
    found = _DENIED.search(text)
    if found is None:
        return None
    role = _ROLE.search(found["who"])
    return found["action"], role[1] if role else found["who"]


_REFUSED = re.compile(r"(?P<cluster>[\w.-]+): refused: (?P<said>HTTP 40[13].*)", re.DOTALL)


def refused_by_cluster(subject: str, text: str, what: str) -> Diagnosis | None:
    """What a text says of a cluster that lets a function's role read nothing, None where it is
    about something else. `subject`: what the function does.
    """
    found = _REFUSED.search(text)
    if found is None:
        return None
    return Diagnosis(
        layer="permission",
        subject=f"{subject}:{found['cluster']}",
        what=f"cluster {found['cluster']} refuses the role of the {subject}: {what}",
        evidence=(text[:300],),
        fix=fix("refused", found["said"]),
    )


def permission(subject: str, text: str, what: str) -> Diagnosis | None:
    """What a text says of a missing permission, None where it is about something else."""
    refused = denied(text)
    if refused is None:
        return None
    action, role = refused
    return Diagnosis(
        layer="permission",
        subject=f"{subject}:{action}",
        what=f"role {role} may not {action}: {what}",
        evidence=(text[:300],),
        fix=f"give {role} the action {action} again: `sam deploy` restores the template's policies",
    )
