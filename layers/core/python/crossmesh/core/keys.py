"""Keys of Cloud Map services and instances: one string each, for JSON and for people. Different
parts never give the same key.

A key is never taken apart again. Whoever needs its parts carries them beside it.
"""

import json

# Of Cloud Map services and mesh resources that we made: whose they are
OWNER_TAG = "crossmesh:owner"


def service_key(namespace: str, service: str) -> str:
    """`service.namespace`; `"service".namespace` where the service's name has a dot of its own, as
    in TOML.

    The API allows dots in both names, so `api-1` in `5.prod` and `api-1.5` in `prod` would look
    alike without the quotes.
    """
    plain = "." not in service and '"' not in service
    return f"{service if plain else json.dumps(service)}.{namespace}"


def pod_key(cluster: str, uid: str) -> str:
    """`CLUSTER/UID` of a pod. The uid is the cluster's word: another cluster may say the same.
    Neither has a slash.
    """
    return f"{cluster}/{uid}"


def instance_key(key: str, instance: str) -> str:
    """`KEY/ID` of an instance in the service KEY. An id that has a slash stands in quotes."""
    return f"{key}/{json.dumps(instance) if '/' in instance else instance}"
