"""An error in the words of a person who must act on it: what it means and the fix, where AWS's own
message leaves that open.
"""

from crossmesh.errors import CrossmeshError, RefusedError, ServiceGone, TransientError

_CHECK = "check which ones are used with `aws sts get-caller-identity`; choose others with --profile or AWS_PROFILE"
_BAD_KEYS = {
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "InvalidAccessKeyId",
    "InvalidSignatureException",
    "AuthFailure",
}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
_NO_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError")
_NO_LOGIN = ("UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError", "InvalidConfigError")
_NO_NETWORK = (
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ProxyConnectionError",
    "SSLError",
    "ConnectionClosedError",
    "HTTPClientError",
)


def explain(error: Exception) -> str:
    """One message: the cause in plain words, AWS's own in brackets, the fix. The code of an error
    that says so already stands at its end.
    """
    said = str(error)
    code = error.code if isinstance(error, RefusedError | ServiceGone) else ""
    if fix := _of_code(code, said):
        return fix
    kind = said.partition(":")[0]
    if isinstance(error, TransientError) and kind in _NO_CREDENTIALS:
        return (
            f"no AWS credentials were found ({said}): sign in (`aws configure sso`, `aws sso login`), or name a profile"
            " with --profile or AWS_PROFILE"
        )
    if isinstance(error, TransientError) and kind in _NO_LOGIN:
        return f"your AWS sign-in is missing or has expired ({said}): `aws sso login`, with --profile if you use one"
    if code == "EndpointConnectionError" or (isinstance(error, TransientError) and kind in _NO_NETWORK):
        return f"AWS could not be reached ({said}): check the network, the proxy and the region's name"
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {(error.strerror or said).lower()}"
    if code:
        return f"{said.removeprefix(f'{code}: ')} [{code}]"
    return said if isinstance(error, CrossmeshError) else f"{type(error).__name__}: {said}"


def _of_code(code: str, said: str) -> str:
    """What a code of AWS means for credentials; "" = nothing."""
    if code in _BAD_KEYS:
        return f"AWS does not accept your credentials ({said}): {_CHECK}"
    if code in _EXPIRED:
        return f"your credentials have expired ({said}): sign in again (`aws sso login`, or a new session token)"
    if code in _DENIED:
        return f"your credentials may not do this ({said}): ask for that right, or {_CHECK}"
    return ""
