"""Pods and Services of all clusters as their control servers tell them, a few times a second."""

import asyncio
from typing import Any

import aiohttp

EVERY_S = 0.2


class PodsView:
    """The last answer of each cluster; a cluster that does not answer keeps what it said last (its pods go on serving)."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._controls = {name: f"http://127.0.0.1:{cluster['control']}/_world" for name, cluster in document["clusters"].items()}
        self._pods: dict[str, list[dict[str, Any]]] = {}
        self._services: dict[str, list[dict[str, Any]]] = {}

    @property
    def pods(self) -> list[dict[str, Any]]:
        """All pods."""
        return [pod for pods in self._pods.values() for pod in pods]

    @property
    def services(self) -> list[dict[str, Any]]:
        """All Services."""
        return [service for services in self._services.values() for service in services]

    async def follow(self) -> None:
        """Until cancelled."""
        timeout = aiohttp.ClientTimeout(total=3)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for name, control in self._controls.items():
                    try:
                        async with session.get(f"{control}/pods") as answer:
                            self._pods[name] = await answer.json()
                        async with session.get(f"{control}/services") as answer:
                            self._services[name] = await answer.json()
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        continue
                await asyncio.sleep(EVERY_S)
