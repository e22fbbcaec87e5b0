"""samconfig.toml, changed in one place only: the parameter overrides of an environment. Everything
else stays as it was written, comments included.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
import tomlkit.exceptions
from tomlkit.items import Array

from crossmesh.errors import RefusedError

FILE = "samconfig.toml"
# How a parameter is set to nothing; one that is left out keeps the value that the stack has
_EMPTY = '""'


def overrides(text: str, environment: str) -> dict[str, str]:
    """The overrides as they are; raises RefusedError for a file that is not TOML."""
    return _pairs(
        _parsed(text).get(environment, {}).get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    )


def changed(text: str, environment: str, wanted: Mapping[str, str]) -> str:
    """The file with `wanted` among the overrides. A parameter that is "" is left to the template's
    default, or emptied where it had a value.
    """
    document, before = _parsed(text), overrides(text, environment)
    entry = tomlkit.array()
    for name, value in {**before, **wanted}.items():
        if value or name in before:
            entry.add_line(f"{name}={value or _EMPTY}", indent="  ")
    entry.add_line(indent="")
    section: Any = document
    for part in (environment, "deploy", "parameters"):
        if part not in section:
            section.append(part, tomlkit.table(is_super_table=part != "parameters"))
        section = section[part]
    section["parameter_overrides"] = entry
    return tomlkit.dumps(document)


def read(folder: Path) -> str:
    """The file's text, "" where there is none."""
    file = folder / FILE
    return file.read_text() if file.is_file() else ""


def _parsed(text: str) -> Any:
    try:
        return tomlkit.parse(text)
    except tomlkit.exceptions.ParseError as error:
        raise RefusedError("NotToml", f"{FILE}: {error}") from error


def _pairs(given: Any) -> dict[str, str]:
    listed = [str(one) for one in given] if isinstance(given, Array | list) else str(given).split()
    return {name: "" if value == _EMPTY else value for name, _, value in (one.partition("=") for one in listed)}
