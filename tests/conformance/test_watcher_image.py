"""The Dockerfile's own steps, carried out in a folder with this machine's Python, and what they make, started as the image would start it:
as another user, where nothing can be written, with credentials from EKS Pod Identity's endpoint. No container engine is needed, none is used."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.answering import Answering
from tests.support.one_cluster import TOKEN, Cluster
from world.deploy import ROOT
from world.state import free_ports

WATCHER = ROOT / "watcher"
PYTHON = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
BUS = "arn:aws:events:us-east-1:111122223333:event-bus/crossmesh-hints"
SECRETS = ("se3ret-k3y", "se5sion-t0ken", TOKEN, "pod-identity-t0ken")


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions by stage, without comments."""
    found: list[list[tuple[str, str]]] = []
    for line in (WATCHER / "Dockerfile").read_text().splitlines():
        verb, _, rest = line.partition(" ")
        if verb == "FROM":
            found.append([])
        elif found and verb and not verb.startswith("#"):
            found[-1].append((verb, rest.strip()))
    return found


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """The image's file system, as far as it is ours. Readable by everybody, as /app is."""
    root = Path(tempfile.mkdtemp(prefix="watcher-image-"))
    root.chmod(0o755)
    folder = root
    for verb, rest in stages()[0]:
        if verb == "WORKDIR":
            folder = root / rest.lstrip("/")
            folder.mkdir(parents=True)
        elif verb == "COPY":
            source, target = rest.split()
            to = root / target.lstrip("/") if target.startswith("/") else folder / target
            (shutil.copytree if (WATCHER / source).is_dir() else shutil.copy)(WATCHER / source, to)
        elif verb == "RUN":
            command = re.sub(r"(?<![\w/])/app\b", str(root / "app"), rest)
            command = re.sub(r"\bpython\b", PYTHON, command)
            subprocess.run(["/bin/sh", "-euc", command], cwd=folder, check=True, env={"PATH": "/usr/bin:/bin", "HOME": str(root)}, timeout=200)
        else:
            raise AssertionError(f"the test knows no {verb}")
    yield root
    shutil.rmtree(root)


class Amazon(ThreadingHTTPServer):
    """Pod Identity's endpoint and EventBridge. `hints` are the events it took; `down` makes it refuse them."""

    daemon_threads = True

    def __init__(self) -> None:
        self.hints: list[dict[str, Any]] = []
        self.keys: set[str] = set()
        self.down = False
        amazon = self

        class Handler(Answering, BaseHTTPRequestHandler):
            """Both."""

            def do_GET(self) -> None:
                assert self.headers["Authorization"] == "pod-identity-t0ken"
                later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3_600))
                self.answer(200, {"AccessKeyId": "ASIAX", "SecretAccessKey": SECRETS[0], "Token": SECRETS[1], "Expiration": later})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if amazon.down:
                    return self.answer(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
                amazon.keys.add(re.findall(r"Credential=(\w+)/", self.headers["Authorization"])[0])
                amazon.hints += body["Entries"]
                return self.answer(200, {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})

            def answer(self, status: int, body: dict[str, Any]) -> None:
                self.send(status, json.dumps(body).encode())

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Container:
    """The image's process."""

    def __init__(self, image: Path, cluster: Cluster, amazon: Amazon) -> None:
        by_verb = dict(stages()[1])
        url = f"http://127.0.0.1:{amazon.server_address[1]}"
        (cluster.folder / "aws-token").write_text("pod-identity-t0ken")
        variables = dict(pair.split("=", 1) for pair in by_verb["ENV"].replace("/app", str(image / "app")).split())
        self.port = free_ports(1)[0]
        variables |= {
            "PATH": "/usr/bin:/bin",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(cluster.port),
            "CROSSMESH_SERVICE_ACCOUNT_FOLDER": str(cluster.folder),
            "CROSSMESH_CLUSTER": "c",
            "CROSSMESH_HINT_BUS": BUS,
            "CROSSMESH_NAMESPACES": "demo",
            "CROSSMESH_HEALTH": f"127.0.0.1:{self.port}",
            "AWS_ENDPOINT_URL_EVENTBRIDGE": url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(cluster.folder / "aws-token"),
        }
        user, group = (int(part) for part in by_verb["USER"].split(":"))
        other = {"user": user, "group": group, "extra_groups": []}
        self.image, self.before = image, contents(image)
        command = json.loads(by_verb["ENTRYPOINT"])
        self.process = subprocess.Popen(
            [PYTHON, *command[1:]],
            cwd=image / "app",
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **(other if can_be(other) else {}),
        )

    def health(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and everything it wrote."""
        self.process.send_signal(how)
        output, _ = self.process.communicate(timeout=10)
        assert contents(self.image) == self.before, "it wrote where an image is read-only"
        return self.process.returncode, output


def contents(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time of its last change."""
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def can_be(other: dict[str, Any]) -> bool:
    """Whether we may become another user who can run this Python (not where it lies in somebody's home)."""
    try:
        return subprocess.run([PYTHON, "-c", ""], check=False, cwd="/", **other).returncode == 0
    except PermissionError:
        return False


def until(what: Any, seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.01)
    assert what()


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="watcher-account-"))
    folder.chmod(0o755)
    found = Cluster(folder)
    yield found
    found.stop()
    shutil.rmtree(folder)


@pytest.fixture
def amazon() -> Iterator[Amazon]:
    found = Amazon()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def container(image: Path, cluster: Cluster, amazon: Amazon, request: pytest.FixtureRequest) -> Iterator[Container]:
    if "refuses" in request.node.name:
        (cluster.folder / "token").write_text("not-the-token")
    found = Container(image, cluster, amazon)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def test_it_hints_signs_with_its_pods_role_reports_health_and_ends_cleanly(container: Container, cluster: Cluster, amazon: Amazon) -> None:
    until(lambda: container.health("/readyz")[0] == 200)
    until(lambda: len(amazon.hints) == 1)
    time.sleep(1.1)
    began = time.monotonic()
    cluster.pod("a")
    until(lambda: len(amazon.hints) == 2)
    assert time.monotonic() - began < 2.0, "at once"
    assert amazon.hints[1] == {"EventBusName": BUS, "Source": "crossmesh.watcher", "DetailType": "Pods changed", "Detail": '{"cluster": "c"}'}
    assert amazon.keys == {"ASIAX"}
    assert container.health("/livez") == (200, "ok\n")
    assert container.health("/other")[0] == 404
    cluster.pod("b")
    time.sleep(0.5)  # the change reaches the watcher: held back (a hint went less than a second ago), or told already on a busy machine
    began = time.monotonic()
    code, output = container.end()
    assert code == 0
    assert time.monotonic() - began < 5
    assert len(amazon.hints) == 3, "the pending change was told on the way out"
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["message"] for line in lines[:1] + lines[-1:]] == ["started", "ended"]
    assert {line["cluster"] for line in lines} == {"c"}


def test_a_bus_that_takes_nothing_shows_and_hints_come_when_it_does(container: Container, amazon: Amazon) -> None:
    amazon.down = True
    until(lambda: "hints in a row" in container.health("/readyz")[1])
    assert container.health("/livez")[0] == 200, "a restart would not help"
    amazon.down = False
    until(lambda: amazon.hints)
    until(lambda: container.health("/readyz")[0] == 200)
    code, output = container.end(signal.SIGINT)
    assert code == 0
    assert "ThrottlingException" in output
    assert not any(secret in output for secret in SECRETS)


def test_a_cluster_that_refuses_leaves_it_alive_and_not_ready(container: Container, cluster: Cluster, amazon: Amazon) -> None:
    until(lambda: container.health("/livez")[0] == 200)
    time.sleep(0.5)
    assert container.health("/livez")[0] == 200
    assert container.health("/readyz") == (503, "demo: not listed yet\n")
    (cluster.folder / "token").write_text(TOKEN)
    until(lambda: container.health("/readyz")[0] == 200)
    assert not any(secret in container.end()[1] for secret in SECRETS)


def test_it_says_all_that_is_missing_in_its_environment(image: Path) -> None:
    done = subprocess.run(
        [PYTHON, "-m", "crossmesh_watcher"], env={"PYTHONPATH": str(image / "app")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"crossmesh-watcher: {name} is not set" for name in ("CROSSMESH_CLUSTER", "CROSSMESH_HINT_BUS", "CROSSMESH_NAMESPACES")
    ]


def test_the_image_holds_only_what_is_used_and_runs_as_nobody() -> None:
    final = dict(stages()[1])
    assert int(final["USER"].partition(":")[0]) >= 10_000
    assert final["EXPOSE"] == "8081"
