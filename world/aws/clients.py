"""How a person or a process talks to a world as its administrator."""

from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

from world.aws.config import OWN_SERVER, endpoints, read_world, url

_OWN = {"servicediscovery", "appmesh", "eks", "elb", "xray"}
assert len(_OWN) == len(OWN_SERVER)


def environment(world: Any) -> dict[str, str]:
    """Every variable needed; nothing is taken from the caller's own AWS settings."""
    document = read_world(world)
    return {
        **endpoints(document),
        "AWS_ACCESS_KEY_ID": document["admin"]["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": document["admin"]["secret_access_key"],
        "AWS_SESSION_TOKEN": "",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_PAGER": "",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def client(world: Any, service: str, **settings: Any) -> Any:
    """A boto3 client for `service` with the administrator's credentials; `settings` go into botocore's Config."""
    document = read_world(world)
    admin = document["admin"]
    return client_as(world, service, admin["access_key_id"], admin["secret_access_key"], **settings)


def client_as(world: Any, service: str, access_key_id: str, secret: str, token: str | None = None, **settings: Any) -> Any:
    """A boto3 client with credentials of one's own."""
    document = read_world(world)
    settings = {"retries": {"max_attempts": 3, "mode": "standard"}, "inject_host_prefix": False, "proxies": {}, **settings}
    return _session().client(
        service,
        region_name=document["region"],
        endpoint_url=url(document, "aws" if service in _OWN else "ministack"),
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(**settings),
    )


@lru_cache(maxsize=1)
def _session() -> boto3.Session:
    return boto3.Session()
