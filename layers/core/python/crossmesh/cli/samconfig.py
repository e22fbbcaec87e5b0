"""samconfig.toml, changed in one place only: the parameter overrides of an environment. Everything else stays as it was written, comments included."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossmesh.errors import RefusedError

FILE = "samconfig.toml"
_VALUE = re.compile(r"^parameter_overrides\s*=\s*(?:\"[^\"]*\"|'[^']*'|\[[^\]]*\])[ \t]*\n?", re.MULTILINE)


def overrides(text: str, environment: str) -> dict[str, str]:
    """The overrides as they are; raises RefusedError for a file that is not TOML."""
    try:
        parsed: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RefusedError("NotToml", f"{FILE}: {error}") from error
    given = parsed.get(environment, {}).get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    pairs = given.split() if isinstance(given, str) else given
    return {name: value for name, _, value in (str(pair).partition("=") for pair in pairs)}


def changed(text: str, environment: str, wanted: Mapping[str, str]) -> str:
    """The file with `wanted` among the overrides; a parameter that is "" there is left to the template's default."""
    merged = {**overrides(text, environment), **wanted}
    lines = "".join(f'  "{name}={value}",\n' for name, value in merged.items() if value)
    entry, head = f"parameter_overrides = [\n{lines}]\n", f"[{environment}.deploy.parameters]"
    if head not in text:
        return f"{text.rstrip()}\n\n{head}\n{entry}".lstrip("\n")
    before, _, rest = text.partition(head)
    section, mark, after = rest.partition("\n[")
    kept = _VALUE.sub("", section if section.endswith("\n") else f"{section}\n")
    return f"{before}{head}{kept.rstrip()}\n{entry}{mark}{after}"


def read(folder: Path) -> str:
    """The file's text, "" where there is none."""
    file = folder / FILE
    return file.read_text() if file.is_file() else ""
