"""Signature version 4, checked as AWS checks it: the canonical request is rebuilt from what came, byte for byte.

Facts: AWS General Reference, "Signature Version 4 signing process". The signed path is encoded once more (S3, which is not, is elsewhere).
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote

from world.aws.models.errors import AwsError
from world.aws.protocols import HttpRequest

SKEW_S = 300.0
_HEADER = re.compile(r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})\s*$")


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of an Authorization header."""

    access_key_id: str
    date: str
    region: str
    service: str
    headers: tuple[str, ...]
    signature: str


def read_signature(request: HttpRequest) -> Signature:
    """Raises MissingAuthenticationTokenException or IncompleteSignature."""
    header = request.headers.get("authorization")
    if not header:
        raise AwsError("MissingAuthenticationTokenException", "The request is not signed.")
    match = _HEADER.match(header)
    scope = match[1].split("/") if match else []
    if match is None or len(scope) != 5 or scope[4] != "aws4_request":
        raise AwsError("IncompleteSignature", "The Authorization header is not a complete AWS4-HMAC-SHA256 signature.")
    return Signature(scope[0], scope[1], scope[2], scope[3], tuple(match[2].split(";")), match[3])


def check_signature(request: HttpRequest, signature: Signature, secret: str, now: float) -> None:
    """Raises InvalidSignatureException for a wrong signature, an unsigned body or host, or a time out of bounds."""
    stamp = request.headers.get("x-amz-date", "")
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise AwsError("IncompleteSignature", "X-Amz-Date is missing or malformed.") from error
    if abs(now - signed_at) > SKEW_S or not stamp.startswith(signature.date):
        raise AwsError("InvalidSignatureException", f"The signature is of {stamp}, more than {SKEW_S:.0f} s from now.")
    if "host" not in signature.headers:
        raise AwsError("InvalidSignatureException", "The host header is not signed.")
    body = hashlib.sha256(request.body).hexdigest()
    if request.headers.get("x-amz-content-sha256", body) != body:
        raise AwsError("InvalidSignatureException", "X-Amz-Content-SHA256 is not the hash of the body.")
    scope = f"{signature.date}/{signature.region}/{signature.service}/aws4_request"
    canonical = hashlib.sha256(_canonical(request, signature, body).encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}"
    wanted = hmac.new(_key(secret, signature.date, signature.region, signature.service), text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, signature.signature):
        raise AwsError("InvalidSignatureException", "The signature that was calculated from the request is not the one that was given.")


def _canonical(request: HttpRequest, signature: Signature, body: str) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signature.headers)
    query = "&".join(sorted(part if "=" in part else f"{part}=" for part in request.query.split("&") if part))
    path = quote(request.path or "/", safe="/~")
    return f"{request.method}\n{path}\n{query}\n{headers}\n{';'.join(signature.headers)}\n{body}"


@lru_cache(maxsize=256)
def _key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
