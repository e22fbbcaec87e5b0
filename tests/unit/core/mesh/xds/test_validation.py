"""Envoy itself takes what is rendered. One resource that it refuses would refuse all that come with it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.envoy_validation import refusal, static, validated
from tests.support.golden_envoy import CASES, GOLDEN, RECORDED, rendered, text


@pytest.mark.parametrize("case", RECORDED)
def test_the_recorded_rendering_is_that_of_today(case: str) -> None:
    assert text(case) == (GOLDEN / f"{case}.json").read_text(), "after a change that is meant: `python -m tests.support.golden_envoy`"


@pytest.mark.parametrize("case", CASES)
def test_envoy_takes_every_recorded_rendering(case: str, tmp_path: Path) -> None:
    assert validated(rendered(case), tmp_path) == {}


def _unknown_cluster(config: dict[str, Any]) -> None:
    found = config["static_resources"]["clusters"]
    config["static_resources"]["clusters"] = [cluster for cluster in found if "_one_" not in cluster["name"]]


def _no_weight(config: dict[str, Any]) -> None:
    text = json.dumps(config["static_resources"]["listeners"]).replace('"weight": 1', '"weight": 0').replace('"weight": 3', '"weight": 0')
    config["static_resources"]["listeners"] = json.loads(text)


def _unknown_field(config: dict[str, Any]) -> None:
    config["static_resources"]["clusters"][0]["conect_timeout"] = "1s"


@pytest.mark.parametrize("broken", [_unknown_cluster, _no_weight, _unknown_field])
def test_what_is_broken_is_refused(broken: Any, tmp_path: Path) -> None:
    made = rendered("routes")
    proxy = next(proxy for proxy in made.proxies if "front" in proxy.id)
    config = static(proxy, made.endpoints[proxy.mesh], tmp_path)
    file = tmp_path / "proxy.json"
    file.write_text(json.dumps(config))
    assert refusal(file) == ""
    broken(config)
    file.write_text(json.dumps(config))
    assert refusal(file) != ""


def test_a_refusal_names_the_proxy(tmp_path: Path) -> None:
    made = rendered("routes")
    broken = [msgspec.structs.replace(proxy, clusters=proxy.clusters[:1]) if "front" in proxy.id else proxy for proxy in made.proxies]
    said = validated(msgspec.structs.replace(made, proxies=tuple(broken)), tmp_path)
    assert list(said) == ["mesh/shop/virtualNode/front_shop"]
