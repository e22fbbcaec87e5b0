"""The layer fits the functions' Python and both processors whatever machine builds it, carries bytecode, and a cold start loads little of it."""

import hashlib
import importlib.util
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.prices import BY_PROCESSOR
from tests.contract.template import written
from tests.support.layers import BUILT, PACKAGES, START, build, functions, interpreter, path_of, start
from world.deploy import ROOT, deployed_python

MACHINES = {"x86_64": 0x3E, "aarch64": 0xB7}
UNZIPPED = 250 * 2**20
"""Lambda's quota for a function's code and all its layers, bytes (Lambda quotas, "Deployment package size")."""
COMPILED = """
import importlib._bootstrap_external as external, sys
compiled = []
whole = external.SourceLoader.source_to_code
def counted(self, data, path, **more):
    compiled.append(str(path))
    return whole(self, data, path, **more)
external.SourceLoader.source_to_code = counted
import app
from crossmesh.adapters.kubernetes.clusters import KubernetesClusters
print("\\n".join(compiled))
"""
LOADED = """
import json, sys
from crossmesh.adapters.kubernetes.client import client
assert client().rest.__module__ == "kubernetes.client.rest"
packages = {name.partition(".")[0] for name in sys.modules if "DepsLayer" in (getattr(sys.modules[name], "__file__", None) or "")}
print(json.dumps(sorted(packages)))
"""
LOADS = {
    "_brotli",
    "aws_lambda_powertools",
    "botocore",
    "brotli",
    "dateutil",
    "jmespath",
    "msgspec",
    "six",
    "typing_extensions",
    "urllib3",
    "yaml",
}
"""Top-level modules of other people's packages that any cold start loads. Each costs every cold start: decision 24."""


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The built layer, made where neither the project's Python nor any other but the system's is on the PATH."""
    folder = tmp_path_factory.mktemp("layers")
    for name in BUILT:
        done = build(name, folder / name)
        assert done.returncode == 0, done.stderr
    return {name: folder / name for name in BUILT}  # type: ignore[return-value]


@pytest.fixture(scope="module")
def python() -> str:
    """The functions' Python; without it a skip that pytest lists, or a failure where CROSSMESH_DEPLOYED_PYTHON asks for it."""
    found = interpreter()
    if not found and os.environ.get("CROSSMESH_DEPLOYED_PYTHON"):
        pytest.fail(f"no Python {deployed_python()} on this machine")
    if not found:
        pytest.skip(f"no Python {deployed_python()} on this machine: that the functions import with it was not tried")
    return found


def test_every_compiled_file_is_for_the_functions_python_and_there_for_both_processors(layers: dict[str, Path]) -> None:
    tag = deployed_python().replace(".", "")
    found: dict[str, set[str]] = {}
    for folder in layers.values():
        for file in (path for path in folder.rglob("*") if ".so" in path.suffixes):
            module, _, rest = file.name.partition(".")
            (machine,) = [name for name in MACHINES if rest == f"cpython-{tag}-{name}-linux-gnu.so"]
            assert struct.unpack_from("<H", file.read_bytes(), 18) == (MACHINES[machine],), file
            found.setdefault(str(file.relative_to(folder).with_name(module)), set()).add(machine)
    assert set(found) >= {"python/msgspec/_core", "python/yaml/_yaml", "python/_brotli"}
    assert all(machines == set(MACHINES) for machines in found.values()), found


@pytest.mark.parametrize("function", sorted(functions()))
def test_a_function_imports_and_makes_its_clients(function: str, layers: dict[str, Path], python: str) -> None:
    wanted, ports = functions()[function]
    done = start(python, path_of(function, wanted, layers), START, json.dumps(ports))
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0


def test_a_cold_start_compiles_nothing_of_the_layers(layers: dict[str, Path], python: str) -> None:
    for function in ("take_lease", "look"):
        wanted = functions()[function][0]
        done = start(python, path_of(function, wanted, layers), COMPILED)
        assert done.returncode == 0, done.stderr
        compiled = done.stdout.split()
        assert [path for path in compiled if path.endswith("app.py")], "what has no bytecode is counted"
        assert [path for path in compiled if "Layer/" in path] == []


@pytest.mark.parametrize("function", ["look", "take_lease"])
def test_a_cold_start_loads_no_other_package_than_the_known_ones(function: str, layers: dict[str, Path], python: str) -> None:
    wanted, ports = functions()[function]
    done = start(python, path_of(function, wanted, layers), START + LOADED, json.dumps(ports))
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout.splitlines()[-1])) <= LOADS


def test_bytecode_is_believed_unseen_in_the_layers_and_checked_in_the_source_tree(layers: dict[str, Path], python: str) -> None:
    del python  # only where it is there is there bytecode
    tag = f"cpython-{deployed_python().replace('.', '')}"

    def flags(folder: Path) -> set[int]:
        return {struct.unpack_from("<I", file.read_bytes(), 4)[0] for file in folder.rglob(f"*.{tag}.pyc")}

    assert [flags(folder) for folder in layers.values()] == [{0b01}]
    assert 0b01 not in flags(ROOT / "layers" / "core" / "python"), "an edit must never be overlooked"


def test_a_function_and_its_layers_are_far_below_lambdas_quota(layers: dict[str, Path]) -> None:
    ours = sum(file.stat().st_size for folder in layers.values() for file in folder.rglob("*") if file.is_file())
    assert ours < UNZIPPED / 2


def test_the_deployment_chooses_the_processor_and_the_cheaper_one_is_the_default() -> None:
    template = written()
    architecture = template["Parameters"]["Architecture"]
    assert architecture["Default"] == min(BY_PROCESSOR, key=BY_PROCESSOR.__getitem__)
    assert set(architecture["AllowedValues"]) == set(BY_PROCESSOR)
    assert template["Globals"]["Function"]["Architectures"] == [{"Ref": "Architecture"}]
    for name, resource in template["Resources"].items():
        assert "Architectures" not in resource.get("Properties", {}), name
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            assert resource["Properties"]["CompatibleArchitectures"] == architecture["AllowedValues"]
            assert set(resource.get("Metadata", {})) <= {"BuildMethod"}


def test_another_python_than_the_layers_is_refused_before_anything_changes() -> None:
    rule = written()["Rules"]["LayersFit"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "World"}, "aws"]}
    assert [one["Assert"] for one in rule["Assertions"]] == [{"Fn::Equals": [{"Ref": "Runtime"}, f"python{deployed_python()}"]}]


def script() -> Any:
    spec = importlib.util.spec_from_file_location("layer_build", PACKAGES / "build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def elf(machine: str) -> bytes:
    return b"\x7fELF".ljust(18, b"\0") + struct.pack("<H", MACHINES[machine]) + b"\0" * 44


NATIVE = f"_c.cpython-{deployed_python().replace('.', '')}-"


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("_c.so", elf("x86_64"), "has no tag"),
        ("_c.abi3.so", elf("x86_64"), "has no tag"),
        ("libfoo.so.1", elf("x86_64"), "has no tag"),
        ("_c.cpython-310-x86_64-linux-gnu.so", elf("x86_64"), "has no tag"),
        (f"{NATIVE}aarch64-linux-gnu.so", elf("aarch64"), "has no tag of Python .* on x86_64"),
        (f"{NATIVE}x86_64-linux-gnu.so", elf("aarch64"), "not made for x86_64"),
        ("pure.py", b"of one processor only", "differs"),
    ],
)
def test_what_would_not_fit_ends_the_build(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    layer = script()
    for folder in ("wheel/demo", "layer/demo"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "layer/demo/pure.py").write_bytes(b"of both")
    (tmp_path / "wheel/demo" / name).write_bytes(content)
    with pytest.raises(layer.BuildError, match=why):
        layer.merge(tmp_path / "wheel", tmp_path / "layer", deployed_python(), "x86_64")


def wheel(folder: Path, tag: str) -> tuple[str, str]:
    """A wheel of nothing; its requirement line with its hash."""
    path = folder / f"demo-1.0-{tag}.whl"
    files = {
        "demo.py": "",
        "demo-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        "demo-1.0.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr("demo-1.0.dist-info/RECORD", "".join(f"{name},,\n" for name in [*files, "demo-1.0.dist-info/RECORD"]))
    return "demo==1.0", hashlib.sha256(path.read_bytes()).hexdigest()


CP = f"cp{deployed_python().replace('.', '')}"


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("py3-none-any", True),
        (f"{CP}-{CP}-manylinux2014_x86_64", False),
        (f"{CP}-{CP}-manylinux_2_28_aarch64", False),
        ("cp310-cp310-manylinux2014_x86_64", False),
    ],
)
def test_a_package_without_a_wheel_for_every_processor_ends_the_build(tmp_path: Path, tag: str, fits: bool) -> None:
    layer = script()
    requirement, digest = wheel(tmp_path, tag)
    (tmp_path / "demo.txt").write_text(f"{requirement} --hash=sha256:{digest}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_NO_INDEX", "1")
        patch.setenv("UV_FIND_LINKS", str(tmp_path))
        arguments = (str(ROOT / ".venv" / "bin" / "uv"), str(tmp_path / "demo.txt"), str(tmp_path / "layer"))
        if fits:
            layer.install(*arguments)
            assert (tmp_path / "layer" / "demo.py").exists()
        else:
            with pytest.raises(layer.BuildError, match="no wheels"):
                layer.install(*arguments)


def test_a_machine_without_uv_is_told_what_to_do(tmp_path: Path) -> None:
    layer = script()
    with pytest.raises(layer.BuildError, match="make setup"):
        layer.install(str(tmp_path / "uv"), "deps.txt", str(tmp_path / "layer"))


def test_the_world_adds_its_own_python_and_keeps_the_deployed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = script()
    assert layer.versions() == [deployed_python()]
    monkeypatch.setenv("CROSSMESH_ALSO_FOR", f"3.11 {deployed_python()}")
    assert layer.versions() == [deployed_python(), "3.11"]
    assert layer.platform("3.12", "x86_64", deployed=True) == layer.platform("3.11", "x86_64", deployed=False) == "x86_64-manylinux_2_28"
    assert layer.platform("3.11", "aarch64", deployed=True) == "aarch64-manylinux2014", "Amazon Linux 2 has glibc 2.26"
