"""Pages of lists: an opaque token names the place to go on from."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


class BadTokenError(ValueError):
    """The token is none of ours."""


def encode(place: int) -> str:
    """The token for a place in an order that only grows."""
    return base64.urlsafe_b64encode(f"after:{place}".encode()).decode()


def decode(token: str) -> int:
    """The place a token names. Raises BadTokenError."""
    try:
        label, _, place = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if label != "after":
            raise BadTokenError(token)
        return int(place)
    except (ValueError, binascii.Error) as error:
        raise BadTokenError(token) from error


def page(items: Sequence[Item], service_names: Sequence[int], token: str | None, limit: int) -> tuple[list[Item], str | None]:
    """The items whose place comes after the token's, `limit` at most, and the token for the rest (None: that was all).

    `service_names` rise with `items`; an item that leaves between two calls shifts nobody else.
    """
    start = 0
    if token:
        after, low, high = decode(token), 0, len(service_names)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if service_names[middle] <= after else (low, middle)
        start = low
    end = start + limit
    return list(items[start:end]), encode(service_names[end - 1]) if end < len(items) else None
