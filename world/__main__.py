"""`python -m world up | down | env | status | mail`: a world by hand."""

import argparse
import signal
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from world.application import Application
from world.aws.clients import environment
from world.clusters.real.binaries import MISSING, find
from world.deploy import deploy, install_watchers
from world.state import World
from world.supervisor import PARTS, REAL_CLUSTERS_ONLY, AlreadyRunning, Supervisor, end, running_world

ROOT = Path(".world")


def main() -> int:
    """One verb."""
    parser = argparse.ArgumentParser(prog="python -m world", description=__doc__)
    parser.add_argument("verb", choices=["up", "down", "env", "status", "mail"])
    parser.add_argument("--name", default="default")
    parser.add_argument("--root", type=Path, default=ROOT)
    parser.add_argument("--bare", action="store_true", help="up: do not deploy the application")
    parser.add_argument(
        "--real", action="store_true", help="up: AWS and clusters of Kubernetes itself (`make kube`), without data plane and application"
    )
    arguments = parser.parse_args()
    folder = arguments.root / arguments.name
    if arguments.verb == "up":
        if arguments.real and find() is None:
            print(MISSING, file=sys.stderr)
            return 1
        return up(arguments.name, arguments.root, bare=arguments.bare or arguments.real, parts=REAL_CLUSTERS_ONLY if arguments.real else PARTS)
    if arguments.verb == "down":
        print(f"ended {folder}" if end(folder) else f"nothing runs in {folder}")
        return 0
    if not (folder / "world.json").exists():
        print(f"no world in {folder}: `make world` starts one", file=sys.stderr)
        return 1
    world = World(folder)
    if arguments.verb == "env":
        show_environment(world)
    elif arguments.verb == "mail":
        show_mail(world)
    else:
        print("running" if (folder / "pids.json").exists() else "ended", folder)
    return 0


def up(name: str, root: Path, *, bare: bool, parts: Mapping[str, list[str]] = PARTS) -> int:
    """Start, deploy, say how to use it, and keep it up until told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells start background jobs with it ignored
    began = time.monotonic()
    try:
        with running_world(name, root, parts=parts) as world:
            print(f"world up after {time.monotonic() - began:.1f} s", flush=True)
            if not bare:
                deploy(world.document)
                install_watchers(world.document)
                print(f"application and watchers deployed after {time.monotonic() - began:.1f} s", flush=True)
            print(f'\nIn another terminal:\n  eval "$(.venv/bin/python -m world env --name {name})"\n', flush=True)
            show_environment(world)
            print("\nCtrl-C ends it.", flush=True)
            while (world.dir / "pids.json").exists():
                time.sleep(1)
            print("ended by `python -m world down`", flush=True)
            return 0
    except AlreadyRunning as refused:
        print(refused, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def show_environment(world: World) -> None:
    """Exports, and how to reach what. `crossmesh`, `aws`, `kubectl` and `python` are those of this environment."""
    print(f"export PATH='{Path(sys.prefix) / 'bin'}':\"$PATH\"")
    for key, value in environment(world.document).items():
        print(f"export {key}='{value}'")
    files = ":".join(str(world.kubeconfig(cluster)) for cluster in world.document["clusters"])
    print(f"export KUBECONFIG='{files}'")
    print(f"export FRONT='{world.url('front')}'")
    print("# crossmesh status")
    print("# kubectl --context eksc2 -n appmesh-demo get pods")
    print("# kubectl --context eksc2 -n crossmesh scale deployment crossmesh-watcher --replicas 0   # the schedule alone")
    print("# aws servicediscovery discover-instances --namespace-name appmesh-demo.pvt.aws.local --service-name colorapp")
    print("# curl $FRONT/color")
    print("# python -m world mail: what the person on call got")


def show_mail(world: World) -> None:
    """The inbox of alarms, newest last."""
    for mail in Application(world).mails():
        print(f"{datetime.fromtimestamp(mail['at'], UTC):%H:%M:%S} UTC  {mail['subject']}\n  {mail['text'].replace(chr(10), chr(10) + '  ')}\n")


__all__ = ["Supervisor", "main"]

if __name__ == "__main__":
    sys.exit(main())
