"""OpenSSL's errors as the causes of `core.canary.certificates`, with the words that a person
needs.
"""

import ssl

from crossmesh.core.canary.certificates import refusal_of

_VERIFIED = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    9: "not-yet-valid",
    10: "expired",
    18: "self-signed",
    19: "unknown-issuer",
    20: "unknown-issuer",
    21: "unknown-issuer",
    23: "revoked",
    62: "wrong-name",
    64: "wrong-name",
    66: "weak",
    67: "weak",
    68: "weak",
}
_REASONS = {
    "WRONG_VERSION_NUMBER": "not-tls",
    "HTTP_REQUEST": "not-tls",
    "UNKNOWN_PROTOCOL": "not-tls",
    "RECORD_LAYER_FAILURE": "not-tls",
    "PACKET_LENGTH_TOO_LONG": "not-tls",
    "UNSUPPORTED_PROTOCOL": "version",
    "TLSV1_ALERT_PROTOCOL_VERSION": "version",
    "VERSION_TOO_LOW": "version",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "client-certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "client-certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "client-certificate",
    "EE_KEY_TOO_SMALL": "weak",
    "CA_MD_TOO_WEAK": "weak",
    "DH_KEY_TOO_SMALL": "weak",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "handshake",
    "TLSV1_UNRECOGNIZED_NAME": "handshake",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "handshake",
    "TLSV1_ALERT_INTERNAL_ERROR": "handshake",
}


def told(error: Exception, host: str) -> tuple[str, str]:
    """(cause, words) of a refusal; the cause is "" where it has no words of its own."""
    cause = ""
    if isinstance(error, ssl.SSLCertVerificationError):
        cause = _VERIFIED.get(error.verify_code, "")
        detail = error.verify_message
    elif isinstance(error, ssl.SSLError):
        cause = _REASONS.get(error.reason or "", "")
        detail = error.reason or str(error)
    else:
        detail = f"{type(error).__name__}: {error}"
    return cause, f"{host[:80]} {refusal_of(cause).what} ({detail})"
