"""The descriptors that the server of Envoys carries are those of the pinned package, and nothing else."""

import gzip
import subprocess
import sys
from pathlib import Path

from crossmesh_xds.codec import DESCRIPTORS

from world.deploy import ROOT


def test_the_descriptors_are_what_the_pinned_package_says(tmp_path: Path) -> None:
    """Carries out `make descriptors` without writing over them. Installing takes a second or two."""
    install = [str(Path(sys.executable).parent / "uv"), "pip", "install", "-q", "--python", sys.executable, "--target", str(tmp_path / "made")]
    pinned = ["--only-binary", ":all:", "--require-hashes", "-r", str(ROOT / "xds" / "descriptors.txt")]
    subprocess.run([*install, *pinned], check=True)
    code = "import sys; sys.path.insert(0, sys.argv[2]); import xds_descriptors as d, pathlib; sys.stdout.buffer.write(d.made(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-I", "-c", code, str(tmp_path / "made"), str(ROOT / "tools")]
    assert subprocess.run(command, check=True, capture_output=True).stdout == gzip.decompress(DESCRIPTORS.read_bytes())
