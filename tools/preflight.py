"""Say, before anything is installed, what this machine lacks."""

import platform
import shutil
import sys
from pathlib import Path

problems = []
if sys.version_info < (3, 11):  # noqa: UP036 - this file is what tells the user of an older Python
    problems.append(f"Python 3.11 or newer is needed, this is {platform.python_version()}: set PYTHON=python3.x")
if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
    problems.append(f"Linux on x86-64 or arm64 is needed (Envoy comes as a binary), this is {sys.platform} {platform.machine()}")
libc, version = platform.libc_ver()
if libc == "glibc" and tuple(map(int, version.split(".")[:2])) < (2, 31):
    problems.append(f"glibc 2.31 or newer is needed, this is {version}")
for tool in ("git", "make"):
    if not shutil.which(tool):
        problems.append(f"`{tool}` is not on the PATH: install it from your distribution's packages")
try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    problems.append("this Python lacks `venv`: install the python3-venv package")
deployed = (Path(__file__).resolve().parent.parent / "layers" / "packages" / "python-version").read_text().strip()
if not problems and deployed != f"{sys.version_info.major}.{sys.version_info.minor}":
    print(
        f"crossmesh setup: the venv and the local world use Python {platform.python_version()}; on AWS the functions run on {deployed}. "
        f"To test what is deployed, install Python {deployed} and run `make setup` again.",
        file=sys.stderr,
    )
for problem in problems:
    print(f"crossmesh setup: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
