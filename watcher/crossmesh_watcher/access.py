"""Where the cluster's API is and who we are there: the pod's service account.

Everything is read again for each request, for tokens are replaced about hourly and certificates now
and then.
"""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path

import msgspec

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class AccessError(RuntimeError):
    """There is no usable way to the API; the message says what is missing."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An API server and how to prove both sides' identity. `ca` is PEM."""

    server: str
    ca: str
    token: str

    def __repr__(self) -> str:
        """Without the token: values end in logs."""
        return f"Access({self.server})"

    def tls(self) -> ssl.SSLContext:
        """Chain and host name are checked. The strict reading of RFC 5280 that Python 3.13 made the
        default is not asked for: certificates of older clusters lack the key identifier it wants.
        Raises AccessError.
        """
        try:
            context = ssl.create_default_context(cadata=self.ca)
        except (OSError, ValueError) as error:
            raise AccessError(f"the certificate of {self.server}'s authority: {error}") from error
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def in_cluster(folder: Path = SERVICE_ACCOUNT, environment: Mapping[str, str] = os.environ) -> Access:
    """The service account of the pod that we run in, whose token and authority lie in `folder`.
    Raises AccessError.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessError("KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster")
    try:
        token, ca = (folder / "token").read_text().strip(), (folder / "ca.crt").read_text()
    except OSError as error:
        raise AccessError(f"the service account's files: {error}") from error
    return Access(server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", ca=ca, token=token)
