"""The Kubernetes client's transport is loaded without its models, and whoever else imports the package gets all of it."""

import subprocess
import sys

import pytest

LEFT = 'left = sorted(name for name in sys.modules if name.partition(".")[0] in ("kubernetes", "pydantic", "oauthlib"))'


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    """Statements in a fresh process."""
    code = "\n".join(("import sys", "from crossmesh.adapters.kubernetes.client import client", *lines))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "lines",
    [
        ("client()", LEFT, "assert left == [], left"),
        (
            "client()",
            "import kubernetes.client",
            "assert kubernetes.client.V1Pod",
            "from kubernetes.client import rest",
            "assert rest.RESTClientObject",
        ),
        ("import kubernetes.client", "assert client().rest is kubernetes.client.rest.RESTClientObject"),
        ("assert client() is client()",),
        (
            'made = client().configuration(host="https://cluster.example")',
            'assert client().rest(made).pool_manager.connection_pool_kw["maxsize"]',
        ),
    ],
)
def test_what_is_loaded(lines: tuple[str, ...]) -> None:
    done = run(*lines)
    assert done.returncode == 0, done.stderr


def test_without_the_package_the_error_names_it_and_leaves_nothing_behind() -> None:
    hide = "import importlib.util as u; real = u.find_spec; u.find_spec = lambda name, *more: None if name == 'kubernetes.utils' else real(name, *more)"
    done = run(
        hide,
        "try:\n    client()\nexcept ModuleNotFoundError as error:\n    assert error.name == 'kubernetes.utils'",
        LEFT,
        "assert left == [], left",
    )
    assert done.returncode == 0, done.stderr
