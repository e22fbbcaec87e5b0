"""`make demo`: the walkthrough on this machine, told step by step. Every step asserts; the exit code is 0 only if all held."""

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from crossmesh.core.canary.binomial import two_sided
from crossmesh.core.canary.verdict import Verdict
from rich.console import Console

from world import demo_mesh, demo_own
from world.application import Application
from world.clusters.client import Cluster, wait_for
from world.demo_mesh import Mesh
from world.deploy import ROOT, deploy, install_watchers, scale_watchers
from world.supervisor import running_world

say = Console(highlight=False, width=110)
BELIEVE = 0.001  # a mix less likely than this is no luck


class Step:
    """Counts and times what is told."""

    def __init__(self) -> None:
        self.number = 0
        self.began = time.monotonic()

    @contextmanager
    def __call__(self, title: str) -> Iterator[None]:
        """One step; what fails in it ends the demo."""
        self.number += 1
        began = time.monotonic()
        say.print(f"\n[bold cyan]{self.number}. {title}[/]")
        yield
        say.print(f"   [dim]{time.monotonic() - began:.1f} s[/]")


def check(holds: bool, told: str) -> None:
    """A fact that must hold."""
    say.print(f"   [green]✓[/] {told}" if holds else f"   [red]✗ {told}[/]")
    if not holds:
        raise AssertionError(told)


def bar(counts: dict[str, int]) -> None:
    """The mix as a bar."""
    total = sum(counts.values())
    colours = {"blue": "blue", "red": "red"}
    line = "".join(f"[{colours.get(name, 'yellow')}]{'█' * round(60 * count / total)}[/]" for name, count in sorted(counts.items()))
    say.print(f"   {line}  " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))


def fits(counts: dict[str, int], share: float) -> bool:
    """Whether only colours came, and blue in about this share."""
    total = sum(counts.values())
    return set(counts) <= {"blue", "red"} and two_sided(counts.get("blue", 0), total, share) >= BELIEVE


def play(root: Path, name: str = "demo", mesh: Mesh | None = None) -> None:
    """The whole walkthrough."""
    mesh = mesh or backend()
    step = Step()
    say.print("[bold]crossmesh[/]: one mesh over two EKS clusters, found through AWS Cloud Map — all on this machine, nothing leaves it.")
    with running_world(name, root, mesh=mesh.backend) as world:
        config = configured(world.dir / "declared", mesh.backend)
        front, colours = Cluster(world.document, "eksc1"), Cluster(world.document, "eksc2")
        with step("The world: two clusters, emulated AWS, real Envoy, real pods"):
            one = front.wait_ready("appmesh-demo", "app=front", 1)
            two = colours.wait_ready("appmesh-demo", "app=colorapp", 2)
            for cluster, pods in (("eksc1", one), ("eksc2", two)):
                for pod in pods:
                    say.print(f"   {cluster}: {pod['metadata']['name']} at {pod['status']['podIP']}")
            check(len(one) + len(two) == 3, "front runs in eksc1, blue and red run in eksc2; no address is known to the other cluster yet")
        with step("Deploy the application with `sam deploy`, the template that a user deploys"):
            deploy(world.document, config=config, Mode="apply")
            mesh.install(world)
            app = Application(world)
            check(app.instances() == {}, "deployed; Cloud Map holds nothing yet")
        with step("A hint arrives: look, plan, register, build the mesh"):
            app.look(90)
            names = {pod["metadata"]["name"] for pod in two}
            app.wait_pods(names)
            for instance, attributes in sorted(app.instances().items()):
                told = {k: attributes[k] for k in ("AWS_INSTANCE_IPV4", "color", "appmesh.k8s.aws/virtualNode", "crossmesh/cluster")}
                say.print(f"   {instance[:18]}… {told}")
            check({a["color"] for a in app.instances().values()} == {"blue", "red"}, "`discover-instances` lists both colours")
            mesh.built(app, check)
        with step("curl the front load balancer"):
            wait_for(lambda: app.get()[1] in ("blue", "red"), 30, "a colour through Envoy")
            status, body = app.get()
            check(status == 200 and body in ("blue", "red"), f"GET /color → {status} {body}")
        with step("200 requests: the routes promise half and half"):
            counts = app.mix(200)
            bar(counts)
            check(fits(counts, 0.5), "only colours came, and about half of each (exact binomial test)")
        with step("The canary says the same, from outside"):
            app.canary(requests=200)
            verdict = settled(app, "good")
            check(verdict.kind == "good", f"canary front-color: {verdict.says}")
        with step("A second look over an unchanged world writes nothing"):
            app.calls(reset=True)
            quiet = app.look()
            writes = {op: n for op, n in writes_of(app).items() if n}
            check(quiet.kind == "quiet" and not writes, f"the look was {quiet.kind}; writes: {writes or 'none'}")
        with step("A watcher in each cluster; a blue pod is killed, and nobody hints but the watcher"):
            install_watchers(world.document)
            app.idle_all()
            old = next(n for n in names if "blue" in n)
            colours.delete("Pod", "appmesh-demo", old)
            fresh = colours.wait_ready("appmesh-demo", "app=colorapp", 2)
            names = {pod["metadata"]["name"] for pod in fresh}
            took = app.wait_pods(names)
            check(
                old not in app.pods(),
                f"{old} is gone from Cloud Map, {next(n for n in names if 'blue' in n)} is in ({took:.1f} s after it was ready)",
            )
            scale_watchers(world.document, 0)
            say.print("   (the watchers end: from here on this demo hints by hand, one look a step)")
            wait_for(lambda: app.mix(4).keys() <= {"blue", "red"}, 20, "colours only")
            check(app.mix(20).keys() <= {"blue", "red"}, "20 requests, 20 colours")
        with step("One cluster goes dark: nothing is deregistered"):
            before = app.instances()
            colours.tell("dark", {"on": True})
            looked = app.look()
            causes = {line.name: line.cause for line in looked.clusters if line.cause}
            check(set(causes) == {"eksc2"}, f"eksc2 is unseen ({causes.get('eksc2')}), eksc1 goes on")
            check(app.instances() == before, f"all {len(before)} instances still stand, and requests are answered: {app.get()[1]}")
            colours.tell("dark", {"on": False})
            healed = app.look()
            check(not any(line.cause for line in healed.clusters), "eksc2 is back; nothing had to be done by hand")
        with step("A liar: the API of eksc2 answers 200 with an empty list"):
            colours.tell("faults", {"path": "/pods$", "empty_list": True})
            looked = app.look()
            causes = {line.name: line.cause for line in looked.clusters if line.cause}
            check(causes == {"eksc2": "list-incomplete"}, f"a GET still finds the pods, so the list is not believed: {causes}")
            check(app.instances() == before, "nothing was deregistered (AWS's controllers and external-dns remove all of them here)")
            colours.tell("faults", verb="DELETE")
        with step(mesh.drift):
            mesh.hurt(app, check)
        with step("A shift: 50/50 → 90/10 step by step, without a deploy"):
            demo_mesh.shift(app, mesh, check, config)
            counts = moved(app)
            bar(counts)
            check(fits(counts, 0.9), "200 requests: the measured mix moved with it")
        with step("Change the routes to 1 blue : 9 red and one by header in the manifest, and deploy it"):
            edited = world.dir / "config"
            shutil.copytree(config, edited, dirs_exist_ok=True)
            file = edited / "mesh" / "colorapp.yaml"
            file.write_text(re.sub(r"(name: colorapp-red\n\s+weight:) 1", r"\1 9", file.read_text()))
            demo_mesh.add_route_by_header(file)
            deploy(world.document, config=edited, Mode="apply")
            app.look(90)
            counts = moved(app)
            bar(counts)
            check(fits(counts, 0.1), "the measured mix moved with it")
            ended = [line for line in demo_mesh.crossmesh(app, "status", config=edited).splitlines() if "shift of" in line]
            check("a deploy changed its route's document" in " ".join(ended), f"and the shift ended: {ended[-1] if ended else 'untold'}")
            by_header = app.mix(20, headers={"color_side": "blue"})
            check(by_header == {"blue": 20}, f"20 requests with the header color_side: blue → {dict(by_header)}")
        with step("A red pod's program dies and nobody notices: Cloud Map lists it still, front answers 200 with an error body"):
            stale, about = next((i, a) for i, a in app.instances().items() if a["color"] == "red")
            colours.tell(f"pods/appmesh-demo/{about['k8s.io/pod']}/kill")
            counts = app.mix(20)
            check(any(body not in ("blue", "red") for body in counts), f"status codes hide it: front says 200 with {dict(counts)}")
            red = settled(app, "failed")
            check(red.kind == "failed", f"the canary is red: {red.says}")
            first = (red.diagnoses or ())[0]
            check(first.subject == stale, f"and names it: {first.what} ({'; '.join(first.evidence)})")
            say.print(f"   fix: {first.fix}")
            colours.delete("Pod", "appmesh-demo", about["k8s.io/pod"], grace=0)
            fresh = {pod["metadata"]["name"] for pod in colours.wait_ready("appmesh-demo", "app=colorapp", 2)}
            app.hint()
            app.wait_pods(fresh)
            wait_for(lambda: app.mix(6).keys() <= {"blue", "red"}, 20, "colours only")
            green = settled(app, "good")
            check(green.kind == "good", f"restarted, the canary is green again: {green.says}")
    say.print(f"\n[bold green]Every step held[/] in {time.monotonic() - step.began:.0f} s.")


def writes_of(app: Application) -> dict[str, int]:
    """Writes that the AWS server counted since the last reset, by operation."""
    verbs = ("Register", "Deregister", "Create", "Update", "Delete", "Tag", "Untag", "Authorize")
    found: dict[str, int] = {}
    for entry in app.calls()["calls"]:
        if entry["operation"].startswith(verbs):
            found[entry["operation"]] = found.get(entry["operation"], 0) + entry["count"]
    return found


def settled(app: Application, kind: str) -> Verdict:
    """The canary's verdict once it is `kind`, or its third: the schedule runs canaries too, and one that began before the change may end after it."""
    for _ in range(3):
        found = app.diagnosed()
        if found.kind == kind:
            break
    return found


def moved(app: Application) -> dict[str, int]:
    """The mix of 200 requests once Envoy has the new routes."""
    app.settled()
    return app.mix(200)


def backend() -> Mesh:
    """The one that BACKEND names."""
    known: dict[str, Mesh] = {mesh.backend: mesh for mesh in (demo_own.OwnEnvoys(), demo_mesh.AppMesh())}
    name = os.environ.get("BACKEND", "envoy")
    if name not in known:
        raise SystemExit(f"BACKEND is {name!r}; it must be one of {', '.join(known)}")
    return known[name]


def configured(folder: Path, name: str) -> Path:
    """The project's configuration with a mesh backend."""
    shutil.copytree(ROOT / "config", folder, dirs_exist_ok=True)
    file = folder / "crossmesh.yaml"
    file.write_text(re.sub(r"(?m)^(  backend:) \w+$", rf"\1 {name}", file.read_text()))
    return folder


def main(run: Callable[[Path], None] = play) -> int:
    """0 if every step held."""
    try:
        run(ROOT / ".world")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        say.print(f"\n[bold red]It did not hold:[/] {type(error).__name__}: {error}", markup=True)
        say.print(f"   logs: {ROOT.name}/.world/demo/logs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
