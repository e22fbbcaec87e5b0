"""A failure as a state machine caught it, in words that a person can act on. Pure."""

from collections.abc import Mapping

import msgspec

from crossmesh.core import bounds

_MOST = 1_000  # bytes kept of a cause
_MEANS = {  # how a function's refusal to start begins (runtime.live_context) -> what it means
    "ConfigError: ": (
        "settings or manifests have mistakes (`crossmesh validate` names them all with their fixes; then deploy"
        " again): "
    ),
    "RefusedError: OtherParameters: ": "settings and parameters disagree: ",
    "RefusedError: WrongRegion: ": "settings and parameters disagree: ",
}


class _Lambda(msgspec.Struct):
    """What Lambda gives as the cause of a function's own error."""

    errorMessage: str = ""  # noqa: N815 - Lambda's name


def failure_message(failure: Mapping[str, str]) -> str:
    """Error and message; Lambda's cause is JSON around the message of the function itself. "" where
    nothing failed.
    """
    if not failure:
        return ""
    cause = failure.get("Cause", "")
    try:
        message = msgspec.json.decode(cause.encode(), type=_Lambda).errorMessage or cause
    except msgspec.MsgspecError:
        message = cause
    said = f"{bounds.text(failure.get('Error', ''), 200)}: {bounds.text(message, _MOST)}"
    begins = next((one for one in _MEANS if said.startswith(one)), "")
    return _MEANS.get(begins, "") + said.removeprefix(begins)
