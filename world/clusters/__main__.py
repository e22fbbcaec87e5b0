"""`python -m world.clusters DIR`: the APIs, control servers, controllers and pods of all clusters, in one process."""

import json
import secrets
import signal
import sys
import threading
from pathlib import Path

from world.aws.process import end_group_with_me, lead_group, say_ready
from world.clusters.addresses import Addresses
from world.clusters.auth import Authenticator
from world.clusters.control import Control
from world.clusters.control import serve as serve_control
from world.clusters.controllers import Controllers
from world.clusters.credentials import certificate, kubeconfig
from world.clusters.faults import Faults
from world.clusters.pod_identity import PodIdentity
from world.clusters.server import serve
from world.clusters.store import Store
from world.pods.runtime import PodRuntime


def main(folder: Path) -> None:
    """Start all, say ready, end on SIGTERM."""
    lead_group()
    end_group_with_me()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    document = json.loads((folder / "world.json").read_text())
    addresses = Addresses(document["pod_network"])
    runtime = PodRuntime(document)
    runtime.cluster_of = addresses.cluster_of
    for name, cluster in document["clusters"].items():
        token = secrets.token_urlsafe(24)
        cert, key = certificate(folder, name)
        kubeconfig(folder, name, cluster["port"], token)
        store, faults = Store(), Faults()
        auth = Authenticator(document, name, token)
        identity = PodIdentity(document, name, store, auth)
        runtime.processes.environments[name] = identity.environment
        controllers = Controllers(name, store, cluster["nodes"], addresses, runtime)
        server = serve(cluster["port"], store, auth, faults, cert, key)
        control = serve_control(cluster["control"], Control(name, store, faults, controllers, runtime, identity.credentials))
        for target in (server.serve_forever, control.serve_forever, controllers.run):
            threading.Thread(target=target, daemon=True).start()
    say_ready()
    ended.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
