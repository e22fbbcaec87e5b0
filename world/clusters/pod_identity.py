"""What a pod that is a process of its own gets from its cluster: variables, its service account's token, and AWS credentials by EKS Pod Identity."""

import json
import secrets
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from world.aws.config import endpoints, url
from world.clusters.auth import Authenticator
from world.clusters.objects import ApiError, Object
from world.clusters.store import Store


class PodIdentity:
    """Of one cluster. A pod gets AWS variables only where its service account had an association when it started, as on EKS."""

    def __init__(self, document: dict[str, Any], cluster: str, store: Store, auth: Authenticator) -> None:
        self._document, self._cluster, self._store, self._auth = document, cluster, store, auth
        self._about = document["clusters"][cluster]
        self._pods: dict[str, Object] = {}  # by Pod Identity token
        self._lock = threading.Lock()

    def environment(self, pod: Object) -> dict[str, str]:
        """Variables of the pod's container, beside those of its image; writes the files that they name."""
        meta, account = pod["metadata"], pod["spec"].get("serviceAccountName", "default")
        folder = Path(self._document["dir"]) / "pods" / meta["uid"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "token").write_text(self._auth.issue(meta["namespace"], account))
        (folder / "ca.crt").write_bytes((Path(self._document["dir"]) / f"{self._cluster}.ca.pem").read_bytes())
        found = {
            **_given(pod, self._store),
            **endpoints(self._document),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(self._about["port"]),
            "CROSSMESH_SERVICE_ACCOUNT_FOLDER": str(folder),
            **_places(pod["status"]["podIP"]),
            **self._projected(pod, folder),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        if self._role(pod):
            token = secrets.token_urlsafe(24)
            with self._lock:
                self._pods[token] = pod
            (folder / "eks-pod-identity-token").write_text(token)
            found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://127.0.0.1:{self._about['control']}/_world/credentials"
            found["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(folder / "eks-pod-identity-token")
        return found

    def credentials(self, token: str) -> dict[str, Any]:
        """Of the role that the pod's service account has now. Raises ApiError 401 for nobody's token, 403 where there is no role, or none that trusts."""
        with self._lock:
            pod = self._pods.get(token)
        if pod is None:
            raise ApiError(401, "Unauthorized", "no pod has this token")
        role, meta = self._role(pod), pod["metadata"]
        if not role:
            raise ApiError(403, "Forbidden", "the service account has no association any more")
        tags = {
            "eks-cluster-arn": f"arn:aws:eks:{self._document['region']}:{self._document['account']}:cluster/{self._cluster}",
            "eks-cluster-name": self._cluster,
            "kubernetes-namespace": meta["namespace"],
            "kubernetes-service-account": pod["spec"].get("serviceAccountName", "default"),
            "kubernetes-pod-name": meta["name"],
            "kubernetes-pod-uid": meta["uid"],
        }
        asked = {"role_arn": role, "session": f"eks-{self._cluster}-{meta['name']}"[:64], "tags": tags}
        request = urllib.request.Request(
            f"{url(self._document, 'control')}/_world/pod-identity", data=json.dumps(asked).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        if "refused" in found:
            raise ApiError(403, "Forbidden", found["refused"])
        return found

    def _projected(self, pod: Object, folder: Path) -> dict[str, str]:
        """The tokens of the pod's volumes, as the kubelet writes them; here in the pod's folder."""
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        found = {}
        for volume in pod["spec"].get("volumes") or ():
            for source in (volume.get("projected") or {}).get("sources") or ():
                wanted = source.get("serviceAccountToken")
                if wanted:
                    file = folder / f"{volume['name']}-{wanted['path']}"
                    file.write_text(self._auth.projected.issue(namespace, account, [wanted["audience"]], pod, wanted["expirationSeconds"]))
                    found["CROSSMESH_TOKEN"] = str(file)
        return found

    def _role(self, pod: Object) -> str:
        try:
            with urllib.request.urlopen(f"{url(self._document, 'aws')}/_world/pod-identities/{self._cluster}", timeout=2) as answer:
                roles = json.load(answer)
        except (OSError, ValueError):
            return ""
        return str(roles.get(f"{pod['metadata']['namespace']}/{pod['spec'].get('serviceAccountName', 'default')}", ""))


def _given(pod: Object, store: Store) -> dict[str, str]:
    """`envFrom` and `env` of the first container; what they name and is not there is left out."""
    container, found = pod["spec"]["containers"][0], dict[str, str]()
    for source in container.get("envFrom") or ():
        try:
            found |= store.get(("", "configmaps", pod["metadata"]["namespace"], source["configMapRef"]["name"])).get("data") or {}
        except ApiError:
            continue
    return found | {item["name"]: item.get("value") or _field(pod, item) for item in container.get("env") or ()}


def _field(pod: Object, item: Object) -> str:
    """The downward API's value of a variable, "" where it names no field."""
    value: Any = pod
    for part in str(((item.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath", "")).split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return value if isinstance(value, str) else ""


def _places(address: str) -> dict[str, str]:
    """Where programs of ours listen: pods share this machine's network, so each takes its own address."""
    return {"CROSSMESH_HEALTH": f"{address}:8081", "CROSSMESH_LISTEN": f"{address}:8443", "CROSSMESH_HTTP": f"{address}:8081"}
