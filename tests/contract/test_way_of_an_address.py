"""The way from Kubernetes' answer to RegisterInstance is as short as its page says, and goes through the files that it names."""

import re
import sys
from types import FrameType
from typing import Any

import msgspec
import pytest

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld
from world.deploy import ROOT

MOST = 24
ADDRESS = "10.9.8.77"
PACKAGE = ROOT / "layers/core/python"


def table() -> dict[str, list[str]]:
    """What files do on the way -> those files, as the page has them."""
    page = (ROOT / "docs/explanation/life-of-an-address.md").read_text()
    section = page.partition("## The files of the way\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if "`" in line]
    return {what: re.findall(r"`([^`]+)`", files) for what, files in rows}


def holding() -> set[str]:
    """Files of the package with a function that was handed the address of one new pod, until it is registered."""
    world = MemoryWorld()
    world.clusters.put("a", pod("u1"))
    world.run(context())
    world.clock.sleep(60)
    world.clusters.put("a", msgspec.structs.replace(pod("u22"), ip=ADDRESS))
    found: set[str] = set()

    def holds(value: Any) -> bool:
        if isinstance(value, bytes):
            return ADDRESS.encode() in value
        return isinstance(value, (str, tuple, list, dict, set, frozenset, msgspec.Struct)) and ADDRESS in repr(value)

    def note(frame: FrameType, event: str, answer: Any) -> None:
        file = frame.f_code.co_filename
        if file.startswith(str(PACKAGE)) and event in ("call", "return"):
            sys.setprofile(None)
            if holds(answer) or any(holds(value) for value in frame.f_locals.values()):
                found.add(file.removeprefix(f"{PACKAGE}/"))
            sys.setprofile(note)

    sys.setprofile(note)
    try:
        world.look(context())
        world.run(context())
    finally:
        sys.setprofile(None)
    assert "u22" in world.pods_in()
    return found


def test_it_is_short_and_names_no_file_twice() -> None:
    files = [file for row in table().values() for file in row]
    assert len(files) == len(set(files))
    assert len(files) <= MOST
    text = (ROOT / "docs/explanation/life-of-an-address.md").read_text()
    assert f"there are {len(files)} files to read" in text
    assert [file for file in files if not (PACKAGE / file).is_file() and not (ROOT / file).is_file()] == []


@pytest.mark.parametrize("what", ["hands the address on", "judges the address"])
def test_every_file_of_the_way_is_really_on_it(what: str) -> None:
    assert set(table()[what]) - holding() == set()
