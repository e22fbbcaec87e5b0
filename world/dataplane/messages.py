"""Envoy's messages, in bytes and as plain values, by the descriptors that the server of Envoys ships."""

import gzip
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from world.dataplane.names import Spec

DESCRIPTORS = Path(__file__).resolve().parents[2] / "xds" / "crossmesh_xds" / "envoy.binpb.gz"
STREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
_SERVICE = "envoy.service.discovery.v3."


@cache
def pool() -> Any:
    """Every message of Envoy's v3 API."""
    found = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(gzip.decompress(DESCRIPTORS.read_bytes())).file:
        found.AddSerializedFile(file.SerializeToString())
    return found


@cache
def kind(name: str) -> Any:
    """The class of a message."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def request(data: bytes) -> Any:
    """A DiscoveryRequest."""
    return kind(f"{_SERVICE}DiscoveryRequest").FromString(data)


def response(data: bytes) -> Any:
    """A DiscoveryResponse."""
    return kind(f"{_SERVICE}DiscoveryResponse").FromString(data)


def plain(packed: Any) -> Spec:
    """A packed resource as plain values, fields named as in Envoy's documentation."""
    message = kind(packed.type_url.rpartition("/")[2]).FromString(packed.value)
    found: Spec = json_format.MessageToDict(message, preserving_proto_field_name=True, descriptor_pool=pool())
    return found


def pack(packed: Any, value: Spec) -> None:
    """Put plain values back into a packed resource."""
    message = kind(packed.type_url.rpartition("/")[2])()
    json_format.ParseDict(value, message, descriptor_pool=pool())
    packed.value = message.SerializeToString(deterministic=True)
