"""ministack in a process of its own, with a control server beside it: `python -m world.aws.ministack_host DIR`.

The control server does what only this process can: publish events of `aws.*` sources, tell whose an access key is, and judge what a
deployed policy allows. It runs in threads of its own and so answers while ministack waits for a function.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from world.aws.config import ADMIN_USER, Document, endpoints, read_world
from world.aws.process import end_group_with_me, lead_group, say_ready

ADMIN_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def prepare_environment(world: Document, folder: Path) -> None:
    """Set what ministack reads when it is imported, and what its function workers inherit; the caller's own AWS settings go."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "LOCALSTACK_", "MINISTACK_"))]:
        del os.environ[name]
    scratch = folder / "tmp"
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.update(endpoints(world))
    os.environ.update(
        {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(world["ports"]["ministack"]),
            "MINISTACK_ACCOUNT_ID": world["account"],
            "MINISTACK_REGION": world["region"],
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "DOCKER_HOST": "unix:///nonexistent",
            "TMPDIR": str(scratch),
            "S3_DATA_DIR": str(folder / "s3"),
            "STATE_DIR": str(folder / "state"),
            "NO_PROXY": "127.0.0.1,localhost",
            "SSL_CERT_FILE": str(folder / "front.ca.pem"),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
    )


def create_admin(world: Document) -> None:
    """The administrator is an IAM user like any other: its signatures are checked (ministack does not check its built-in root key)."""
    from ministack.services import iam

    iam._users[ADMIN_USER] = {
        "UserName": ADMIN_USER,
        "Arn": f"arn:aws:iam::{world['account']}:user/{ADMIN_USER}",
        "UserId": "AIDAWORLDADMIN0000000",
        "CreateDate": iam._now(),
        "Path": "/",
        "PermissionsBoundary": "",
        "AttachedPolicies": [],
        "Tags": [],
    }
    iam._user_inline_policies[ADMIN_USER] = {"admin": ADMIN_POLICY}
    key = world["admin"]["access_key_id"]
    iam._access_keys[key] = {
        "UserName": ADMIN_USER,
        "AccessKeyId": key,
        "SecretAccessKey": world["admin"]["secret_access_key"],
        "Status": "Active",
        "CreateDate": iam._now(),
    }


def as_over_tls(app: Any) -> Any:
    """The application with every request marked as having come over TLS.

    On AWS all calls do, and policies rely on it: the bucket that `sam deploy` makes for its artifacts denies what is not.
    """
    from world.aws.invocations import REQUESTS

    async def marked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            REQUESTS.count(scope["method"], dict(scope["headers"]))
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await app(scope, receive, send)

    return marked


async def serve(world: Document, on_ready: Any) -> None:
    """Serve ministack until SIGTERM or SIGINT."""
    from hypercorn.asyncio import serve as hypercorn_serve
    from hypercorn.config import Config
    from ministack.app import app

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"127.0.0.1:{world['ports']['ministack']}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.3
    config.shutdown_timeout = 1.0
    config.loglevel = "WARNING"
    server = asyncio.ensure_future(hypercorn_serve(as_over_tls(app), config, shutdown_trigger=stop.wait))
    while not server.done() and not _listens(world["ports"]["ministack"]):
        await asyncio.sleep(0.02)
    if not server.done():
        on_ready()
    await server


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(folder: Path) -> None:
    """Run until told to stop."""
    world = read_world(folder)
    lead_group()
    end_group_with_me()
    prepare_environment(world, folder)
    logging.getLogger("hypercorn.access").setLevel(logging.WARNING)
    import ministack.app  # noqa: F401 - reads the environment prepared above

    from world.aws.control import start_control

    create_admin(world)
    start_control(world)
    try:
        asyncio.run(_until_stopped(world))
    finally:
        os._exit(1)


async def _until_stopped(world: Document) -> None:
    """Serve, then end at once: threads that wait for functions would hold an orderly end up, and the group's watcher ends the workers."""
    await serve(world, say_ready)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
