"""samconfig.toml: every environment deploys what the project's own crossmesh.yaml means, with parameters that the template has."""

import tomllib

import pytest
from crossmesh import configuration
from crossmesh.cli.samconfig import overrides
from crossmesh.core.stack_parameters import disagreements

from tests.contract.template import ACCOUNT, written
from world.deploy import ROOT

TEXT = (ROOT / "samconfig.toml").read_text()
ENVIRONMENTS = [name for name in tomllib.loads(TEXT) if name != "version"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_parameters_are_the_templates_and_agree_with_the_settings(environment: str) -> None:
    given, known = overrides(TEXT, environment), written()["Parameters"]
    assert set(given) <= set(known)
    for name, value in given.items():
        allowed = [str(one) for one in known[name].get("AllowedValues", ())]
        assert not allowed or value in allowed, f"{name}={value}"
    assert {name for name, one in known.items() if "Default" not in one} <= set(given), "what has no default is given"
    settings = configuration.load(ROOT / "config").settings
    assert settings is not None
    assert disagreements(settings, ACCOUNT, given) == ()


def test_there_is_one_for_the_world_for_trying_and_for_use() -> None:
    assert set(ENVIRONMENTS) == {"default", "dev", "prod", "world"}
    assert overrides(TEXT, "default")["Mode"] == "observe", "the first deployment only looks"
    assert overrides(TEXT, "world")["World"] == "local"
    assert all("World" not in overrides(TEXT, name) for name in ENVIRONMENTS if name != "world")
