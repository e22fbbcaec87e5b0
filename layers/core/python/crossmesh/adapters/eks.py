"""How to reach an EKS cluster's API: endpoint and CA from DescribeCluster, and a bearer token
signed locally.

The token is what `aws eks get-token` makes: a presigned STS GetCallerIdentity with the cluster's
name in a signed header. Nothing is asked of STS to make it. Its host is the partition's
(`aws.host`): EKS refuses any other.
"""

import base64
import threading
from typing import Any

import botocore.exceptions
import msgspec
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from crossmesh.adapters import aws
from crossmesh.core.observed import Cause
from crossmesh.core.settings import ClusterSettings
from crossmesh.errors import CrossmeshError, RefusedError

_EXPIRES = 60  # seconds, the only value that aws-iam-authenticator accepts
TOKEN_LIFE = 600.0  # seconds after which a new one is signed; clusters accept one for 15 minutes


class NoCluster(CrossmeshError):
    """The API of a cluster cannot even be asked, for a cause that the cluster's view tells."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause


# Codes of AWS's refusals that say nothing of rights: what signs the requests is not valid (any
# more), or the identity provider behind it did not answer.
_NO_CREDENTIALS = frozenset({
    "ExpiredToken", "ExpiredTokenException", "IDPCommunicationError", "IDPRejectedClaim", "InvalidClientTokenId",
    "InvalidIdentityToken",
    "NoCredentials", "RequestExpired", "UnauthorizedException", "UnrecognizedClientException",
})  # fmt: skip
_SOURCES = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.TokenRetrievalError,
    botocore.exceptions.SSOError,
    botocore.exceptions.ProfileNotFound,
)


class _answered:  # noqa: N801 - read as a verb, as aws.translated
    """AWS's errors as ours, those of missing or rejected credentials apart."""

    def __init__(self, role: str = "") -> None:
        self._role = role

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, _SOURCES):
            raise NoCluster("credentials", f"{type(error).__name__}: {error}") from error
        if error is None:
            return
        try:
            with aws.translated():
                raise error
        except RefusedError as ours:
            if ours.code in _NO_CREDENTIALS:
                raise NoCluster("credentials", str(ours)) from error
            if self._role and type(ours) is RefusedError:
                raise NoCluster("role", f"{self._role}: {ours}") from error
            raise


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Where a cluster's API is and whom it trusts."""

    endpoint: str
    ca: bytes  # PEM
    ipv6: bool = False
    group: str = ""  # the cluster security group, which managed nodes and their pods carry
    vpc: str = ""


def bearer_token(credentials: Credentials, region: str, eks_name: str) -> str:
    """A token for the cluster named `eks_name`, good at once."""
    url = f"https://{aws.host('sts', region)}/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest(method="GET", url=url, headers={"x-k8s-aws-id": eks_name})
    SigV4QueryAuth(credentials, "sts", region, expires=_EXPIRES).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(str(request.url).encode()).decode().rstrip("=")


class Eks:
    """Endpoints and credentials per cluster, cached until `forget`."""

    def __init__(self, region: str) -> None:
        self._region = region
        self._access: dict[str, Access] = {}
        self._roles: dict[str, tuple[dict[str, str], float]] = {}
        self._lock = threading.Lock()

    def access(self, cluster: ClusterSettings, now: float) -> Access:
        """DescribeCluster's answer, from the cache where there is one. Raises NotFound,
        RefusedError, TransientError, NoCluster.
        """
        with self._lock:
            known = self._access.get(cluster.name)
        if known is not None:
            return known
        with _answered():
            client = aws.client("eks", cluster.region, credentials=self.keys(cluster, now))
            found = client.describe_cluster(name=cluster.eks)["cluster"]
        status = found.get("status", "ACTIVE")
        if not found.get("endpoint") or not found.get("certificateAuthority", {}).get("data"):
            raise NoCluster("creating", f"EKS says that {cluster.eks} is {status} and has no endpoint yet")
        endpoint = str(found["endpoint"])
        if not endpoint.startswith("https://"):
            raise RefusedError(
                "NotHttps", f"EKS gives {endpoint!r} as the endpoint of {cluster.name}: a token is sent by https only"
            )
        access = Access(
            endpoint=endpoint,
            ca=base64.b64decode(found["certificateAuthority"]["data"]),
            ipv6=found.get("kubernetesNetworkConfig", {}).get("ipFamily") == "ipv6",
            group=found.get("resourcesVpcConfig", {}).get("clusterSecurityGroupId", ""),
            vpc=found.get("resourcesVpcConfig", {}).get("vpcId", ""),
        )
        with self._lock:
            self._access[cluster.name] = access
        return access

    def forget(self, cluster: ClusterSettings) -> None:
        """Ask DescribeCluster again next time: the endpoint or CA stopped working."""
        with self._lock:
            self._access.pop(cluster.name, None)

    def token(self, cluster: ClusterSettings, now: float) -> str:
        """A fresh bearer token."""
        keys = self.keys(cluster, now)
        if keys is None:
            with _answered():
                own = aws.session().get_credentials()
            if own is None:
                raise NoCluster("credentials", "there are no AWS credentials here")
            with _answered():
                frozen: Any = own.get_frozen_credentials()
            credentials = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        else:
            credentials = Credentials(keys["access_key_id"], keys["secret_access_key"], keys["session_token"])
        return bearer_token(credentials, cluster.region, cluster.eks)

    def keys(self, cluster: ClusterSettings, now: float) -> dict[str, str] | None:
        """Credentials of the cluster's role in another account, None for our own."""
        if not cluster.role_arn:
            return None
        with self._lock:
            keys, until = self._roles.get(cluster.name, ({}, 0.0))
        if now < until - 300:
            return keys
        request = {"RoleArn": cluster.role_arn, "RoleSessionName": "crossmesh", "DurationSeconds": 3600}
        if cluster.external_id:
            request["ExternalId"] = cluster.external_id
        with _answered(cluster.role_arn):
            found = aws.client("sts", self._region).assume_role(**request)["Credentials"]
        keys = {
            "access_key_id": found["AccessKeyId"],
            "secret_access_key": found["SecretAccessKey"],
            "session_token": found["SessionToken"],
        }
        with self._lock:
            self._roles[cluster.name] = keys, found["Expiration"].timestamp()
        return keys
