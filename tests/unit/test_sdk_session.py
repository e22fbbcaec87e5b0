"""A process opens one SDK session: a second one would parse the same files again at every cold start."""

import re
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import pytest
from crossmesh.adapters import aws
from crossmesh.runtime import Ports

from world.deploy import ROOT

PACKAGE = ROOT / "layers" / "core" / "python" / "crossmesh"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is opened from here on."""
    found: list[str] = []
    whole = botocore.session.Session.__init__

    def counted(self: botocore.session.Session, *given: object, **more: object) -> None:
        found.append("session")
        whole(self, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(botocore.session.Session, "__init__", counted)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "first")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    return found


def test_all_adapters_of_a_function_share_one(opened: list[str]) -> None:
    ports = Ports("us-east-1", "table", "bucket")
    for name in ("State", "RunStore", "Registry", "AppMeshApi", "Executions", "Clusters", "Balancers", "Networks"):
        assert ports[name] is not None
    aws.client("eks", "eu-west-1", credentials={"access_key_id": "a", "secret_access_key": "b", "session_token": "c"})
    assert aws.partition("cn-north-1") == "aws-cn"
    assert opened == ["session"]


def test_threads_that_make_clients_at_once_share_it_too(opened: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: aws.client("sts", f"eu-west-{number % 3 + 1}"), range(16)))
    assert {client.meta.region_name for client in made} == {"eu-west-1", "eu-west-2", "eu-west-3"}
    assert opened == ["session"]


def test_a_role_in_another_account_keeps_its_own_credentials_and_region(opened: list[str]) -> None:
    other = aws.client("sts", "eu-west-1", credentials={"access_key_id": "theirs", "secret_access_key": "b", "session_token": "c"})
    own = aws.client("sts", "us-east-1")
    assert [client._request_signer._credentials.access_key for client in (other, own)] == ["theirs", "first"]
    assert (other.meta.region_name, own.meta.region_name) == ("eu-west-1", "us-east-1")
    assert opened == ["session"]


def test_who_changes_the_environment_gets_another(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.client("sts", "us-east-1")._request_signer._credentials.access_key == "first"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "second")
    aws.session.cache_clear()
    assert aws.client("sts", "us-east-1")._request_signer._credentials.access_key == "second"
    assert opened == ["session", "session"]


def test_only_one_place_opens_sessions() -> None:
    opening = re.compile(r"get_session\(\)|\bSession\(|boto3\.client\(")
    deployed = [file for file in PACKAGE.rglob("*.py") if "cli" not in file.relative_to(PACKAGE).parts]
    assert {file.name: len(opening.findall(file.read_text())) for file in deployed if opening.search(file.read_text())} == {"aws.py": 1}
