"""What Kubernetes itself admits as names, labels, uids, addresses and versions (apimachinery,
pkg/util/validation).

An answer that holds anything else did not come from a sound API server. Bounds of our own are not
here: what a tenant may write is never its cluster's fault.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from crossmesh.core.observed import Pod

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# A UUID; shorter ones for the static pods of some kubelets
_UID = re.compile(r"[0-9A-Za-z-]{1,64}")
_VERSION = re.compile(r"[0-9]{1,20}")  # an unsigned integer of 64 bits


def is_namespace(text: str) -> bool:
    """A DNS label."""
    return _LABEL.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """A DNS subdomain: the name of a pod, a node, a Service."""
    return len(text) <= 253 and _SUBDOMAIN.fullmatch(text) is not None


def is_uid(text: str) -> bool:
    """An object's uid. It has no dot, so `cluster.uid` has one reading."""
    return _UID.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """A resourceVersion that can be compared."""
    return _VERSION.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """An IP address without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@lru_cache(maxsize=16_384)
def is_label(key: str, value: str) -> bool:
    """A label: `prefix/name`, and a value of 63 characters at most."""
    prefix, slash, name = key.rpartition("/")
    return bool(_PART.fullmatch(name) and (not slash or is_name(prefix)) and (not value or _PART.fullmatch(value)))


def are_labels(labels: Mapping[str, str]) -> bool:
    """Whether all of them are labels."""
    return all(is_label(key, value) for key, value in labels.items())


def pod_fault(pod: Pod, namespace: str) -> str:
    """What of a listed pod no API server would give, "" = nothing. The text repeats nothing of it
    but its name, cut.
    """
    if not is_name(pod.name):
        return "a pod's name is no Kubernetes name"
    if pod.namespace != namespace:
        return f"pod {pod.name} is of another namespace"
    for fault, what in (
        (not is_uid(pod.uid), "uid"),
        (bool(pod.ip) and not is_address(pod.ip), "IP address"),
        (bool(pod.node) and not is_name(pod.node), "node"),
        (not are_labels(pod.labels), "labels"),
    ):
        if fault:
            return f"pod {pod.name}: its {what} cannot be one of Kubernetes"
    return ""
