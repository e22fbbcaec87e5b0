"""A scenario's file, typed: given / when / then. Mistakes are told with the file and the field."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

ROOT = Path(__file__).resolve().parent.parent / "scenarios"


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The world before it begins. `replicas` of Deployments of the colours' cluster; `pre_stop`: seconds that a colour pod goes on serving once told to end."""

    replicas: dict[str, int] = {}
    pre_stop: int = 0


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happens and what must hold after it. `when` and `then` are single-key mappings: a verb or check, and its argument."""

    tell: str
    when: tuple[dict[str, Any], ...] = ()
    then: tuple[dict[str, Any], ...] = ()


class Load(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What users see meanwhile. `rate`: requests a second; `lag`: seconds after a pod's death in which a request may still be sent to it; `unrouted`: whether
    requests may fail that no pod was chosen for (the proxy itself is what breaks)."""

    rate: float = 20.0
    lag: float = 5.0
    unrouted: bool = False


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`why` names the peer or rule that it is about; `load` None = no traffic is sent."""

    name: str = ""
    title: str
    why: str
    given: Given = Given()
    acts: tuple[Act, ...]
    load: Load | None = Load()


def load(file: Path) -> Scenario:
    """Read one. Raises ValueError naming file and field."""
    try:
        scenario = msgspec.convert(yaml.safe_load(file.read_text()), Scenario)
    except (msgspec.ValidationError, yaml.YAMLError) as error:
        raise ValueError(f"{file.name}: {error}") from error
    for index, act in enumerate(scenario.acts):
        for step in (*act.when, *act.then):
            if len(step) != 1:
                raise ValueError(f"{file.name}: acts[{index}]: {step}: one verb or check a line")
    return msgspec.structs.replace(scenario, name=file.stem)


def all_scenarios() -> dict[str, Path]:
    """Name -> file."""
    return {file.stem: file for file in sorted(ROOT.glob("*.yaml"))}
