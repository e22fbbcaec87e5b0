"""The only wire format: values as JSON, deterministic to the byte, so that equal inputs give equal
plans and equal digests.
"""

import hashlib
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """JSON with sorted keys."""
    return msgspec.json.encode(value, order="deterministic")


def decode(data: bytes, kind: type[T]) -> T:
    """The value back; raises msgspec.DecodeError or ValidationError where it is not one."""
    return msgspec.json.decode(data, type=kind)


def digest(data: bytes) -> str:
    """Content address of stored inputs."""
    return hashlib.sha256(data).hexdigest()
