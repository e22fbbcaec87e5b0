"""AWS clients as crossmesh uses them, and AWS errors as crossmesh's own.

One place decides on timeouts, retries and the user agent, by which our own calls are told from
others' in CloudTrail.
"""

import re
import threading
from functools import cache
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session

# For adapters to which one code is an answer
from botocore.exceptions import ClientError as ClientError

from crossmesh import __version__
from crossmesh.core.regions import Regions
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


def client(
    service: str,
    region: str | None = None,
    *,
    attempts: int = 3,
    credentials: dict[str, str] | None = None,
    patience: float = 15.0,
) -> Any:
    """A client of `service`. `attempts` counts the first one; 1 leaves retrying to the caller, who
    paces. `patience`: seconds that an answer may take.
    """
    config = botocore.config.Config(
        connect_timeout=min(3.0, patience),
        read_timeout=patience,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=32,
        user_agent_extra=f"crossmesh/{__version__}",
        region_name=region,
    )
    keys = credentials or {}
    with _MAKING:
        return session().create_client(
            service,
            region_name=region,
            config=config,
            aws_access_key_id=keys.get("access_key_id"),
            aws_secret_access_key=keys.get("secret_access_key"),
            aws_session_token=keys.get("session_token"),
        )


_MAKING = threading.Lock()  # botocore's clients may be shared by threads, its sessions may not


@cache
def session() -> botocore.session.Session:
    """The process's one session: each would parse endpoints, partitions and retry rules anew, which
    costs more than a client.

    It keeps its credentials and renews them where they expire. A process whose environment names
    others clears it (`session.cache_clear`).
    """
    return botocore.session.get_session()


def regions() -> Regions:
    """The Regions that the SDK knows, of every partition."""
    table: list[dict[str, Any]] = session().get_data("partitions")["partitions"]
    known = [name for one in table for name in one["regions"] if not name.endswith("-global")]
    return Regions(known=known, patterns=[one["regionRegex"] for one in table])


def partition(region: str) -> str:
    """The partition of a region, such as aws-cn."""
    return str(_partition(region)["id"])


def host(service: str, region: str) -> str:
    """A service's regional host, such as sts.cn-north-1.amazonaws.com.cn."""
    return f"{service}.{region}.{_partition(region)['outputs']['dnsSuffix']}"


@cache
def _partition(region: str) -> dict[str, Any]:
    """By botocore's table of regions; one that is newer than the table by its name. The first, the
    commercial one, has any other.
    """
    table: list[dict[str, Any]] = session().get_data("partitions")["partitions"]
    listed = [one for one in table if region in one["regions"]]
    named = [one for one in table if re.match(one["regionRegex"], region)]
    return (listed or named or table)[0]


class translated:  # noqa: N801 - read as a verb: with translated()
    """Raise AWS's errors as ours; the cause is chained, nothing of the request is repeated in the
    message. A class: entered at every request.
    """

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, Exception):
            ours = _ours(error)
            if ours is not None:
                raise ours from error


def standing(error: botocore.exceptions.ClientError) -> dict[str, Any]:
    """The item that stands where a condition of DynamoDB refused a write. Any other error is raised
    again.
    """
    if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
        raise error
    item: Any = error.response.get("Item", {})
    return dict(item)


def unanswered(error: TransientError) -> bool:
    """Whether nobody answered at all: no connection, no TLS, no answer in time."""
    return isinstance(error.__cause__, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError)


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
    if code in _GONE or status == 410:
        return ServiceGone(code, message)
    if code in _TRANSIENT or status >= 500:
        return TransientError(f"{code}: {message}")
    return RefusedError(code, message)
