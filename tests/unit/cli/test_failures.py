"""What a person reads where credentials, network or the typed words are wrong."""

import io
import sys

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from crossmesh.adapters.aws import translated
from crossmesh.cli import failures
from crossmesh.errors import CrossmeshError, NotFound

from tests.support.desk import MANIFESTS, Desk


def refused(code: str) -> Exception:
    return ClientError({"Error": {"Code": code, "Message": "said by AWS"}}, "DescribeStacks")  # type: ignore[typeddict-item]


def shown(problem: Exception) -> str:
    """The problem as an adapter raises it, explained."""
    with pytest.raises(CrossmeshError) as caught, translated():
        raise problem
    return failures.explain(caught.value)


@pytest.mark.parametrize(
    ("problem", "begins", "fix"),
    [
        (refused("SignatureDoesNotMatch"), "AWS does not accept your credentials", "aws sts get-caller-identity"),
        (refused("InvalidClientTokenId"), "AWS does not accept your credentials", "--profile"),
        (refused("UnrecognizedClientException"), "AWS does not accept your credentials", "--profile"),
        (refused("ExpiredToken"), "your credentials have expired", "aws sso login"),
        (refused("ExpiredTokenException"), "your credentials have expired", "aws sso login"),
        (refused("AccessDenied"), "your credentials may not do this", "ask for that right"),
        (botocore.exceptions.NoCredentialsError(), "no AWS credentials were found", "aws configure sso"),
        (botocore.exceptions.UnauthorizedSSOTokenError(), "your AWS sign-in is missing or has expired", "aws sso login"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), "AWS could not be reached", "the region's name"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="https://x"), "AWS could not be reached", "the proxy"),
    ],
)
def test_each_cause_has_its_own_words_and_fix(problem: Exception, begins: str, fix: str) -> None:
    said = shown(problem)
    assert said.startswith(begins)
    assert fix in said


def test_the_code_of_any_other_error_stands_at_its_end() -> None:
    """The reported case: `crossmesh: NotConfirmed: …`, `[Errno 2] No such file or directory: 'nope.json'`."""
    assert failures.explain(NotFound("NoRun", "there was no run yet")) == "there was no run yet [NoRun]"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate", "nope.yaml"), "nope.yaml: no such file or directory"),
        (("apply", "nope.json"), "nope.json: no such file or directory"),
        (("explain", "nope"), "there is no run 'nope'"),
        (("status", "--env", "pord"), "samconfig.toml has no environment 'pord'"),
        (("status", "--profile", "nobody"), "there is no AWS profile 'nobody'"),
        (("forget", "z", "--yes"), "z was never seen; known are: a, b"),
        (("shift", "t", "--to", "blue=1", "--yes"), "'t' is no virtual service; there are: shop/s"),
        (("shift", "s", "--to", "blu=1", "--yes"), "'blu' is no target of the route; it has: blue_shop, red_shop; did you mean blue?"),
        (("shift", "s", "--route", "onne", "--to", "blue=1", "--yes"), "shop/r has no route 'onne'; it has: one; did you mean one?"),
        (("trace", "1-2"), "'1-2' is no trace id"),
        (("trace", "--minutes", "-1"), "argument --minutes: '-1' is not a number above 0"),
        (("status", "--wait=-3"), "argument --wait: '-3' is not a number above 0"),
        (("runs", "--most", "0"), "argument --most: '0' is not a whole number from 1 to 100"),
        (("shift", "s", "--to", "blue=1", "--step", "101"), "argument --step: '101' is not a whole number from 1 to 100"),
        (("shift", "s", "--to", "blue=1", "--step", "ten"), "argument --step: 'ten' is not a whole number from 1 to 100"),
        (("shift", "s", "--to", "blue=1", "--every", "0s"), "argument --every: '0s' is not a duration of at least a second, such as 60s or 2m"),
        (("doctor", "--skip", "rolouts"), "argument --skip: there is no 'rolouts' here; did you mean rollouts?"),
    ],
    ids=lambda words: "-".join(words) if isinstance(words, tuple) else "",
)
def test_a_wrong_word_is_wrong_usage_in_a_sentence(desk: Desk, words: tuple[str, ...], said: str) -> None:
    desk.settle()
    code, _, err = desk.run(*words)
    last = err.splitlines()[-1].removeprefix("crossmesh: ").split("error: ")[-1]
    assert (code, last.startswith(said)) == (2, True), err


def test_what_is_refused_is_no_wrong_usage(desk: Desk) -> None:
    desk.settle()
    code, _, err = desk.run("drain")
    assert (code, err.splitlines()[-1].endswith("Run it again with --yes [NotConfirmed]")) == (1, True)
    assert desk.run("status", "--stack", "other")[0] == 1


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "ExpiredToken"])
def test_wrong_credentials_do_not_pass_for_a_missing_stack(desk: Desk, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def answer(region: str, operation: str, given: object) -> object:
        raise refused(code)

    monkeypatch.setattr(desk.amazon, "answer", answer)
    exit_code, _, err = desk.run("status")
    assert exit_code == 1
    assert "credentials" in err
    assert "NoStack" not in err
    assert "deploy" not in err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("statsu",), "status"),
        (("plna",), "plan"),
        (("canary", "histroy"), "history"),
        (("status", "--jsno"), "--json"),
        (("plan", "--regoin", "eu-west-1"), "--region"),
        (("apply", "--yse"), "--yes"),
    ],
)
def test_a_mistyped_word_or_flag_is_answered_by_the_nearest(desk: Desk, words: tuple[str, ...], meant: str) -> None:
    code, _, err = desk.run(*words)
    assert code == 2
    assert f"did you mean {meant}?" in err


def test_a_word_like_nothing_lists_what_there_is(desk: Desk) -> None:
    code, _, err = desk.run("xyzzy")
    assert code == 2
    assert "did you mean" not in err
    assert "status" in err


def test_a_canary_that_is_not_deployed_is_refused_at_once(desk: Desk) -> None:
    desk.look()
    text = (desk.folder / "config" / "crossmesh.yaml").read_text()
    desk.write(text.replace("policy:", "  shop:\n    url: http://shop.example\npolicy:"))
    code, _, err = desk.run("canary", "run", "shop")
    assert code == 1
    assert "is in the local crossmesh.yaml, but not in the deployed configuration" in err
    assert not desk.amazon.asked("start_execution")


@pytest.mark.parametrize(("name", "meant"), [("frnot", "front"), ("zzz", "")])
def test_an_unknown_canary_suggests_the_nearest(desk: Desk, name: str, meant: str) -> None:
    code, _, err = desk.run("canary", "run", name)
    assert code == 2
    assert ("did you mean front?" in err) is bool(meant)


def test_validate_takes_files_folders_and_what_comes_in(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reported case: a folder was a traceback, and - a missing file."""
    desk.write(manifests=MANIFESTS.replace("name: red}, weight: 40", "name: redd}, weight: 40"))
    for word in ("config/mesh", "config/mesh/shop.yaml"):
        code, out, _ = desk.run("validate", word)
        assert (code, "config/mesh/shop.yaml:" in out, "did you mean red?" in out) == (1, True, True), out
    text = (desk.folder / "config" / "mesh" / "shop.yaml").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    code, out, _ = desk.run("validate", "-")
    assert (code, "stdin:" in out, "did you mean red?" in out) == (1, True, True), out
    (desk.folder / "empty").mkdir()
    assert desk.run("validate", "empty")[0] == 2, "nothing checked is no good news"
