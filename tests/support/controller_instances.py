"""Instances as AWS's App Mesh controller registers them."""

from crossmesh.core.observed import Instance, Pod


def theirs(of: Pod, **changes: str) -> Instance:
    """As AWS's controller writes a pod."""
    attributes = {
        "AWS_INSTANCE_IPV4": of.ip,
        "AWS_INSTANCE_PORT": "8080",
        "color": "blue",
        "k8s.io/namespace": of.namespace,
        "k8s.io/pod": of.name,
        "appmesh.k8s.aws/mesh": "demo",
        "appmesh.k8s.aws/virtualNode": "blue_demo",
        **changes,
    }
    return Instance(id=of.ip, attributes=attributes)
