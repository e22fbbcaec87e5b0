"""What a real cluster consists of, as command lines: nothing listens but on 127.0.0.1, nothing is written but in the world's folder."""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from world.clusters.credentials import certificate, kubeconfig
from world.clusters.real.binaries import Binaries
from world.state import free_ports

STAGES = Path(__file__).parent / "kwok.yaml"
CONTROLLERS = "deployment-controller,replicaset-controller,namespace-controller,garbage-collector-controller,endpointslice-controller"
FAST = ["--kube-api-qps", "500", "--kube-api-burst", "1000"]  # the defaults of 20 and 30 would make the tier itself the bottleneck
ALONE = ["--leader-elect=false", "--secure-port", "0", "--bind-address", "127.0.0.1"]


@dataclass(frozen=True, slots=True)
class Component:
    """One process. `name` is its log's; `env` is all of its environment."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


def etcd(binaries: Binaries, folder: Path, port: int) -> Component:
    """One for all clusters, which have a prefix each. It forgets what a power cut would lose, and nobody minds."""
    peer = f"http://127.0.0.1:{free_ports(1)[0]}"
    client = f"http://127.0.0.1:{port}"
    argv = [str(binaries.kubeworld), "etcd", "--name", "world", "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level", "warn"]
    argv += ["--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer]
    argv += ["--initial-advertise-peer-urls", peer, "--initial-cluster", f"world={peer}", "--quota-backend-bytes", str(4 << 30)]
    return Component("etcd", argv)


def webhook(binaries: Binaries, folder: Path, document: dict[str, Any], cluster: str, door: int) -> Component:
    """EKS's token webhook for a cluster. It reads who may come in from <cluster>.entries.json and asks STS through `door`."""
    entries(folder, cluster).write_text(json.dumps(access_entries({})))
    state = folder / f"{cluster}.webhook"
    state.mkdir(exist_ok=True)
    settings = {
        "port": free_ports(1)[0],
        "stateDir": str(state),
        "generateKubeconfig": str(folder / f"{cluster}.webhook.yaml"),
        "backendMode": ["DynamicFile"],
        "dynamicfilepath": str(entries(folder, cluster)),
    }
    file = folder / f"{cluster}.webhook.json"
    file.write_text(json.dumps({"clusterID": cluster, "server": settings}))
    env = {
        "HTTPS_PROXY": f"http://127.0.0.1:{door}",
        "SSL_CERT_FILE": str(folder / "sts.ca.pem"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": document["region"],
    }
    return Component(f"{cluster}-webhook", [str(binaries.authenticator), "server", "-c", str(file)], env)


def entries(folder: Path, cluster: str) -> Path:
    """The file of a cluster's access entries, as the webhook reads it."""
    return folder / f"{cluster}.entries.json"


def access_entries(groups: dict[str, list[str]]) -> dict[str, Any]:
    """EKS access entries (principal -> groups) in the webhook's format."""

    def rows(kind: str, name: str) -> list[dict[str, Any]]:
        return [{name: arn, "username": arn, "groups": list(found)} for arn, found in groups.items() if f":{kind}/" in arn]

    return {"mapRoles": rows("role", "rolearn"), "mapUsers": rows("user", "userarn"), "mapAccounts": []}


def apiserver(binaries: Binaries, folder: Path, document: dict[str, Any], cluster: str, store: int) -> Component:
    """A cluster's API, with its certificate, its administrator's kubeconfig and EKS's tokens. Without `watch_cache` lists and watches come from etcd,
    so that a compaction gives true 410s."""
    about = document["clusters"][cluster]
    cert, key = certificate(folder, cluster)
    token = secrets.token_urlsafe(24)
    kubeconfig(folder, cluster, about["port"], token)
    tokens = folder / f"{cluster}.tokens.csv"
    tokens.write_text(f'{token},admin,1,"system:masters"\n')
    argv = [str(binaries.kubeworld), "apiserver", "--etcd-servers", f"http://127.0.0.1:{store}", "--etcd-prefix", f"/{cluster}"]
    argv += ["--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", str(about["port"])]
    argv += ["--tls-cert-file", str(cert), "--tls-private-key-file", str(key), "--cert-dir", str(folder)]
    argv += ["--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.100.0.0/16"]
    argv += ["--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", str(cert)]
    argv += ["--service-account-signing-key-file", str(key), "--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition"]
    argv += ["--authorization-mode", "RBAC", "--anonymous-auth=false", "--token-auth-file", str(tokens), "--profiling=false"]
    argv += ["--authentication-token-webhook-config-file", str(folder / f"{cluster}.webhook.yaml")]
    argv += ["--authentication-token-webhook-cache-ttl", "2s", f"--watch-cache={str(about.get('watch_cache', True)).lower()}"]
    return Component(f"{cluster}-apiserver", argv)


def followers(binaries: Binaries, folder: Path, cluster: str, index: int) -> list[Component]:
    """Controllers, scheduler and fake kubelets of a cluster. Pods' addresses are of 10/8, unroutable here; clusters have a twelfth each."""
    config = str(folder / f"{cluster}.kubeconfig")
    program = str(binaries.kubeworld)
    network = f"10.{16 * (index + 1)}.0"
    key = str(folder / f"{cluster}.key")
    kubelets = ["--manage-all-nodes", "--cidr", f"{network}.0/12", "--node-ip", f"{network}.1", "--config", str(STAGES)]
    return [
        Component(
            f"{cluster}-controllers",
            [
                program,
                "controllers",
                "--kubeconfig",
                config,
                "--controllers",
                CONTROLLERS,
                "--service-account-private-key-file",
                key,
                *ALONE,
                *FAST,
            ],
        ),
        Component(f"{cluster}-scheduler", [program, "scheduler", "--kubeconfig", config, *ALONE, *FAST]),
        Component(f"{cluster}-kwok", [program, "kwok", "--kubeconfig", config, *kubelets], {"HOME": str(folder)}),
    ]
