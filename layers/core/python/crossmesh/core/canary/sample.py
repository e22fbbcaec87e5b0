"""One request of a canary, and how much of it is kept: a front may answer whatever it likes."""

import msgspec

from crossmesh.core.settings import CanarySettings

REQUESTS = 1_000  # requests of a run at most, whoever asks for it
KEPT = 10  # samples kept as evidence
KEPT_TEXT = 500  # characters kept of a body: the history is one small document
# Headers kept of an answer, characters of a name and of a value
KEPT_HEADERS, KEPT_NAME, KEPT_VALUE = 10, 60, 200
# Control and direction characters: they cost up to six bytes in JSON, and would steer a terminal
_UNSEEN = {
    code: "\ufffd"
    for code in (*range(32), *range(127, 160), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n\r"
}


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request. Times in milliseconds, of all hops together.

    `error` is a stable class: dns, refused, timeout, reset, tls, protocol, unreachable, forbidden;
    "" = answered. `cause`: what of TLS failed (`core.canary.certificates`). `detail` is for people.
    `tls_days`: until the certificate ends, None without TLS.
    """

    status: int = 0
    body: str = ""
    error: str = ""
    cause: str = ""
    detail: str = ""
    latency_ms: float = 0.0
    dns_ms: float = 0.0
    connect_ms: float = 0.0
    tls_ms: float = 0.0
    first_byte_ms: float = 0.0
    address: str = ""
    trace_id: str = ""
    headers: dict[str, str] = {}
    tls_days: float | None = None
    hops: int = 0


def trimmed(sample: Sample) -> Sample:
    headers = {name[:KEPT_NAME]: value[:KEPT_VALUE] for name, value in list(sample.headers.items())[:KEPT_HEADERS]}
    return msgspec.structs.replace(
        sample, body=sample.body[:KEPT_TEXT], detail=sample.detail[:KEPT_TEXT], headers=headers
    )


def lean(canary: CanarySettings, sample: Sample) -> Sample:
    """A sample with what its judge needs and little else: a run's samples are kept, and a front may
    send whatever it likes.
    """
    expect = canary.expect
    wanted = {name.lower(): value for name, value in expect.headers}
    exact = {name: value for name, value in sample.headers.items() if wanted.get(name) == value}
    others = [item for item in sample.headers.items() if item[0] not in exact][:KEPT_HEADERS]
    headers = {**{_seen(name, KEPT_NAME): _seen(value, KEPT_VALUE) for name, value in others}, **exact}
    return msgspec.structs.replace(
        sample, body=_lean_body(canary, sample.body), headers=headers, detail=_seen(sample.detail, KEPT_TEXT)
    )


def _lean_body(canary: CanarySettings, body: str) -> str:
    """The body whole where it is a declared one; else its beginning, with the expected text where
    that stands further on.
    """
    declared = {text.strip() for text, _ in canary.expect.mix.bodies} if canary.expect.mix else set()
    if body.strip() in declared:
        return body.strip()
    text = canary.expect.body
    kept = _seen(body, KEPT_TEXT)
    if text and text in body and text not in kept:
        kept = f"{kept} … {text}"
    return f"{kept} … ({len(body):,} characters)" if kept != body else kept


def _seen(text: str, most: int) -> str:
    return text[:most].translate(_UNSEEN)
