"""The world's description as the AWS parts need it: `world.json`, and the variables that lead a client into this world."""

import json
from pathlib import Path
from typing import Any

Document = dict[str, Any]
ADMIN_USER = "admin"
OWN_SERVER = ("SERVICEDISCOVERY", "APP_MESH", "EKS", "ELASTIC_LOAD_BALANCING", "XRAY")
"""Services that our own server answers, as the AWS_ENDPOINT_URL_ variables name them; all others are ministack's."""


def read_world(world: Any) -> Document:
    """`world.json` of a folder (a path, or anything with a `dir`); a document is taken as it is."""
    if isinstance(world, dict):
        return world
    folder = Path(world) if isinstance(world, (str, Path)) else Path(world.dir)
    return json.loads((folder / "world.json").read_text())


def url(world: Document, part: str) -> str:
    """The address of a part, by the name of its port."""
    return f"http://127.0.0.1:{world['ports'][part]}"


def endpoints(world: Document) -> dict[str, str]:
    """The variables that send every SDK and CLI to this world."""
    return {
        "AWS_ENDPOINT_URL": url(world, "ministack"),
        **{f"AWS_ENDPOINT_URL_{service}": url(world, "aws") for service in OWN_SERVER},
        "AWS_REGION": world["region"],
        "AWS_DEFAULT_REGION": world["region"],
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{world['ports']['xray']}",
        "CROSSMESH_RESOLVER": url(world, "resolver"),
        "CROSSMESH_FRONTS_ALSO_IN": "127.0.0.0/8",  # a front on loopback is refused everywhere else
        "CROSSMESH_PODS_ALSO_IN": "127.0.0.0/8",  # and so is a pod
    }
