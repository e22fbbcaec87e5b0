"""The doctor's advice: each costly setting named with its fix, and nothing said where all is well."""

from typing import Any

import msgspec
import pytest
from crossmesh.core.compiler.routes import route_of
from crossmesh.core.diagnosis.doctor import GATE, rollouts, setup
from crossmesh.core.diagnosis.facts import Workloads
from crossmesh.core.observed import DeploymentFacts, Instance, Seen

from tests.support.diagnosis_world import BLUE, SETTINGS, TOPOLOGY, detail, registry

GOOD_POD = detail(BLUE, "app", deployment="blue", pre_stop=10.0, grace=40.0, gates=(GATE,))
GOOD = DeploymentFacts(namespace="appmesh-demo", name="blue", replicas=4, max_unavailable=0)
ROUTED = msgspec.structs.replace(
    TOPOLOGY,
    routers=tuple(
        msgspec.structs.replace(r, routes=(route_of({"name": "x", "httpRoute": {"retryPolicy": {"maxRetries": 2}}}),)) for r in TOPOLOGY.routers
    ),
)


def said(pod: Any = GOOD_POD, deployment: DeploymentFacts = GOOD, topology: Any = ROUTED, held: Any = None) -> list[str]:
    work = {"eksc2": Workloads(cluster="eksc2", pods=(pod,), deployments=(deployment,))}
    return [one.what for one in rollouts(topology, work, held, 3.0)]


def test_a_rollout_that_costs_nothing_needs_no_advice() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pre_stop": 0.0}, "does not wait before its pods end"),
        ({"pre_stop": 2.0}, "sleeps 2 s before its pods end"),
        ({"grace": 10.0}, "gives its pods 10 s to end"),
        ({"gates": ()}, "no readiness gate"),
    ],
)
def test_what_a_pod_lacks(change: dict[str, Any], says: str) -> None:
    (found,) = said(msgspec.structs.replace(GOOD_POD, **change))
    assert says in found


def test_a_hook_of_unknown_length_is_not_called_too_short() -> None:
    assert said(msgspec.structs.replace(GOOD_POD, pre_stop=None)) == []


def test_unavailable_pods_full_services_and_missing_retries() -> None:
    assert "may take 1 of 4 pods away" in said(deployment=msgspec.structs.replace(GOOD, max_unavailable=1))[0]
    assert "has no retry policy" in said(topology=TOPOLOGY)[0]
    full = registry(*(Instance(id=f"i{n}", attributes={}) for n in range(900)))
    assert "holds 902 of 1000 instances" in said(held=full)[0]


def test_deployments_of_no_virtual_node_are_nobodys_business() -> None:
    other = msgspec.structs.replace(GOOD_POD, labels={"app": "other"}, pre_stop=0.0)
    assert said(other) == []


LEGACY = msgspec.structs.replace(  # v1beta1: no podSelector
    ROUTED, nodes=tuple(msgspec.structs.replace(node, selector=None, legacy=True) for node in ROUTED.nodes)
)


@pytest.mark.parametrize(
    ("change", "theirs"),
    [
        ({"virtual_node": "colorapp-blue"}, True),
        ({"virtual_node": "appmesh-demo/colorapp-red", "deployment": "other"}, True),
        ({"deployment": "colorapp-blue"}, True),
        ({"virtual_node": "elsewhere", "deployment": "colorapp-blue"}, False),
        ({}, False),
    ],
)
def test_a_v1beta1_node_has_its_pods_by_annotation_or_by_the_deployment_of_its_name(change: dict[str, str], theirs: bool) -> None:
    pod = msgspec.structs.replace(GOOD_POD, pre_stop=0.0, **change)
    deployment = msgspec.structs.replace(GOOD, name=pod.deployment)
    assert bool(said(pod, deployment, LEGACY)) is theirs


PARAMETERS = {"Owner": "demo", "EksClusterArns": "arn:aws:eks:us-east-1:1:cluster/eksc1,arn:aws:eks:us-east-1:1:cluster/eksc2", "Mode": "apply"}


def subjects(parameters: dict[str, str], views: tuple[Seen, ...] = (), settings: Any = SETTINGS) -> list[str]:
    return [one.subject for one in setup(settings, TOPOLOGY, parameters, views, None)]


def test_settings_and_parameters_that_agree_need_no_advice_and_unknown_ones_are_not_judged() -> None:
    assert subjects(PARAMETERS) == []
    assert subjects({}) == []


def test_where_settings_and_parameters_differ() -> None:
    assert subjects({**PARAMETERS, "Owner": "other"}) == ["Owner"]
    assert subjects({**PARAMETERS, "EksClusterArns": "arn:aws:eks:us-east-1:1:cluster/eksc1"}) == ["EksClusterArns"]
    assert subjects({**PARAMETERS, "Mode": "observe"}) == ["Mode"]
    assert subjects(PARAMETERS, settings=msgspec.structs.replace(SETTINGS, canaries=())) == ["canaries"]


def test_awss_controller_beside_us_is_told_unless_it_only_injects() -> None:
    beside = Seen(cluster="eksc1", identity="x", begun=1.0, controller="appmesh-system/appmesh-controller")
    blind = Seen(cluster="eksc2", identity="x", begun=1.0, controller_unknown="HTTP 403")
    assert subjects(PARAMETERS, (beside, blind)) == ["eksc1", "eksc2"]
    tamed = tuple(msgspec.structs.replace(c, controller="injector-only") for c in SETTINGS.clusters)
    assert subjects(PARAMETERS, (beside, blind), settings=msgspec.structs.replace(SETTINGS, clusters=tamed)) == []


def test_what_awss_controller_left_is_told_and_what_others_made_is_not() -> None:
    node = TOPOLOGY.nodes[0]
    left = {"appmesh.k8s.aws/virtualNode": node.aws_name, "appmesh.k8s.aws/mesh": node.mesh, "AWS_INSTANCE_IPV4": "10.0.0.1"}
    pod = {"k8s.io/pod": "p", "k8s.io/namespace": node.namespace}
    held = registry(Instance(id="10.0.0.1", attributes={**left, **pod}), Instance(id="task", attributes=left))
    (found,) = setup(SETTINGS, TOPOLOGY, PARAMETERS, (), held)
    assert found.subject == "registry"
    assert [line.partition(" ")[0] for line in found.evidence] == ["10.0.0.1"]
