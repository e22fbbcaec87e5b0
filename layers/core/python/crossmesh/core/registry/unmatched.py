"""Why a virtual node has no ready pod, in words that name the label, the pod, the Deployment or the
setting that is why. Pure.

Only what was observed is claimed. A pod that another virtual node selects is that one's, however
much its labels resemble what this one looks for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher

import msgspec

from crossmesh.core.observed import DeploymentFacts, Pod, RegistryView, Seen, Unseen, View
from crossmesh.core.registry.endpoints import CLUSTER, POD_UID, VIRTUAL_NODE
from crossmesh.core.registry.pod_selection import counts_here, selects
from crossmesh.core.settings import ClusterSettings
from crossmesh.core.topology import LabelSelector, VirtualNode


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no pod to register, and what to do."""

    why: str
    fix: str


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What tells the causes apart, as far as it was looked at. `others`: all declared virtual
    nodes; `held`: attributes of the instances registered for this one; `deployments`: by cluster.
    Nothing is concluded from what is missing here.
    """

    others: tuple[VirtualNode, ...] = ()
    held: tuple[Mapping[str, str], ...] = ()
    deployments: Mapping[str, tuple[DeploymentFacts, ...]] = {}


def explain_unmatched(
    node: VirtualNode, clusters: Mapping[str, ClusterSettings], views: Iterable[View], known: Known | None = None
) -> Unmatched | None:
    """Why no seen cluster has a ready pod of the node; None where one has."""
    views = tuple(views)
    seen = [(v, pod) for v in views if isinstance(v, Seen) and v.cluster in clusters for pod in v.pods]
    own = [(view, pod) for view, pod in seen if selects(node, pod)]
    here = [(view, pod) for view, pod in own if counts_here(node, clusters[view.cluster])]
    if any(pod.ready for _, pod in here):
        return None
    looked = {view.cluster for view in views if isinstance(view, Seen)}
    found = _unready(node, here) or _elsewhere(node, own) or _none(node, seen, looked, known or Known())
    unseen = sorted(v.cluster for v in views if isinstance(v, Unseen))
    return (
        msgspec.structs.replace(found, why=f"{found.why}; {', '.join(unseen)} {_are(len(unseen))} unseen")
        if unseen
        else found
    )


_Found = list[tuple[Seen, Pod]]


def _unready(node: VirtualNode, here: _Found) -> Unmatched | None:
    """Its pods are there."""
    ending = sum(pod.dead for _, pod in here)
    waiting = [(view.cluster, pod) for view, pod in here if not pod.dead]
    parts = [f"{len(waiting)} of its pods {_are(len(waiting))} not ready"] if waiting else []
    parts += [f"{ending} {_are(ending)} ending"] if ending else []
    if waiting:
        cluster, pod = waiting[0]
        return Unmatched(
            why=", ".join(parts), fix=f"find out why: `kubectl describe pod {pod.name} -n {pod.namespace}` in {cluster}"
        )
    return Unmatched(why=", ".join(parts), fix=_scale(node)) if parts else None


def _elsewhere(node: VirtualNode, own: _Found) -> Unmatched | None:
    """Its pods are in clusters whose `nodes` leave it out."""
    names = sorted({view.cluster for view, _ in own})
    if not names:
        return None
    why = f"pods of {', '.join(names)} match, but `nodes` of that cluster in crossmesh.yaml does not list {node.key}"
    return Unmatched(why=why, fix=f"add {node.key} to `nodes` of {names[0]}")


def _none(node: VirtualNode, seen: _Found, looked: set[str], known: Known) -> Unmatched:
    """No pod is its own: the selector, the Deployment or the namespace is why, whichever was seen
    to be.
    """
    if node.selector is None:
        why = (
            f"no pod names it in an annotation or belongs to a Deployment {node.name}"
            if node.legacy
            else "it has no podSelector"
        )
        return _deployment(node, known, why) or Unmatched(
            why=why, fix=_scale(node) if node.legacy else "give it a podSelector"
        )
    shown = selector_text(node.selector)
    nothing = f"no pod matches {shown}"
    alive = {(view.cluster, pod.uid): pod for view, pod in seen if not pod.dead}
    held = [(attributes, (attributes.get(CLUSTER, ""), attributes.get(POD_UID, ""))) for attributes in known.held]
    correct = f"correct podSelector of {node.key} ({node.place.where}), or the pods' labels"
    if left := [alive[pod] for _, pod in held if pod in alive]:
        near = (
            nearest(node.selector, left)
            or f"the {_pods(len(left))} registered for it {_are(len(left))} alive and {_have(len(left))} other labels"
        )
        return Unmatched(why=f"{nothing}; {near}", fix=correct)
    if scaled := _deployment(node, known, nothing):
        return scaled
    gone = sum(
        1
        for attributes, pod in held
        if pod not in alive and pod[0] in looked and node.selector.matches(dict(attributes))
    )
    if gone:
        return Unmatched(why=f"{nothing} any more: the {_pods(gone)} that did {_are(gone)} gone", fix=_scale(node))
    free = [pod for _, pod in seen if not pod.dead and not any(selects(other, pod) for other in known.others)]
    elsewhere = sorted({pod.namespace for pod in free if node.selector.matches(pod.labels)} - {node.namespace})
    if elsewhere:
        return Unmatched(
            why=f"no pod of namespace {node.namespace} matches {shown}; pods of namespace {', '.join(elsewhere)} do",
            fix=(
                f"a virtual node selects pods of its own namespace: declare it in {elsewhere[0]}, or run its pods in"
                f" {node.namespace}"
            ),
        )
    if near := nearest(node.selector, [pod for pod in free if pod.namespace == node.namespace]):
        return Unmatched(why=f"{nothing}; {near}", fix=f"if these are its pods, {correct}; if not, {_scale(node)}")
    return Unmatched(why=nothing, fix=f"{_scale(node)}; or correct its podSelector ({node.place.where})")


def _deployment(node: VirtualNode, known: Known, nothing: str) -> Unmatched | None:
    """The Deployment whose pods would be its own, where it was read."""
    for cluster, deployments in sorted(known.deployments.items()):
        for one in deployments:
            if one.namespace != node.namespace or not _makes(one, node):
                continue
            named = f"Deployment {one.namespace}/{one.name} of {cluster}"
            if not one.replicas:
                fix = f"`kubectl scale deployment {one.name} -n {one.namespace} --replicas=1` in {cluster}"
                return Unmatched(why=f"{nothing}: {named} is scaled to 0", fix=fix)
            fix = f"find out why: `kubectl describe deployment {one.name} -n {one.namespace}` in {cluster}"
            return Unmatched(why=f"{nothing}: {named} wants {_pods(one.replicas)} and has none", fix=fix)
    return None


def _makes(deployment: DeploymentFacts, node: VirtualNode) -> bool:
    """Whether its pods would be the node's."""
    return (
        node.selector.matches(deployment.labels)
        if node.selector is not None
        else node.legacy and deployment.name == node.name
    )


def _scale(node: VirtualNode) -> str:
    return f"scale its Deployment up, or create it (`kubectl get deployments -n {node.namespace}`)"


def _pods(count: int) -> str:
    return f"{count} pod" if count == 1 else f"{count} pods"


def held_for(aws_name: str, registry: RegistryView) -> tuple[Mapping[str, str], ...]:
    """Attributes of the instances that are registered for a virtual node."""
    return tuple(
        i.attributes
        for service in registry.services
        for i in service.instances
        if i.attributes.get(VIRTUAL_NODE) == aws_name
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def selector_text(selector: LabelSelector) -> str:
    """A selector as `kubectl get pods -l` takes it."""
    parts = [f"{key}={value}" for key, value in selector.labels]
    for need in selector.requirements:
        match need.operator:
            case "In" | "NotIn":
                parts.append(f"{need.key} {need.operator.lower()} ({','.join(need.values)})")
            case "Exists":
                parts.append(need.key)
            case _:
                parts.append(f"!{need.key}")
    return ",".join(parts) or "everything"


def nearest(selector: LabelSelector, pods: Iterable[Pod]) -> str:
    """The pods that come closest to a selector, and the labels in which they differ; "" where none
    resembles it.
    """
    if not selector.labels:
        return ""
    alike = Counter(
        tuple((key, pod.labels.get(key, "")) for key, _ in selector.labels)
        for pod in pods
        if not selector.matches(pod.labels)
    )
    ranked = sorted(
        ((_resemblance(selector, dict(has)), count, has) for has, count in alike.items()),
        key=lambda one: (-one[0], -one[1], one[2]),
    )
    if not ranked or ranked[0][0] < _RESEMBLES:
        return ""
    _, count, has = ranked[0]
    wanted = dict(selector.labels)
    differ = [
        f"{key} is {value}, not {wanted[key]}" if value else f"{key} is missing"
        for key, value in has
        if value != wanted[key]
    ]
    shown = ",".join(f"{key}={value}" for key, value in has if value) or "none of these labels"
    return f"{count} {'pod has' if count == 1 else 'pods have'} {shown}" + (f" ({'; '.join(differ)})" if differ else "")


_RESEMBLES = 0.5  # of the selector's labels, a similar value counted by its similarity


def _resemblance(selector: LabelSelector, has: Mapping[str, str]) -> float:
    found = [1.0 if has[key] == value else _similar(has[key], value) for key, value in selector.labels]
    return sum(found) / len(found)


def _similar(one: str, other: str) -> float:
    ratio = SequenceMatcher(None, one[:63], other[:63]).ratio() if one else 0.0
    return ratio if ratio >= 0.6 else 0.0
