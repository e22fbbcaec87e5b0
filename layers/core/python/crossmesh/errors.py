"""Every error crossmesh raises.

CrossmeshError ├── TransientError      raised so that the caller (a Retry in the state machine)
tries again │   ├── Throttled       the service asked for fewer calls │   └── LeaseLost
another run holds the lease now: stop before the next write ├── RefusedError        the service
refused the call and would again (rights, limits, a missing thing) │   ├── UsageError      what a
person typed cannot be, or names nothing that there is │   ├── NotFound        the thing named is
not there │   ├── Conflict        it is there already, in another form, or something else is under
way on it │   └── ServiceGone     the whole API is not to be had (App Mesh has ended on AWS) └──
ConfigError         the settings or manifests hold mistakes; carries all of them

Outcomes that a state machine decides on are values, never errors. Messages carry no credentials and
no tokens.
"""

from crossmesh.core.documents import Finding


class CrossmeshError(Exception):
    """Root of the tree."""


class TransientError(CrossmeshError):
    """May succeed when tried again."""


class Throttled(TransientError):
    """The service asked for fewer calls (ThrottlingException, TooManyRequestsException,
    RequestLimitExceeded).
    """


class LeaseLost(TransientError):
    """The lease has another epoch or holder than this run's."""


class RefusedError(CrossmeshError):
    """Refused for good: trying again gives the same answer. `code` is the service's own."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class UsageError(RefusedError):
    """A word on the command line that cannot be, or names nothing that there is."""


class NotFound(RefusedError):
    """The thing named does not exist."""


class Conflict(RefusedError):
    """It exists already or is in use; `operation` is the one under way, where the service names it
    (DuplicateOperationId).
    """

    def __init__(self, code: str, message: str, operation: str = "") -> None:
        super().__init__(code, message)
        self.operation = operation


class ServiceGone(RefusedError):
    """The API cannot be reached or no longer exists."""


class ConfigError(CrossmeshError):
    """Settings or manifests with mistakes: all of them, so that one reading fixes all."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("\n".join(f"{f.place}: {f.message}" for f in findings if f.level == "error"))
        self.findings = findings
