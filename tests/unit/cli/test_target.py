"""Which application a verb acts on, as its first line says it, and where it refuses."""

import argparse
import json
import os

import msgspec
import pytest
from crossmesh import codec, configuration
from crossmesh.adapters import aws
from crossmesh.cli import init
from crossmesh.cli.target import Place
from crossmesh.cli.verbs import parser
from crossmesh.core.canary.history import CanaryHistory, memory_key
from crossmesh.core.canary.verdict import Verdict
from crossmesh.core.registry.plan import ManualOverrides
from crossmesh.usecases import state

from tests.support.acting_verbs import ACTING
from tests.support.desk import Desk, pod

LINE = "crossmesh · 111122223333/eu-west-1 · owner shop-prod · mode apply"


def verbs(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Every verb's parser, those of `canary` included."""
    inner = [choice for action in parser._actions if isinstance(action, argparse._SubParsersAction) for choice in action.choices.values()]
    return [leaf for one in inner for leaf in (verbs(one) or [one])]


def test_the_region_of_the_settings_names_the_stack_and_no_other_is_built_in(desk: Desk) -> None:
    """The reported case: a `crossmesh` of another owner lives in us-east-1, and a laptop without AWS_REGION paused that one."""
    desk.amazon.deploy("crossmesh", "us-east-1", owner="demo", at=desk.now)
    code, out, _ = desk.run("pause")
    assert code == 0
    assert out.startswith(LINE)
    assert {region for region, _ in desk.opened} == {"eu-west-1"}


@pytest.mark.parametrize("words", [("status",), ("pause",), ("canary", "history"), ("explain",), ("trace",), ("redrive", "--list")])
def test_without_any_region_every_verb_refuses(desk: Desk, words: tuple[str, ...]) -> None:
    (desk.folder / "config" / "crossmesh.yaml").unlink()
    desk.amazon.deploy("crossmesh", "us-east-1", owner="demo", at=desk.now)
    code, _, err = desk.run(*words)
    assert code == 1
    assert "no region is named: use --region" in err
    assert desk.opened == []


@pytest.mark.parametrize(
    ("words", "variables", "region", "name"),
    [
        ((), {}, "eu-west-1", "crossmesh"),
        ((), {"AWS_REGION": "eu-north-1"}, "eu-north-1", "crossmesh"),
        ((), {"AWS_DEFAULT_REGION": "eu-north-1"}, "eu-north-1", "crossmesh"),
        (("--region", "ap-south-1"), {"AWS_REGION": "eu-north-1"}, "ap-south-1", "crossmesh"),
        (("--env", "prod"), {"AWS_REGION": "eu-north-1"}, "us-west-2", "mesh-prod"),
        ((), {"CROSSMESH_ENV": "prod"}, "us-west-2", "mesh-prod"),
        (("--env", "prod", "--stack", "other"), {}, "us-west-2", "other"),
        ((), {"CROSSMESH_STACK": "other"}, "eu-west-1", "other"),
        (("--stack", "mine"), {"CROSSMESH_STACK": "other"}, "eu-west-1", "mine"),
    ],
)
def test_flags_go_before_the_environment_and_that_before_the_settings(
    desk: Desk, words: tuple[str, ...], variables: dict[str, str], region: str, name: str
) -> None:
    (desk.folder / "samconfig.toml").write_text('[prod.deploy.parameters]\nstack_name = "mesh-prod"\nregion = "us-west-2"\n')
    for key, value in variables.items():
        desk.monkeypatch.setenv(key, value)
    _, _, err = desk.run("status", *words)
    assert f"there is no stack {name!r} in {region}" in err or (region, name) == ("eu-west-1", "crossmesh")
    assert [(where, given["StackName"]) for _, where, _, given in desk.amazon.calls][:1] == [(region, name)]


def test_the_region_of_a_profile_is_the_last_that_is_asked(desk: Desk) -> None:
    (desk.folder / "config" / "crossmesh.yaml").unlink()
    (desk.folder / "aws-config").write_text("[default]\nregion = sa-east-1\n[profile ops]\nregion = ca-west-1\n")
    assert "in sa-east-1" in desk.run("status")[2]
    desk.monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of somebody else")
    assert "in ca-west-1" in desk.run("status", "--profile", "ops")[2]
    assert (os.environ["AWS_PROFILE"], "AWS_ACCESS_KEY_ID" in os.environ) == ("ops", False), "keys of the environment do not win over --profile"
    (desk.folder / "aws-credentials").write_text("[ops]\naws_access_key_id = OPS\naws_secret_access_key = x\n")
    aws.session.cache_clear()
    aws.session().get_credentials()  # as whoever asked before
    desk.run("status", "--profile", "ops")
    assert aws.session().get_credentials().access_key == "OPS"
    desk.monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "no AWS profile 'nobody'; there are: default, ops" in desk.run("status")[2]


def test_an_unknown_environment_is_refused_with_those_there_are(desk: Desk) -> None:
    (desk.folder / "samconfig.toml").write_text("[default.global.parameters]\n[prod.global.parameters]\n")
    assert "no environment 'pord'; there are: default, prod" in desk.run("status", "--env", "pord")[2]


@pytest.mark.parametrize("words", ACTING, ids=lambda words: words[0])
def test_nothing_is_changed_from_a_folder_without_settings(desk: Desk, words: tuple[str, ...]) -> None:
    (desk.folder / "config" / "crossmesh.yaml").unlink()
    code, out, err = desk.run(*words, "--region", "eu-west-1")
    assert code == 1
    assert "refusing to change crossmesh: there is no crossmesh.yaml in config" in err
    assert out.startswith(LINE), "which one it would have been is said first"
    assert desk.world.state.documents == {}
    assert not desk.amazon.asked("put_events", "start_execution", "receive_message")


@pytest.mark.parametrize("words", ACTING, ids=lambda words: words[0])
def test_nothing_is_changed_of_another_owners_stack(desk: Desk, words: tuple[str, ...]) -> None:
    desk.amazon.deploy("crossmesh", "eu-west-1", owner="demo", at=desk.now)
    code, _, err = desk.run(*words)
    assert code == 1
    assert "its owner is 'demo', crossmesh.yaml in config says 'shop-prod'" in err
    assert desk.world.state.documents == {}
    assert not desk.amazon.asked("put_events", "start_execution", "receive_message")


def test_nothing_is_changed_in_another_region_or_account_than_the_configurations(desk: Desk) -> None:
    desk.amazon.deploy("crossmesh", "us-east-1", owner="shop-prod", at=desk.now)
    assert "it runs in us-east-1, crossmesh.yaml in config says eu-west-1" in desk.run("pause", "--region", "us-east-1")[2]
    arn = "arn:aws:eks:eu-west-1:999988887777:cluster/a"
    (desk.folder / "samconfig.toml").write_text(f'[default.deploy.parameters]\nparameter_overrides = ["EksClusterArns={arn}"]\n')
    assert "it runs in account 111122223333, the clusters of environment 'default'" in desk.run("pause")[2]
    assert desk.world.state.documents == {}


COMPARING = (("plan",), ("doctor",), ("replay",), ("canary", "history"))


@pytest.mark.parametrize("words", COMPARING, ids=lambda words: words[-1])
def test_nothing_is_compared_with_another_owners_stack(desk: Desk, words: tuple[str, ...]) -> None:
    """The reported case: `plan` asked to deploy a configuration of another owner, and `status` was content with it."""
    desk.pods(blue=1)
    desk.settle()
    desk.amazon.deploy("crossmesh", "eu-west-1", owner="demo", at=desk.now)
    code, out, err = desk.run(*words)
    assert code == 1
    assert "refusing to compare crossmesh with the configuration here: its owner is 'demo', crossmesh.yaml in config says 'shop-prod'" in err
    assert "deploy it" not in out + err


@pytest.mark.parametrize("words", COMPARING, ids=lambda words: words[-1])
def test_nothing_is_compared_across_regions_or_accounts(desk: Desk, words: tuple[str, ...]) -> None:
    desk.settle()
    desk.amazon.deploy("crossmesh", "us-east-1", owner="shop-prod", at=desk.now)
    code, _, err = desk.run(*words, "--region", "us-east-1")
    assert (code, "it runs in us-east-1, crossmesh.yaml in config says eu-west-1" in err) == (1, True)
    arn = "arn:aws:eks:eu-west-1:999988887777:cluster/a"
    (desk.folder / "samconfig.toml").write_text(f'[default.deploy.parameters]\nparameter_overrides = ["EksClusterArns={arn}"]\n')
    code, _, err = desk.run(*words)
    assert (code, "it runs in account 111122223333" in err) == (1, True)


def test_status_of_another_owners_stack_says_so_and_is_not_green(desk: Desk) -> None:
    desk.pods(blue=2, red=1)
    desk.settle()
    desk.world.state.documents[memory_key("front")] = codec.encode(
        CanaryHistory(last=Verdict(canary="front", kind="good", at=desk.now, says="all is well"))
    )
    assert desk.run("status")[0] == 0
    desk.amazon.deploy("crossmesh", "eu-west-1", owner="demo", at=desk.now - 3600)
    code, out, _ = desk.run("status")
    assert code == 3
    assert "- the configuration here is not that of crossmesh, so its canaries are not told: its owner is 'demo'" in out
    assert "canary front" not in out
    assert "the local one is" not in out
    assert json.loads(desk.run("status", "--json")[1])["config"]["foreign"].startswith("its owner is 'demo'")


@pytest.mark.parametrize("words", [("runs",), ("canary", "history", "front"), ("explain",)])
def test_what_is_read_of_the_stack_alone_is_read_of_any(desk: Desk, words: tuple[str, ...]) -> None:
    desk.settle()
    desk.world.state.documents[memory_key("front")] = codec.encode(CanaryHistory())
    desk.amazon.deploy("crossmesh", "eu-west-1", owner="demo", at=desk.now)
    assert desk.run(*words)[0] == 0


def test_init_gives_no_access_to_the_roles_of_another_owners_stack(desk: Desk) -> None:
    desk.amazon.deploy("crossmesh", "eu-west-1", owner="demo", at=desk.now)
    place = Place(region="eu-west-1", stack="crossmesh")
    assert init._roles(place, "demo") == (["arn:role"], "")
    assert init._roles(place, "shop-prod") == (
        [],
        "stack crossmesh in eu-west-1 is of owner 'demo', not 'shop-prod': name your own with stack_name in samconfig.toml, or --stack",
    )


def test_reading_verbs_go_on_without_settings_and_say_what_they_read(desk: Desk) -> None:
    (desk.folder / "config" / "crossmesh.yaml").unlink()
    code, out, _ = desk.run("status", "--region", "eu-west-1")
    assert (code, out.splitlines()[0]) == (3, f"{LINE} · no configuration in force yet")


def test_the_configuration_in_force_stands_in_the_first_line_and_json_stays_json(desk: Desk) -> None:
    desk.pods(blue=2, red=1)
    desk.settle()
    line = f"{LINE} · config {desk.context().config[:7]}"
    assert desk.run("plan")[1].splitlines()[0] == line
    _, out, err = desk.run("plan", "--json")
    assert out.startswith("{")
    assert err.splitlines()[0] == line


def test_a_drain_is_confirmed_by_the_stacks_name_with_counts(desk: Desk) -> None:
    desk.pods(blue=2, red=1)
    desk.settle()
    for answer in ("y", "yes", "crossmes", ""):
        desk.types(answer)
        code, _, err = desk.run("drain")
        assert code == 1
        assert "drain removes all 3 instances (color.shop.local 3) of stack crossmesh from Cloud Map" in err
        assert "Type the stack's name (crossmesh) to go ahead:" in err
        assert state.OPERATOR not in desk.world.state.documents
    desk.types("crossmesh")
    assert desk.run("drain")[0] == 0
    kept = codec.decode(desk.world.state.documents[state.OPERATOR], ManualOverrides)
    assert (kept.draining, kept.by) == (desk.now, {"drain": "assumed-role/Admin/alice"})


def test_every_verb_that_reaches_an_application_takes_all_four_flags() -> None:
    local = {"validate", "schema", "render", "access"}
    for verb in verbs(parser()):
        flags = {option for action in verb._actions for option in action.option_strings}
        if verb.prog.split()[1] not in local:
            assert {"--region", "--profile", "--stack", "--env"} <= flags, verb.prog


def test_a_verb_plans_by_the_configuration_as_the_functions_do(desk: Desk) -> None:
    """The local world's pods live on loopback, which only its environment allows; found by a plan there that wanted nothing of them."""
    desk.world.clusters.put("a", msgspec.structs.replace(pod("u", "blue"), ip="127.2.0.11"))
    assert "+ color.shop.local: shop/pod-u" not in desk.run("plan")[1]
    desk.monkeypatch.setenv(configuration.EXEMPT, "127.0.0.0/8")
    assert "+ color.shop.local: shop/pod-u of a" in desk.run("plan")[1]


@pytest.mark.parametrize(("region", "meant"), [("eu-wets-1", "did you mean eu-west-1?"), ("eu-west-99", "ignore this if the Region is new")])
def test_a_misspelt_region_is_told_by_every_verb_before_aws_is_asked(desk: Desk, region: str, meant: str) -> None:
    err = desk.run("status", "--region", region)[2]
    assert f"{region!r} is no Region that this version of the AWS SDK knows" in err.splitlines()[0]
    assert meant in err.splitlines()[0]
    assert "SDK" not in desk.run("status", "--region", "us-gov-west-1")[2]
