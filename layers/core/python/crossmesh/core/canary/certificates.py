"""Why a front's TLS was refused, each cause with its own words and its own fix. Pure."""

from urllib.parse import urlsplit

import msgspec

from crossmesh.core.settings import CanarySettings


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, as the rest of a sentence that begins with the host, and the fix."""

    what: str
    fix: str


REFUSALS = {
    "expired": Refusal(
        what="has a certificate that has expired",
        fix="renew it where the listener holds it (ACM renews by itself only while its validation record stands)",
    ),
    "not-yet-valid": Refusal(
        what="has a certificate whose time has not begun",
        fix="use the previous certificate until then, or check the clock of the machine that issued it",
    ),
    "wrong-name": Refusal(
        what="has a certificate for other names",
        fix=(
            "let the canary ask by a name that the certificate has (`url: https://NAME`), or issue one for this"
            " name too"
        ),
    ),
    "unknown-issuer": Refusal(
        what="has a certificate whose issuer is not known",
        fix=(
            "give the listener the whole chain with its intermediate certificates; a private authority is known to no"
            " browser, so use a public one (ACM)"
        ),
    ),
    "self-signed": Refusal(
        what="has a certificate that it signed itself", fix="use a certificate of a public authority (ACM)"
    ),
    "revoked": Refusal(
        what="has a certificate that its issuer revoked", fix="find out why, and issue another with a new key"
    ),
    "weak": Refusal(
        what="has a certificate with a key or signature that is too weak",
        fix="issue another: RSA from 2,048 bits or ECDSA, with SHA-256",
    ),
    "not-tls": Refusal(
        what="does not speak TLS on that port",
        fix=(
            "give the listener a certificate (Service annotations …-ssl-cert and …-ssl-ports), or let the canary ask"
            " `http://`"
        ),
    ),
    "version": Refusal(
        what="offers only versions of TLS that are no longer safe",
        fix="choose a security policy of the listener with TLS 1.2 or 1.3",
    ),
    "client-certificate": Refusal(
        what="asks the client for a certificate, and the canary has none",
        fix="let the canary ask a listener without mutual TLS",
    ),
    "handshake": Refusal(
        what="refuses the handshake",
        fix="check that the listener has a certificate for this name, and a security policy with current ciphers",
    ),
}
OTHER = Refusal(
    what="has a certificate that is not accepted",
    fix="the evidence says why; `openssl s_client -connect HOST:PORT -servername HOST` shows it",
)


def refusal_of(cause: str) -> Refusal:
    """The words for a cause; general ones for a cause that has none of its own."""
    return REFUSALS.get(cause, OTHER)


_BALANCERS = (".elb.amazonaws.com", ".elb.amazonaws.com.cn")


def doomed(canary: CanarySettings) -> str:
    """Why TLS must refuse this canary whatever the front does; "" = it need not.

    Nobody but AWS can have a certificate for a load balancer's own name: public authorities issue
    for names whose owner asks.
    """
    if canary.service is not None:
        return "the Service's port 443 is asked by the load balancer's own name" if canary.service.port == 443 else ""
    parts = urlsplit(canary.url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" and (host.endswith(_BALANCERS) or (".elb." in host and ".amazonaws.com" in host)):
        return f"{host} is a load balancer's own name"
    return ""
