"""The environment: every mistake at once."""

import pytest
from crossmesh_watcher.access import SERVICE_ACCOUNT
from crossmesh_watcher.settings import SettingsError, read

BUS = "arn:aws:events:eu-west-1:111122223333:event-bus/crossmesh-hints"
GOOD = {"CROSSMESH_CLUSTER": "eksc1", "CROSSMESH_HINT_BUS": BUS, "CROSSMESH_NAMESPACES": "shop, appmesh-demo,shop,"}


def test_the_regions_is_the_buses_and_namespaces_come_once() -> None:
    found = read(GOOD)
    assert (found.region, found.namespaces, found.account) == ("eu-west-1", ("appmesh-demo", "shop"), SERVICE_ACCOUNT)
    assert (found.health, read({**GOOD, "CROSSMESH_HEALTH": "[::1]:9"}).health) == (("", 8081), ("::1", 9))
    assert read({**GOOD, "CROSSMESH_SELECTOR": "app in (a,b)"}).selector == "app in (a,b)"


def test_all_mistakes_are_named_together() -> None:
    wrong = {"CROSSMESH_HINT_BUS": "hints", "CROSSMESH_NAMESPACES": "ok,Bad_One", "CROSSMESH_HEALTH": "8081x"}
    with pytest.raises(SettingsError) as error:
        read(wrong)
    lines = str(error.value).splitlines()
    assert [line.split()[0].rstrip(":") for line in lines] == [
        "CROSSMESH_CLUSTER",
        "CROSSMESH_NAMESPACES",
        "CROSSMESH_HINT_BUS",
        "CROSSMESH_HEALTH",
    ]
    assert "'Bad_One'" in lines[1]
    assert "HintBusArn" in lines[2]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_required_is_asked_for(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is not set"):
        read({**GOOD, name: " "})


def test_commas_alone_name_no_namespace() -> None:
    with pytest.raises(SettingsError, match="names no namespace"):
        read({**GOOD, "CROSSMESH_NAMESPACES": " , "})
