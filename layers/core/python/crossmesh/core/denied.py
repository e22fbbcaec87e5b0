"""Missing permissions, read from AWS's words for them. Pure."""

import re

from crossmesh.core.path import Diagnosis

_DENIED = re.compile(r"User: (?P<who>\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)")
_ROLE = re.compile(r":assumed-role/([^/]+)/")


def denied(text: str) -> tuple[str, str] | None:
    """(action, role or user) of AWS's words for a missing permission, None where the text is about something else."""
    found = _DENIED.search(text)
    if found is None:
        return None
    role = _ROLE.search(found["who"])
    return found["action"], role[1] if role else found["who"]


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
        cure=f"give {role} the action {action} again: `sam deploy` restores the template's policies",
    )
