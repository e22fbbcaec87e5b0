"""Resolve every dependency once; layers and watcher get the same versions as the development environment.

Runs `uv pip compile --generate-hashes --no-header` so that no registry's address is written down.
"""

import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RUNTIME = PROJECT["project"]["dependencies"]
LAYERS = {
    "deps": ["aws-lambda-powertools", "boto3", "msgspec", "PyYAML"],
    "kubernetes": ["kubernetes"],
}


def compile_requirements(requirements: list[str], target: Path, *constraints: Path) -> None:
    """Write `target` with the hashed resolution of `requirements` under `constraints`."""
    command = ["uv", "pip", "compile", "-q", "--generate-hashes", "--no-header", "--no-annotate", "--universal"]
    command += ["--python-version", "3.11", "-o", str(target), "-"]
    for constraint in constraints:
        command += ["-c", str(constraint)]
    subprocess.run(command, input="\n".join(requirements), text=True, check=True, cwd=ROOT)
    print(f"{target.relative_to(ROOT)}: {target.read_text().count('==')} packages")


def main() -> None:
    """Write requirements/*.txt, layers/*/requirements.txt and watcher/requirements.txt."""
    groups = PROJECT["dependency-groups"]
    everything = ROOT / "requirements" / "dev.txt"
    compile_requirements([*RUNTIME, *groups["dev"], *groups["world"]], everything)
    compile_requirements(["uv"], ROOT / "requirements" / "uv.txt", everything)
    for layer, names in LAYERS.items():
        wanted = [line for line in RUNTIME if any(line.lower().startswith(name.lower()) for name in names)]
        compile_requirements(wanted, ROOT / "layers" / layer / "requirements.txt", everything)
    watcher = tomllib.loads((ROOT / "watcher" / "pyproject.toml").read_text())["project"]["dependencies"]
    compile_requirements(watcher, ROOT / "watcher" / "requirements.txt", everything)


if __name__ == "__main__":
    main()
