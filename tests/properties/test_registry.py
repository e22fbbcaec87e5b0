"""Whatever happens, in whatever order: nobody else's instance is touched, nothing of an unseen cluster goes, no live pod is lost.

And it ends exact and quiet. With adoption on, what AWS's controller left goes only where ours stands for the same pod, or where its pod has ended.
"""

from typing import Any

import msgspec
from crossmesh import codec
from crossmesh.core.observed import Outlier, Unseen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.builders import context, pod
from tests.support.passes import MemoryWorld

CLUSTERS, COLOURS = ("a", "b"), ("blue", "red")
# An ECS task's instance, and one of another deployment over the same clusters.
FOREIGN = (
    {"AWS_INSTANCE_IPV4": "10.7.7.7"},
    {
        "crossmesh/owner": "somebody-else",
        "crossmesh/cluster": "a",
        "crossmesh/pod-uid": "theirs",
        "k8s.io/namespace": "demo",
        "k8s.io/pod": "x",
    },
)
cluster = st.sampled_from(CLUSTERS)
number = st.integers(0, 7)
steps = st.one_of(
    st.tuples(st.just("pod"), cluster, number, st.sampled_from(COLOURS), st.booleans()),
    st.tuples(st.just("terminate"), cluster, number),
    st.tuples(st.just("remove"), cluster, number),
    st.tuples(st.just("fail"), cluster, st.sampled_from(["timeout", "refused", "cut", "list-incomplete"])),
    st.tuples(st.just("heal"), cluster),
    st.tuples(st.just("lose"), number),
    st.tuples(st.just("ghost"), cluster, number),
    st.tuples(st.just("foreign"), number),
    st.tuples(st.just("theirs"), cluster, number, st.sampled_from(COLOURS)),
    st.tuples(st.just("custom health")),
    st.tuples(st.just("outlier"), number),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 25.0, 700.0])),
    st.tuples(st.just("pass")),
    st.tuples(st.just("look")),
)


class Play:
    """Plays steps on a world and checks what must never happen at every pass."""

    def __init__(self, *, adopt: bool) -> None:
        self.world, self.where, self.adopt = MemoryWorld(), context(adopt=adopt), adopt
        self.foreign: dict[str, dict[str, str]] = {}

    @property
    def instances(self) -> dict[str, dict[str, str]]:
        service = self.world.registry._service("demo.local", "color").id
        return self.world.registry.instances.get(service, {})

    def ready(self) -> set[str]:
        return {p.uid for found in self.world.clusters.pods.values() for p in found.values() if p.ready}

    def play(self, step: tuple[Any, ...]) -> None:
        world = self.world
        match step:
            case ("pod", name, index, colour, ready):
                world.clusters.put(name, pod(f"{name}{index}{colour}", colour, ready=ready, ip=f"10.0.0.{index}"))
            case ("terminate", name, index):
                for found in [p for p in world.clusters.pods.get(name, {}).values() if p.uid.startswith(f"{name}{index}")]:
                    world.clusters.put(name, pod(found.uid, found.labels["version"], terminating=True, ip=found.ip))
            case ("remove", name, index):
                for uid in [u for u in world.clusters.pods.get(name, {}) if u.startswith(f"{name}{index}")]:
                    world.clusters.remove(name, uid)
            case ("fail", name, cause):
                world.clusters.failing[name] = Unseen(cluster=name, cause=cause)
            case ("heal", name):
                world.clusters.failing.pop(name, None)
            case ("lose", index):
                ours = sorted(i for i, a in self.instances.items() if a.get("crossmesh/owner") == "prod")
                if ours:
                    del self.instances[ours[index % len(ours)]]
                    world.registry.revisions[next(iter(world.registry.services))] += 1
            case ("ghost", name, index):
                marks = {
                    "crossmesh/owner": "prod",
                    "crossmesh/cluster": name,
                    "crossmesh/pod-uid": f"ghost{index}",
                    "k8s.io/namespace": "demo",
                    "k8s.io/pod": "ghost",
                }
                if world.registry.services:
                    self.instances[f"{name}.ghost{index}"] = {**marks, "appmesh.k8s.aws/virtualNode": "blue_demo"}
                    world.registry.revisions[next(iter(world.registry.services))] += 1
            case ("foreign", index):
                if world.registry.services:
                    self.foreign[f"x{index}"] = self.instances[f"x{index}"] = FOREIGN[index % 2]
            case ("theirs", name, index, colour) if world.registry.services:
                self.instances[f"10.0.0.{index}"] = controllers(name, index, colour)
                world.registry.revisions[self.service] += 1
            case ("custom health",) if world.registry.services:
                found = world.registry.services[self.service]
                world.registry.services[self.service] = msgspec.structs.replace(found, custom_health=True)
                for instance in self.instances:
                    world.registry.statuses.setdefault(self.service, {}).setdefault(instance, "HEALTHY")
            case ("outlier", index):
                ours = sorted(i for i, a in self.instances.items() if a.get("crossmesh/owner") == "prod")
                named = ours[index % len(ours)] if ours else "nobody"
                uid = self.instances[named]["crossmesh/pod-uid"] if ours else ""
                world.state.documents["outliers"] = codec.encode({named: Outlier(uid=uid, evidence="500")})
            case ("theirs" | "custom health", *_):
                pass
            case ("wait", seconds):
                world.clock.sleep(seconds)
            case ("look",):
                self.look()
            case _:
                self.run()

    @property
    def service(self) -> str:
        return next(iter(self.world.registry.services))

    def unwell(self) -> set[str]:
        """uids of pods whose instance is marked."""
        marked = {i for i, status in self.world.registry.statuses.get(self.service, {}).items() if status == "UNHEALTHY"}
        return {a["crossmesh/pod-uid"] for i, a in self.instances.items() if i in marked and "crossmesh/pod-uid" in a}

    def stands_for(self, attributes: dict[str, str]) -> bool:
        """Whether an instance of ours is of the pod that one of AWS's controller names."""
        keys = ("k8s.io/pod", "k8s.io/namespace", "AWS_INSTANCE_IPV4")
        return any(a.get("crossmesh/owner") == "prod" and all(a.get(k) == attributes[k] for k in keys) for a in self.instances.values())

    def ended(self, attributes: dict[str, str]) -> bool:
        """Whether no cluster has the pod that an instance names, alive under that address."""
        pods = [p for found in self.world.clusters.pods.values() for p in found.values()]
        return not any(p.name == attributes["k8s.io/pod"] and p.ip == attributes["AWS_INSTANCE_IPV4"] and not p.dead for p in pods)

    def look(self) -> None:
        writes = list(self.world.registry.writes)
        self.world.look(self.where)
        assert self.world.registry.writes == writes, "a look writes nothing"

    def run(self) -> None:
        before = {i: dict(a) for i, a in self.instances.items()}
        ready, unseen = self.ready(), set(self.world.clusters.failing)
        outliers = {s.uid for s in codec.decode(self.world.state.documents.get("outliers", b"{}"), dict[str, Outlier]).values()}
        unwell = self.unwell() if before else set()
        self.world.run(self.where)
        after = self.instances
        for instance, attributes in before.items():
            if attributes.get("crossmesh/cluster") in unseen:
                assert instance in after, "nothing of an unseen cluster goes"
            if attributes.get("crossmesh/pod-uid") in ready:
                assert instance in after, "no live pod's instance goes"
            if "appmesh.k8s.aws/mesh" in attributes and "crossmesh/owner" not in attributes and instance not in after:
                assert self.adopt, "theirs stays where nobody asked"
                assert self.stands_for(attributes) or self.ended(attributes), "theirs goes only for ours, or with its pod"
        for name, attributes in self.foreign.items():
            assert after[name] == attributes, "nobody else's instance is touched"
        if before:
            assert not (self.unwell() & ready) - unwell - outliers, "no live pod is marked but an outlier"


def controllers(name: str, index: int, colour: str) -> dict[str, str]:
    """As AWS's controller registers a pod of the story."""
    return {
        "AWS_INSTANCE_IPV4": f"10.0.0.{index}",
        "k8s.io/namespace": "demo",
        "k8s.io/pod": f"pod-{name}{index}{colour}",
        "appmesh.k8s.aws/mesh": "demo",
        "appmesh.k8s.aws/virtualNode": f"{colour}_demo",
    }


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=40), st.booleans())
def test_whatever_happens_it_ends_exact_and_quiet(story: list[tuple[Any, ...]], adopt: bool) -> None:
    play = Play(adopt=adopt)
    for step in story:
        play.play(step)
    play.world.clusters.failing.clear()
    play.world.state.documents.pop("outliers", None)
    for _ in range(4):
        play.world.clock.sleep(700.0)  # beyond the deletion guard's second listing and the competing writer's window
        play.run()
    competing_writers = "competing-writer" in str(play.world.telemetry.reports[-1].withheld_counts)
    if not competing_writers:
        unwell = play.unwell() if play.world.registry.services else set()
        assert play.world.pods_in() - {"theirs"} - unwell == play.ready()
        left = [a for a in play.instances.values() if "appmesh.k8s.aws/mesh" in a and "crossmesh/owner" not in a]
        assert not adopt or not any(play.stands_for(a) or play.ended(a) for a in left), "nothing of theirs is left that could go"
    writes = list(play.world.registry.writes)
    play.look()
    play.run()
    assert play.world.registry.writes == writes, "quiet means zero writes"
