"""Fill a layer that fits every function: wheels of both processors side by side, and bytecode.

The host's Python and processor have no say. Python tells compiled modules apart by the tag in their names
(`_core.cpython-313-aarch64-linux-gnu.so`), and everything else in a wheel is the same for both processors. So one folder
holds the modules of both, and `Architecture` can be changed without a new build. What has no such tag, or differs
elsewhere, ends the build with an error. The Python version is the one in `python-version`; the local world adds its own
with CROSSMESH_ALSO_FOR where the machine has another one.

Needs Python 3.9 and uv only: the machine of whoever runs `sam build` may have no more.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MACHINES = {"x86_64": 0x3E, "aarch64": 0xB7}  # ELF's e_machine
TAG = re.compile(r"\.cpython-(\d+)-(\w+)-linux-gnu\.so$")


class BuildError(Exception):
    """The layer would not fit its functions."""


def versions():
    """The Python versions that the layer must serve, the deployed one first."""
    deployed = Path(__file__).with_name("python-version").read_text().strip()
    return list(dict.fromkeys([deployed, *os.environ.get("CROSSMESH_ALSO_FOR", "").split()]))


def platform(version, machine, deployed):
    """uv's name for what a function runs on.

    Lambda has Amazon Linux 2 (glibc 2.26) up to Python 3.11 and Amazon Linux 2023 (glibc 2.34) from 3.12 on. The local
    world, for which versions are added, needs glibc 2.31.
    """
    old = deployed and int(version.split(".")[1]) < 12
    return machine + ("-manylinux2014" if old else "-manylinux_2_28")


def install(uv, requirements, target):
    """Every variant of the pinned, hashed wheels in one folder."""
    for version in versions():
        for machine in MACHINES:
            with tempfile.TemporaryDirectory() as folder:
                command = [uv, "pip", "install", "-q", "--target", folder, "--python-version", version]
                command += ["--python-platform", platform(version, machine, version == versions()[0]), "--only-binary", ":all:"]
                command += ["--link-mode", "copy", "--no-deps", "--require-hashes", "-r", requirements]
                run(command)
                merge(Path(folder), Path(target), version, machine)


def merge(variant, target, version, machine):
    """Add a variant's files to the layer. Raises BuildError for a file that only one variant could use and whose name does not say so."""
    for path in sorted(variant.rglob("*")):
        name = path.relative_to(variant)
        if path.is_dir() or name.parts[0] == ".lock":
            continue
        if ".so" in path.suffixes:
            check(path, name, version, machine)
        there = target / name
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)
        elif not name.parts[0].endswith(".dist-info") and there.read_bytes() != path.read_bytes():
            raise BuildError(f"{name} differs for Python {version} on {machine}: one layer cannot hold both")


def check(path, name, version, machine):
    """Raises BuildError unless a compiled file carries the tag of its variant and is made for that processor."""
    tag = TAG.search(name.name)
    if not tag or tag.groups() != (version.replace(".", ""), machine):
        raise BuildError(f"{name} has no tag of Python {version} on {machine}: another function's Python would load it, too")
    with path.open("rb") as file:
        found = int.from_bytes(file.read(20)[18:], "little")
    if found != MACHINES[machine]:
        raise BuildError(f"{name} is not made for {machine} (ELF machine {found:#x})")


def compile_all(uv, target, without, in_place):
    """Bytecode that Python believes without a look at the source, since nothing changes a layer; in a source tree, bytecode that it checks."""
    mode = "checked-hash" if in_place else "unchecked-hash"
    skip = ["-x", without] if without else []
    for version in versions():
        python = interpreter(uv, version)
        if not python:
            print(f"crossmesh: no Python {version} on this machine: the layer has no bytecode, and functions start slower", file=sys.stderr)
            continue
        # Paths in tracebacks are the layer's, so the same sources give the same bytes wherever they are built.
        prefix = ["-s", target, "-p", "/opt/python"]
        subprocess.run([python, "-m", "compileall", "-q", "--invalidation-mode", mode, *skip, *prefix, target], check=False)


def interpreter(uv, version):
    """A Python of that version, "" where this machine has none."""
    beside = [str(Path(uv).parent)] if os.sep in uv else []
    path = os.pathsep.join([*beside, os.environ.get("PATH", "")])
    command = [uv, "python", "find", "--no-project", "--no-python-downloads", version]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    return done.stdout.strip() if done.returncode == 0 else ""


def run(command):
    """Run a command; its output is the error's text."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not on the PATH: run `make setup`, or install uv") from None
    if done.returncode:
        raise BuildError(f"{' '.join(command[:3])} failed:\n{done.stdout}{done.stderr}")


def main():
    """Exit code 1 and the reason on stderr, which `sam build` shows, when the layer would not fit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--uv", default="uv")
    verbs = parser.add_subparsers(dest="verb", required=True)
    installing = verbs.add_parser("install")
    installing.add_argument("requirements")
    installing.add_argument("target")
    compiling = verbs.add_parser("compile")
    compiling.add_argument("--in-place", action="store_true")
    compiling.add_argument("--without", default="", help="a regular expression of paths that get no bytecode")
    compiling.add_argument("target")
    given = parser.parse_args()
    try:
        if given.verb == "install":
            install(given.uv, given.requirements, given.target)
        else:
            compile_all(given.uv, given.target, given.without, given.in_place)
    except BuildError as error:
        sys.exit(f"crossmesh: {error}")


if __name__ == "__main__":
    main()
