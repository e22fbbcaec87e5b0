"""What Cloud Map's API refuses by its patterns is an error with file and line; what it takes passes."""

import re
from functools import cache
from typing import Any

import botocore.session
import pytest
from crossmesh.core.compiler import cloud_map_names
from crossmesh.core.registry import endpoints
from hypothesis import given
from hypothesis import strategies as st

from tests.support.manifest_texts import HEAD, manifest, told


def about(service: str = "cart", namespace: str = "shop.local", attributes: str = "[]") -> list[str]:
    discovery = f"serviceDiscovery:\n  awsCloudMap:\n    namespaceName: {namespace}\n    serviceName: {service}\n    attributes: {attributes}"
    spec = f"podSelector: {{matchLabels: {{app: b}}}}\nlisteners: [{{portMapping: {{port: 1, protocol: http}}}}]\n{discovery}"
    return [line for line in told(HEAD, manifest("VirtualNode", "b", spec)) if "cloud-map-refuses" in line]


@pytest.mark.parametrize("service", ["api-1.5", "_http._tcp", "a", "A_b", "x" * 63, ".".join(["x" * 30] * 4)])
def test_names_that_cloud_map_takes_pass(service: str) -> None:
    assert about(service) == []


@pytest.mark.parametrize(
    "service", ["-api", "api-", "api..v1", "'.api'", "'api.'", "a/b", "'a b'", "ü", "_", "x" * 64, ".".join(["x" * 30] * 5)]
)
def test_a_service_name_that_cloud_map_refuses_is_an_error_at_its_line(service: str) -> None:
    (line,) = about(service)
    assert line.startswith("error cloud-map-refuses mesh.yaml:22 spec.serviceDiscovery.awsCloudMap.serviceName: Cloud Map takes no service")


@pytest.mark.parametrize("namespace", ["'a b'", "ü.local", "arn:aws:servicediscovery:us-east-1:1:namespace/ns-1"])
def test_a_namespace_name_that_cloud_map_refuses_is_an_error_at_its_line(namespace: str) -> None:
    (line,) = about(namespace=namespace)
    assert line.startswith("error cloud-map-refuses mesh.yaml:21 spec.serviceDiscovery.awsCloudMap.namespaceName")


@pytest.mark.parametrize(
    ("attributes", "field"),
    [
        ("[{key: 'a b', value: v}]", "attributes[0].key"),
        ("[{key: ok, value: v}, {key: ü, value: v}]", "attributes[1].key"),
        ("[{key: k, value: ü}]", "attributes[0].value"),
        ("[{key: k, value: ' v'}]", "attributes[0].value"),
        ('[{key: k, value: "v\\nw"}]', "attributes[0].value"),
    ],
)
def test_an_attribute_that_cloud_map_refuses_is_an_error(attributes: str, field: str) -> None:
    (line,) = about(attributes=attributes)
    assert f"spec.serviceDiscovery.awsCloudMap.{field}" in line


def test_an_attribute_that_cloud_map_takes_passes() -> None:
    assert about(attributes="[{key: a/b:c.d, value: 'v w~!'}]") == []


@cache
def _pattern(shape: str) -> re.Pattern[str]:
    """The API's own pattern."""
    model = botocore.session.get_session().get_service_model("servicediscovery")
    return re.compile(model.shape_for(shape).metadata["pattern"])


OURS: list[tuple[str, Any]] = [
    ("ServiceName", cloud_map_names._SERVICE),
    ("NamespaceNameHttp", cloud_map_names._NAMESPACE),
    ("AttrKey", cloud_map_names._KEY),
    ("AttrValue", cloud_map_names._VALUE),
    ("AttrKey", endpoints._KEY),
    ("AttrValue", endpoints._VALUE),
]
TEXT = st.text(st.sampled_from("ab1_-. \t~!:/ü\n"), max_size=40) | st.lists(
    st.sampled_from(["a" * 62, "a" * 64, "b", "_", "-", "."]), max_size=6
).map("".join)


@pytest.mark.parametrize(("shape", "ours"), OURS)
@given(text=TEXT)
def test_our_patterns_take_what_the_apis_take(shape: str, ours: Any, text: str) -> None:
    text = text[:255]  # lengths are not the patterns'
    theirs = _pattern(shape).search(text) is not None and not text.endswith("\n")  # Python's $ lets a newline follow
    assert (ours(text) is not None) == theirs
