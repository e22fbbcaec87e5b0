"""Why a cluster was not seen, each cause apart and with its own fix."""

from types import SimpleNamespace
from typing import Any, get_args

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from crossmesh.adapters import aws, eks
from crossmesh.adapters.eks import Eks, NoCluster
from crossmesh.adapters.kubernetes.clusters import _cause_of
from crossmesh.core.observed import MOST_DETAIL, Cause, cut
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.unseen import fix
from crossmesh.errors import CrossmeshError

ROLE = "arn:aws:iam::222222222222:role/reader"


def said(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Op")


class Client:
    """EKS and STS; `described` and `assumed` are answers, or errors to raise."""

    def __init__(self, described: Any, assumed: Any) -> None:
        self.described, self.assumed = described, assumed

    def describe_cluster(self, name: str) -> Any:
        return self._given({"cluster": self.described} if isinstance(self.described, dict) else self.described)

    def assume_role(self, **_: Any) -> Any:
        return self._given(self.assumed)

    def _given(self, what: Any) -> Any:
        if isinstance(what, Exception):
            raise what
        return what


ACTIVE = {"status": "ACTIVE", "endpoint": "https://x", "certificateAuthority": {"data": "eA=="}}


def cause(monkeypatch: pytest.MonkeyPatch, described: Any = ACTIVE, assumed: Any = None, role: str = "") -> tuple[str, str]:
    monkeypatch.setattr(aws, "client", lambda *_, **__: Client(described, assumed))
    with pytest.raises(CrossmeshError) as raised:
        Eks("us-east-1").access(ClusterSettings(name="c", eks="prod", region="us-east-1", role_arn=role), 0.0)
    return _cause_of(raised.value), str(raised.value)


@pytest.mark.parametrize(
    "described",
    [{"status": "CREATING", "name": "prod"}, {"status": "FAILED", "certificateAuthority": {}}, {"status": "PENDING", "endpoint": "https://x"}],
)
def test_a_cluster_without_endpoint_or_authority_is_creating_and_says_its_status(described: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found, text = cause(monkeypatch, described)
    assert found == "creating"
    assert described["status"] in text


@pytest.mark.parametrize("endpoint", ["http://x", "HTTPS://x", "x.eks.amazonaws.com", "ftp://x", "//x", " https://x"])
def test_a_token_is_sent_over_https_only(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, text = cause(monkeypatch, {**ACTIVE, "endpoint": endpoint})
    assert found == "refused"
    assert "https only" in text


@pytest.mark.parametrize(
    ("assumed", "expected"),
    [
        (said("AccessDenied", "not authorized to perform: sts:AssumeRole"), "role"),
        (said("ValidationError"), "role"),
        (said("ExpiredTokenException"), "credentials"),
        (said("IDPCommunicationError"), "credentials"),
        (said("InvalidIdentityToken"), "credentials"),
        (said("Throttling"), "throttled"),
        (botocore.exceptions.NoCredentialsError(), "credentials"),
        (botocore.exceptions.UnauthorizedSSOTokenError(), "credentials"),
        (botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), "credentials"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://sts"), "unreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_role_credentials_and_identity_provider_are_told_apart(assumed: Exception, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, text = cause(monkeypatch, ACTIVE, assumed, ROLE)
    assert found == expected
    if found == "role":
        assert ROLE in text


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (said("ResourceNotFoundException"), "not-found"),
        (said("AccessDeniedException", "eks:DescribeCluster"), "refused"),
        (said("UnrecognizedClientException"), "credentials"),
        (said("ThrottlingException"), "throttled"),
    ],
)
def test_what_eks_itself_answers(described: Exception, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cause(monkeypatch, described)[0] == expected


def test_a_token_without_any_credentials_names_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Eks("us-east-1")
    monkeypatch.setattr(aws, "session", lambda: SimpleNamespace(get_credentials=lambda: None))
    with pytest.raises(NoCluster) as raised:
        made.token(ClusterSettings(name="c", eks="prod", region="us-east-1"), 0.0)
    assert raised.value.cause == "credentials"
    assert eks.TOKEN_LIFE < 900


def test_every_cause_has_a_fix_of_its_own() -> None:
    fixes = [fix(name, "") for name in get_args(Cause)]
    assert all(fixes)
    assert len(set(fixes)) == len(fixes)
    assert fix("refused", "HTTP 401: no") != fix("refused", "HTTP 403: no") != fix("refused", "")
    assert fix("a later version's", "") == ""


@pytest.mark.parametrize("size", [0, MOST_DETAIL, MOST_DETAIL + 1, 700_000])
def test_a_long_text_is_cut_and_says_how_long_it_was(size: int) -> None:
    found = cut("x" * size)
    assert len(found) <= MOST_DETAIL
    assert found == "x" * size if size <= MOST_DETAIL else str(size) in found
