"""The real tier's two binaries: built once from the Go module proxy into the user's cache, found there ever after.

`make kube` builds them; a second call only looks. The folder's name is a hash of what goes in, so an old build is never taken for a new one.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent / "kubeworld"
AUTHENTICATOR = "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator"
GO = (1, 26)  # what Kubernetes 1.37's modules ask for
REQUIRED = "CROSSMESH_REAL"  # set to 1, tests that miss the binaries fail instead of being skipped; CI sets it
MISSING = "the real cluster tier is not built on this machine: `make kube` builds it once (Go 1.26, some 15 CPU minutes)"


class BuildFailed(Exception):
    """Why there are no binaries, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs lie."""

    kubeworld: Path
    authenticator: Path


def find() -> Binaries | None:
    """The binaries built from these sources, None where there are none. Needs no Go."""
    for folder in sorted(_cache().glob(f"{_hash()}-*-{platform.machine()}")):
        found = Binaries(folder / "kubeworld", folder / "aws-iam-authenticator")
        if found.kubeworld.exists() and found.authenticator.exists():
            return found
    return None


def required() -> bool:
    """Whether going without is an error here."""
    return os.environ.get(REQUIRED, "") not in ("", "0")


def build() -> Binaries:
    """The binaries, built where they are not there yet. Callers side by side wait for the one that builds. Raises BuildFailed."""
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find() or _build(cache / f"{_hash()}-{_go()}-{platform.machine()}")


def _build(folder: Path) -> Binaries:
    print(f"building the real cluster tier into {folder}: some 6 to 12 minutes on 2 cores, once", flush=True)
    began = time.monotonic()
    pinned = re.search(r"^\s*k8s\.io/kubernetes (v1\.(\d+)\S*)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if pinned is None:
        raise BuildFailed("go.mod does not name k8s.io/kubernetes")
    stamp = "k8s.io/component-base/version"
    version = f"-X {stamp}.gitVersion={pinned[1]} -X {stamp}.gitMajor=1 -X {stamp}.gitMinor={pinned[2]}"
    scratch = tempfile.mkdtemp(dir=folder.parent)
    try:
        for package, name, flags in ((".", "kubeworld", f"-s -w {version}"), (AUTHENTICATOR, "aws-iam-authenticator", "-s -w")):
            command = ["nice", "-n", "10", "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", f"{scratch}/{name}", package]
            if subprocess.run(command, cwd=SOURCES, env={**os.environ, "GOFLAGS": "", "CGO_ENABLED": "0"}).returncode:
                raise BuildFailed("`go build` failed (its own words are above)")
        shutil.rmtree(folder, ignore_errors=True)
        Path(scratch).rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"built in {time.monotonic() - began:.0f} s", flush=True)
    found = find()
    assert found is not None
    return found


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "crossmesh" / "kubeworld"


def _hash() -> str:
    whole = b"\0".join((SOURCES / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    return hashlib.sha256(whole).hexdigest()[:16]


def _go() -> str:
    """The version of Go that builds these sources (a newer toolchain is fetched by Go itself where it may)."""
    fix = f"Go {GO[0]}.{GO[1]} or newer is needed for the real cluster tier: install it, then `make kube` again. Everything else works without."
    if not shutil.which("go"):
        raise BuildFailed(f"`go` is not on the PATH. {fix}")
    told = subprocess.run(["go", "env", "GOVERSION"], cwd=SOURCES, capture_output=True, text=True)
    found = re.match(r"go(\d+)\.(\d+)", told.stdout.strip())
    if found is None or (int(found[1]), int(found[2])) < GO:
        raise BuildFailed(f"this is {told.stdout.strip() or told.stderr.strip()}. {fix}")
    return told.stdout.strip()


def main() -> int:
    """What `make kube` calls."""
    try:
        print(build().kubeworld.parent)
    except BuildFailed as why:
        print(f"make kube: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
