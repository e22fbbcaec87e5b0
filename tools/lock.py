"""Resolve every dependency once; the layer, the watcher and the server of Envoys get the same versions as the development environment.

Runs `uv pip compile --generate-hashes --no-header` so that no registry's address is written down.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
LAYER = ["aws-lambda-powertools", "boto3", "Brotli", "google-re2", "msgspec", "PyYAML", "urllib3", "webencodings"]


ALONE = "kubernetes"
"""Ships without what it needs for its models, OAuth and web sockets: only its REST transport is loaded (`adapters/kubernetes/client.py`)."""


def compile_requirements(requirements: list[str], target: Path, *constraints: Path, without: Iterable[str] = ()) -> None:
    """Write `target` with the hashed resolution of `requirements` under `constraints`, packages of `without` left out."""
    command = ["uv", "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--universal"]
    command += ["--python-version", "3.11", "-o", str(target), "-"]
    for constraint in constraints:
        command += ["-c", str(constraint)]
    for name in without:
        command += ["--no-emit-package", name]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, cwd=ROOT)
    print(f"{target.relative_to(ROOT)}: {target.read_text().count('==')} packages")


def main() -> None:
    """Write requirements/*.txt, layers/packages/deps.txt and the requirements of watcher and xds."""
    groups = PROJECT["dependency-groups"]
    everything = ROOT / "requirements" / "dev.txt"
    compile_requirements([*RUNTIME, *groups["dev"], *groups["world"], *groups["xds"]], everything)
    compile_requirements(["uv"], ROOT / "requirements" / "uv.txt", everything)
    wanted = [line for line in RUNTIME if any(line.lower().startswith(name.lower()) for name in LAYER)]
    deps = ROOT / "layers" / "packages" / "deps.txt"
    compile_requirements(wanted, deps, everything)
    shipped = set(re.findall(r"^([\w.-]+)==", deps.read_text(), re.MULTILINE))
    alone = [line for line in RUNTIME if line.startswith(ALONE)]
    compile_requirements([*wanted, *alone], deps, everything)
    needed = set(re.findall(r"^([\w.-]+)==", deps.read_text(), re.MULTILINE))
    compile_requirements([*wanted, *alone], deps, everything, without=sorted(needed - shipped - {ALONE}))
    watcher = tomllib.loads((ROOT / "watcher" / "pyproject.toml").read_text())["project"]["dependencies"]
    compile_requirements(watcher, ROOT / "watcher" / "requirements.txt", everything)
    server = tomllib.loads((ROOT / "xds" / "pyproject.toml").read_text())
    compile_requirements(server["project"]["dependencies"], ROOT / "xds" / "requirements.txt", everything)
    compile_requirements(server["dependency-groups"]["descriptors"], ROOT / "xds" / "descriptors.txt", everything)


if __name__ == "__main__":
    main()
