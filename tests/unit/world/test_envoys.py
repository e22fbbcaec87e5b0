"""Envoys come and go with their pods, whatever they start with. Programs that only wait stand in for them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from world.dataplane import envoys
from world.dataplane.envoys import Envoys, Start

Pod = dict[str, Any]


def pod(uid: str, **more: Any) -> Pod:
    return {"uid": uid, "ip": f"127.9.9.{uid}", "cluster": "c", "namespace": "n", "name": f"pod-{uid}", "sidecar": True, **more}


def starts(pod: Pod) -> Start | None:
    """Pod 3 has no Envoy of this world; of pod 4 something is wrong."""
    if pod["uid"] == "4":
        raise OSError("no token")
    return None if pod["uid"] == "3" else Start(f"proxy-{pod['uid']}", {"node": {"id": pod["uid"]}})


class Watched(Envoys):
    """Told in a list instead of a cluster."""

    def __init__(self, folder: Path, pods: list[Pod]) -> None:
        (folder / "logs").mkdir()
        self.gone: list[str] = []
        self.told: list[tuple[str, bool]] = []
        document = {"dir": str(folder), "clusters": {"c": {"control": 1}}}
        super().__init__(document, SimpleNamespace(pods=pods), starts, self.gone.append)  # type: ignore[arg-type]

    async def _tell(self, uid: str, pod: Pod, *, running: bool) -> None:
        if running == (uid in self._down):
            self._down ^= {uid}
            self.told.append((uid, running))


@pytest.fixture(autouse=True)
def waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envoys, "command", lambda *_: ["sleep", "600"])
    monkeypatch.setattr(envoys, "EVERY_S", 0.01)


def played(found: Watched, *steps: Callable[[], bool]) -> None:
    """Each step is asked until it is true, while Envoys follow their pods."""

    async def play() -> None:
        task = asyncio.create_task(found.follow())
        try:
            for step in steps:
                async with asyncio.timeout(10):
                    while not step():
                        await asyncio.sleep(0.01)
                assert not task.done()
        finally:
            task.cancel()
            found.stop()

    asyncio.run(play())


def test_each_pod_with_a_sidecar_gets_an_envoy_with_what_was_handed_in(tmp_path: Path) -> None:
    pods = [pod("1"), pod("2", sidecar=False), pod("3"), pod("5", ip="")]
    found = Watched(tmp_path, pods)
    played(found, lambda: found.proxies() == ["proxy-1"])
    assert json.loads((tmp_path / "envoy-127.9.9.1.json").read_text()) == {"node": {"id": "1"}}
    assert (found.told, found.gone) == ([], ["proxy-1"])


def test_one_that_cannot_start_is_told_and_stops_no_other(tmp_path: Path) -> None:
    found = Watched(tmp_path, [pod("4"), pod("1")])
    played(found, lambda: found.proxies() == ["proxy-1"] and found.told == [("4", False)])


def test_one_that_died_is_ended_and_started_again(tmp_path: Path) -> None:
    found = Watched(tmp_path, [pod("1")])
    played(found, lambda: found.proxies() != [], lambda: found.kill() == 1, lambda: found.gone == ["proxy-1"], lambda: found.proxies() != [])


def test_while_paused_none_starts_and_the_kubelet_is_told(tmp_path: Path) -> None:
    found = Watched(tmp_path, [pod("1")])
    found.paused = True

    def go_on() -> bool:
        found.paused = False
        return True

    played(found, lambda: found.told == [("1", False)], go_on, lambda: found.told == [("1", False), ("1", True)])
    assert found.gone == ["proxy-1"]


def test_an_envoy_ends_with_its_pod(tmp_path: Path) -> None:
    pods = [pod("1")]
    found = Watched(tmp_path, pods)
    played(found, lambda: found.proxies() != [], lambda: pods.pop() is not None, lambda: found.proxies() == [])
    assert found.gone == ["proxy-1"]
