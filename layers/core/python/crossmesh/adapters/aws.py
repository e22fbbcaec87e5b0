"""AWS clients as crossmesh uses them, and AWS errors as crossmesh's own.

One place decides on timeouts, retries and the user agent, by which our own calls are told from others' in CloudTrail.
"""

from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session
from botocore.exceptions import ClientError as ClientError  # for adapters to which one code is an answer

from crossmesh import __version__
from crossmesh.errors import Conflict, CrossmeshError, NotFound, RefusedError, ServiceGone, Throttled, TransientError

_THROTTLED = {
    "ThrottlingException",
    "Throttling",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ProvisionedThroughputExceededException",
}
_NOT_FOUND = {
    "NotFoundException",
    "ResourceNotFoundException",
    "InstanceNotFound",
    "ServiceNotFound",
    "NamespaceNotFound",
    "OperationNotFound",
    "CustomHealthNotFound",
    "NoSuchKey",
    "404",
    "ExecutionDoesNotExist",
    "LoadBalancerNotFound",
}
_CONFLICT = {
    "ConflictException",
    "ResourceInUse",
    "ResourceInUseException",
    "DuplicateRequest",
    "ServiceAlreadyExists",
    "NamespaceAlreadyExists",
    "ConditionalCheckFailedException",
}
_TRANSIENT = {
    "InternalServerErrorException",
    "InternalFailure",
    "ServiceUnavailableException",
    "ServiceUnavailable",
    "InternalError",
    "500",
    "503",
}
_GONE = {"UnknownOperationException", "UnrecognizedClientException.Gone", "EndpointGone"}


def client(service: str, region: str | None = None, *, attempts: int = 3, credentials: dict[str, str] | None = None) -> Any:
    """A client of `service`. `attempts` counts the first one; 1 leaves retrying to the caller, who paces."""
    config = botocore.config.Config(
        connect_timeout=3,
        read_timeout=15,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
        user_agent_extra=f"crossmesh/{__version__}",
        region_name=region,
    )
    session = botocore.session.get_session()
    keys = credentials or {}
    return session.create_client(
        service,
        region_name=region,
        config=config,
        aws_access_key_id=keys.get("access_key_id"),
        aws_secret_access_key=keys.get("secret_access_key"),
        aws_session_token=keys.get("session_token"),
    )


class translated:  # noqa: N801 - read as a verb: with translated()
    """Raise AWS's errors as ours; the cause is chained, nothing of the request is repeated in the message. A class: entered at every request."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            ours = _ours(error)
            if ours is not None:
                raise ours from error


def _ours(error: Exception) -> CrossmeshError | None:
    match error:
        case botocore.exceptions.ClientError():
            return _from_client_error(error)
        case botocore.exceptions.EndpointConnectionError():
            return ServiceGone("EndpointConnectionError", str(error))
        case botocore.exceptions.HTTPClientError() | botocore.exceptions.ConnectionError():
            return TransientError(f"{type(error).__name__}: {error}")
        case botocore.exceptions.ParamValidationError():
            return RefusedError("ParamValidationError", str(error))
        case botocore.exceptions.BotoCoreError():
            return TransientError(f"{type(error).__name__}: {error}")
        case (
            KeyError() | AttributeError() | TypeError() | ValueError()
        ):  # what a parser or a reader meets in an answer that is not in the API's shape
            return TransientError(f"the answer is not in the API's shape ({type(error).__name__}: {error})")
    return None


def _from_client_error(error: botocore.exceptions.ClientError) -> CrossmeshError:
    details = error.response.get("Error", {})
    code, message = details.get("Code", "Unknown"), details.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED or status == 429:
        return Throttled(f"{code}: {message}")
    if code in _CONFLICT:
        return Conflict(code, message, str(error.response.get("DuplicateOperationId", "")))
    if code in _NOT_FOUND:
        return NotFound(code, message)
    if code in _GONE:
        return ServiceGone(code, message)
    if code in _TRANSIENT or status >= 500:
        return TransientError(f"{code}: {message}")
    return RefusedError(code, message)
