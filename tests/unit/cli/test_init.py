"""`crossmesh init` offline, samconfig.toml around its overrides, and what a deployed function refuses to differ from."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from crossmesh import runtime
from crossmesh.cli import init, main
from crossmesh.cli.init import access
from crossmesh.cli.samconfig import changed, overrides
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.stack_parameters import disagreements, parameters
from crossmesh.errors import RefusedError

from tests.support.builders import context
from tests.support.modelled import OTHER_ACCOUNT, ModelledWorld

ROOT = Path(__file__).parents[3]
ROLE = "arn:aws:iam::444455556666:role/crossmesh-reader"
WRITTEN = """\
version = 0.1
# ours

[default.global.parameters]
stack_name = "mine"

[default.deploy.parameters]
resolve_s3 = true
parameter_overrides = "Mode=apply Owner=old"
confirm_changeset = true   # ask

[prod.deploy.parameters]
parameter_overrides = ["Owner=prod"]
"""


def test_only_the_overrides_of_one_environment_change() -> None:
    text = changed(WRITTEN, "default", {"Owner": "new", "EksClusterArns": "a,b", "ClusterRoleArns": ""})
    assert overrides(text, "default") == {"Mode": "apply", "Owner": "new", "EksClusterArns": "a,b"}
    assert overrides(text, "prod") == {"Owner": "prod"}
    for kept in ("# ours", 'stack_name = "mine"', "confirm_changeset = true   # ask", "resolve_s3 = true"):
        assert kept in text
    assert changed(text, "default", {"Owner": "new", "EksClusterArns": "a,b"}) == text, "a second time changes nothing"


@pytest.mark.parametrize("environment", ["default", "world", "prod", "unknown"])
def test_any_environment_of_the_projects_own_file_can_be_written(environment: str) -> None:
    text = changed((ROOT / "samconfig.toml").read_text(), environment, {"Owner": "x"})
    assert overrides(text, environment)["Owner"] == "x"
    tomllib.loads(text)


def test_a_file_that_is_not_toml_is_refused_and_stays() -> None:
    with pytest.raises(RefusedError, match=r"samconfig\.toml"):
        overrides("[default", "default")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_init_writes_settings_that_a_second_one_reads(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--offline", "--json", "--region", "us-east-1"]) == 3
    assert json.loads(capsys.readouterr().out)["backend"] == "none"
    assert "2026-09-30" in (here / "config" / "crossmesh.yaml").read_text(), "and why"
    (here / "config" / "mesh" / "mesh.yaml").write_text((ROOT / "config" / "mesh" / "mesh.yaml").read_text())
    assert main(["init", "--offline"]) == 2, "offline nobody tells the account"
    assert main(["init", "--offline", "--account", "111122223333", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parameters"]["EksClusterArns"] == "arn:aws:eks:us-east-1:111122223333:cluster/my-cluster"
    assert overrides((here / "samconfig.toml").read_text(), "default")["Owner"] == "my-mesh"
    assert main(["init", "--offline", "--json"]) == 0, "the account is in samconfig.toml now"


def test_settings_and_their_parameters_agree_and_each_difference_is_named() -> None:
    settings = context(clusters=("a", "b")).settings
    account = "111122223333"
    given = parameters(settings, account)
    assert disagreements(settings, account, given) == ()
    for name in ("Owner", "EksClusterArns", "ClusterRoleArns"):
        (one,) = disagreements(settings, account, {**given, name: "other"})
        assert name in one
    turned = {**given, "EksClusterArns": ",".join(reversed(given["EksClusterArns"].split(",")))}
    assert disagreements(settings, account, turned) == (), "order is no difference"
    assert disagreements(settings, account, {}) == (), "what is not said is not judged"


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment of a function of the project's own configuration."""
    arns = ",".join(f"arn:aws:eks:us-east-1:111122223333:cluster/{name}" for name in ("eksc1", "eksc2"))
    for name, value in {
        "AWS_REGION": "us-east-1",
        "CROSSMESH_DEPLOYMENT": "111122223333/us-east-1/crossmesh",
        "CROSSMESH_OWNER": "demo",
        "CROSSMESH_CLUSTER_ARNS": arns,
        "CROSSMESH_CLUSTER_ROLE_ARNS": "",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(ROOT / "config"))
    runtime.live_context.cache_clear()
    yield
    runtime.live_context.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("CROSSMESH_OWNER", "other", "Owner"),
        ("CROSSMESH_CLUSTER_ARNS", "arn:aws:eks:us-east-1:111122223333:cluster/eksc1", "EksClusterArns"),
        ("CROSSMESH_CLUSTER_ROLE_ARNS", ROLE, "ClusterRoleArns"),
    ],
)
def test_a_function_deployed_with_other_parameters_refuses_to_start(
    deployed: None, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    assert runtime.live_context().settings.owner == "demo"
    runtime.live_context.cache_clear()
    monkeypatch.setenv(variable, value)
    with pytest.raises(RefusedError, match=rf"{named} .*crossmesh init"):
        runtime.live_context()


def test_a_cluster_of_another_account_gets_its_role_first_and_the_entry_for_that() -> None:
    other = ClusterSettings(name="east", eks="east-1", region="us-east-1", role_arn=ROLE, external_id="a-secret/1")
    apply, role, entry = access(other, ["arn:r1", "arn:r2"], "111122223333")
    assert apply == "kubectl --context east apply -f clusters/reader.yaml"
    assert "clusters/role.yaml" in role
    assert "RoleName=crossmesh-reader ClusterName=east-1 ReaderRoleArns=arn:r1,arn:r2 ExternalId=a-secret/1" in role
    assert entry.endswith(f"--principal-arn {ROLE}")
    own = ClusterSettings(name="here", eks="here", region="us-east-1")
    assert len(access(own, ["arn:r1", "arn:r2"], "111122223333")) == 3, "one entry a role"


def test_namespaces_are_written_by_their_arn_and_what_a_name_does_not_tell_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    world = ModelledWorld(namespace=False)
    one, two, twice = (
        world.namespace("one.local"),
        world.namespace("two.local"),
        [world.namespace("twice.local", vpc) for vpc in ("vpc-1", "vpc-2")],
    )
    shared = world.model.share(OTHER_ACCOUNT, "shared.local")
    monkeypatch.setattr(init.aws, "client", lambda *_, **__: world.registry._read)
    settings = msgspec.structs.replace(
        context().settings, mesh=msgspec.structs.replace(context().settings.mesh, namespaces=(("two.local", two),))
    )
    found, todo = init._namespaces(settings, {"one.local", "two.local", "twice.local", "shared.local", "gone.local"})
    arns = [world.model.namespaces[ident].arn for ident in (one, two)]
    assert found["NamespaceArns"] == ",".join(sorted(arns))
    assert found["HostedZoneArns"].count("arn:aws:route53:::hostedzone/Z") == 2
    said = {name: line for name in ("gone.local", "twice.local", "shared.local") for line in todo if name in line}
    assert len(todo) == len(said) == 3
    assert "create-private-dns-namespace --name gone.local" in said["gone.local"]
    assert all(ident in said["twice.local"] for ident in twice)
    assert shared.arn in said["shared.local"]
