"""Names to addresses for the prober: the system's resolver, or one asked over HTTP where names of
load balancers exist in no DNS.

Whatever goes wrong here is `socket.gaierror`, so that the prober has one class for it. Addresses
that no front ever has are refused, whoever named them.
"""

import json
import secrets
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Collection
from urllib.parse import urlencode

from crossmesh.core.diagnosis import probe_policy

Resolve = Callable[[str, int], tuple[str, int]]

_ANSWER_LIMIT = 4096  # bytes
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ForbiddenAddressError(ValueError):
    """An address that is never a front's (`core.diagnosis.probe_policy.probeable`)."""


def system_resolve(host: str, port: int) -> tuple[str, int]:
    """One of the addresses that the system's resolver gives, by lot among those of the family it
    prefers: every address of a load balancer is probed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, f"{host[:80]!r} is no host name") from error
    return str(secrets.choice([entry for entry in found if entry[0] == found[0][0]])[4][0]), port


def resolver_at(base: str, timeout: float = 5.0) -> Resolve:
    """Resolve by `GET {base}/resolve?host=&port=`, which answers {"address", "port"}, or 404 where
    there is no such name.
    """

    def resolve(host: str, port: int) -> tuple[str, int]:
        try:
            with _DIRECT.open(f"{base}/resolve?{urlencode({'host': host, 'port': port})}", timeout=timeout) as answer:
                found = json.loads(answer.read(_ANSWER_LIMIT))
            return str(found["address"]), int(found["port"])
        except urllib.error.HTTPError as error:
            error.close()
            why = "does not resolve" if error.code == 404 else f"the resolver answered {error.code}"
            raise socket.gaierror(socket.EAI_NONAME, f"{host}: {why}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise socket.gaierror(
                socket.EAI_AGAIN, f"{host}: the resolver gave no answer ({type(error).__name__})"
            ) from error

    return resolve


def resolve_within(
    resolve: Resolve, host: str, port: int, seconds: float, also: Collection[str] = ()
) -> tuple[str, int]:
    """`resolve`, but no longer than `seconds`: getaddrinfo takes no timeout. `also`: blocks that
    are allowed besides those a front may be in.

    Raises socket.gaierror, ForbiddenAddressError.
    """
    outcome: list[tuple[str, int] | Exception] = []

    def ask() -> None:
        try:
            outcome.append(resolve(host, port))
        except Exception as error:  # noqa: BLE001 - handed to the caller, who waits for it
            outcome.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise socket.gaierror(socket.EAI_AGAIN, f"{host}: no answer from the resolver within {seconds:.1f} s")
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    address, port = outcome[0]
    if not probe_policy.probeable(address, also):
        raise ForbiddenAddressError(
            f"{address} is no address that a front may have: it is this machine's, AWS's own, or no unicast address"
        )
    return address, port
