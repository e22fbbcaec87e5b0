"""One world with the deployed application for all end-to-end tests; each test starts from the walkthrough's state, quiet and without faults."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from world.application import Application
from world.clusters.client import Cluster, wait_for
from world.deploy import ROOT, deploy
from world.state import World
from world.supervisor import running_world


@dataclass
class Deployed:
    """A world with the application in it."""

    world: World
    app: Application
    front: Cluster
    colours: Cluster

    def colour_pods(self) -> set[str]:
        """Ready colour pods by name."""
        return {pod["metadata"]["name"] for pod in self.colours.ready_pods("appmesh-demo", "app=colorapp")}

    def heal(self) -> None:
        """Clear every fault, one pod a colour, the registry exact, a quiet look."""
        for cluster in (self.front, self.colours):
            cluster.tell("faults", verb="DELETE")
            cluster.tell("dark", {"on": False})
        self.app.tell("aws", "faults", verb="DELETE")
        self.app.tell("dataplane", "envoy/start")
        self.app.tell("dataplane", "management/start")
        self.app.tell("dataplane", "dns", {"restore": True})
        for colour in ("blue", "red"):
            self.colours.scale("appmesh-demo", f"colorapp-{colour}", 1)
        self.colours.wait_ready("appmesh-demo", "app=colorapp", 2)
        # The first run starts every function; and where no look met a pod while it was ending, the deletion guard waits for a second listing.
        wait_for(lambda: self.app.look(120).kind == "quiet" and self.app.pods() == self.colour_pods(), 180, "a quiet look, and all exact")


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    """The world, up for the whole session. The schedule is off: tests move by hints, and one of them turns it on."""
    with running_world("test", ROOT / ".world") as world:
        deploy(world.document, Mode="apply", Schedule="DISABLED")
        found = Deployed(world, Application(world), Cluster(world.document, "eksc1"), Cluster(world.document, "eksc2"))
        found.front.wait_ready("appmesh-demo", "app=front", 1)
        found.heal()
        yield found


@pytest.fixture
def here(deployed: Deployed) -> Deployed:
    """The healed world: whatever a test leaves broken, the next one heals first."""
    deployed.heal()
    return deployed
