"""Bugs planted in our own code, as data: each must break a property within its budget of schedules. What no longer fits its source is an error.

`sieve`: the class that Sieve (OSDI 2022) would give it — intermediate (a crash between two effects), stale (an old answer believed), unobserved (a change
nobody looked at), indirect (a plain mistake that only some history shows). `peer`: who has or had it (research/peers.md 3 and 7, research/limits.md 1.4).
"""

# ruff: noqa: E501 - a table reads by its lines
from typing import Literal

import msgspec

from tests.sim.application import source

Sieve = Literal["intermediate", "stale", "unobserved", "indirect"]
CORE, STEPS, ADAPTERS = (f"layers/core/python/crossmesh/{part}" for part in ("core", "steps", "adapters"))


class Mutant(msgspec.Struct, frozen=True):
    """`old` stands exactly once in `file` (`every`: at least once); `new` takes its place."""

    name: str
    file: str
    old: str
    new: str
    sieve: Sieve
    peer: str = ""
    every: bool = False

    def text(self) -> str:
        """The file with the bug in it. Raises ValueError where the source has moved on."""
        text = source(self.file)
        count = text.count(self.old)
        if count != 1 and not (self.every and count):
            raise ValueError(f"mutant {self.name}: {self.file} has its snippet {count} times, not once; mend tests/sim/mutants.py")
        return text.replace(self.old, self.new)


M = Mutant
MUTANTS: tuple[Mutant, ...] = (
    # --- whose instance it is
    M("every instance is ours", f"{CORE}/scene.py", "key: [i for i in service.instances if i.attributes.get(mark) == owner]", "key: list(service.instances)", "indirect", "KOG: deregisters every IP it does not know"),
    M("an id without the cluster", f"{CORE}/endpoints.py", 'whole = f"{cluster}.{uid}"', "whole = uid", "indirect", "MCS#254: a second cluster overwrote the first's endpoints"),
    M("the id is the pod's IP", f"{CORE}/endpoints.py", "id=instance_id(cluster, pod.uid),", "id=pod.ip,", "indirect", "AMC: instance id = pod IP"),
    M("a foreign instance under our id is overwritten", f"{CORE}/adding.py", "elif old.attributes.get(ep.OWNER) != scene.owner:", "elif False:", "indirect", "GWC: claims untagged things on upsert"),
    M("marks are not compared before a delete", f"{STEPS}/apply_registry.py", "if marks != (action.owner, action.cluster, action.uid) or pod_of(found) != action.pod:", "if False:", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("no fresh read before a delete", f"{STEPS}/apply_registry.py", "        listed = self.fresh.get(key, {})", '        return ""\n        listed = self.fresh.get(key, {})', "stale", "AMC: no re-read before deregistering"),
    M("neither listed nor compared before a delete", f"{STEPS}/apply_registry.py", "yield from beside(lease.check(self.run), self._read([action for queue in queues.values() for _, action in queue], now))", "yield from lease.check(self.run)\n            self._precondition = lambda _: (_ for _ in ())", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("a list is compared with however old it is", f"{STEPS}/apply_registry.py", "now - self.read.get(key, -COMPARED) >= COMPARED", "key not in self.read", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("late registrations are not compared", f"{STEPS}/apply_registry.py", "late = now - self.plan.begun > COMPARED", "late = False", "stale", "GWC: claims untagged things on upsert"),
    M("instances of an unlisted cluster are removed", f"{CORE}/judging.py", 'draft.hold_removal(service.key, instance, "orphaned", detail)\n        return None', 'return Removal(service=service, instance=instance, why="forgotten", reason=detail)', "indirect", "AMC: two clusters each delete the other's instances"),
    M("services that documents name are deleted when empty", f"{CORE}/removing.py", "if service.id and key not in scene.named and", "if service.id and", "indirect", "EDNS: may delete a service whose discovery answered empty"),
    M("foreign attributes are drift", f"{CORE}/adding.py", "elif not endpoint.attributes.items() <= old.attributes.items():", "elif endpoint.attributes != old.attributes:", "indirect", "MCS#312: a Lambda adds attributes, the controller re-registers for ever"),
    M("a change drops foreign attributes", f"{CORE}/adding.py", "{**old.attributes, **endpoint.attributes}", "dict(endpoint.attributes)", "indirect", "EDNS#1065: per-instance attributes lost"),
    M("two hands fight for ever", f"{CORE}/contest.py", "if len(lost[instance]) >= 2:", "if False:", "indirect", "CK#860: two clusters on one registry deregister each other's services in a loop"),
    M("a robbery is never noticed", f"{CORE}/contest.py", "registered = {i: at for i, at in memory.registered.items() if now - at < WINDOW}", "registered = dict[str, float]()", "unobserved", "CK#579"),
    M("a neighbour's word is not heard", f"{CORE}/neighbour.py", 'return who if who != me and until.isdigit() and int(until) > now else ""', 'return ""', "unobserved", "AMC: two clusters each delete the other's instances"),
    M("a neighbour's mark is not seen", f"{CORE}/neighbour.py", "holder = service.tags.get(deployment_tag(owner), me)", "holder = me", "unobserved", "AMC: two clusters each delete the other's instances"),
    M("a neighbour's word holds for ever", f"{CORE}/neighbour.py", "int(until) > now", "int(until) > 0", "indirect", "decision 0005: a stray deployment would stop a healthy one for good"),
    M("nobody can decide between neighbours", f"{CORE}/neighbour.py", "if asked > since:", "if False:", "indirect", "decision 0005"),
    M("an id is cut short", f"{ADAPTERS}/cloud_map.py", "InstanceId=instance_id, Attributes=attributes", "InstanceId=instance_id[:8], Attributes=attributes", "indirect", "CK#579: ids that collide"),
    M("what is registered is not what was planned", f"{STEPS}/apply_registry.py", "return to(Registry.register, service, action.id, action.attributes, token)", 'return to(Registry.register, service, f"{action.id}.{self.run.id[:4]}", action.attributes, token)', "indirect", "MCS: two code paths make ids"),
    # --- unknown is not empty
    M("a view that failed is an empty one", f"{ADAPTERS}/kubernetes.py", "                    return Unseen(cluster=cluster.name, cause=why.cause, detail=why.detail, begun=begun)", "                    return Seen(cluster=cluster.name, identity=identity, begun=begun, versions=dict.fromkeys(namespaces, 0))", "indirect", "KOG: errors swallowed; EDNS#3841: throttling emptied a status and all records went"),
    M("a chain of pages may end early", f"{ADAPTERS}/kubernetes.py", "if left is not None and items + (page.metadata.remaining_item_count or 0) != left:", "if False:", "stale", "KOG: lists unpaged"),
    M("any list-like answer is a list", f"{ADAPTERS}/kubernetes.py", "if page.kind != expected:", "if False:", "indirect", "the three that write: no guard against an empty answer"),
    M("only the first page of pods", f"{ADAPTERS}/kubernetes.py", "            if not token:\n                return pages", "            return pages", "stale", "ICM: reads only the first page"),
    M("an absent pod is not asked for", f"{ADAPTERS}/kubernetes.py", "answers = list(pool.map(there, missing + unnamed)) if missing or unnamed else []", "answers = [False for _ in missing + unnamed]", "stale", "AMC, EDNS, MCS: an empty or partial list deregisters everything"),
    M("a GET that finds the pod is not believed", f"{ADAPTERS}/kubernetes.py", "            if is_there:\n", "            if False:\n", "stale", "AMC, EDNS, MCS: an empty or partial list deregisters everything"),
    M("a list from before is believed", f"{ADAPTERS}/kubernetes.py", "if version < versions.get(namespace, 0):", "if False:", "stale", "Sieve: time travel"),
    M("versions are not recorded", f"{CORE}/remembering.py", "versions={**memory.versions, **{name: dict(sorted(view.versions.items())) for name, view in scene.seen.items()}},", "versions={},", "stale", "Sieve: time travel"),
    M("another cluster of the same name is believed", f"{ADAPTERS}/kubernetes.py", "        if recorded and ", "        if False and ", "indirect", "MCS#140: what became of a dead cluster"),
    M("identities are not recorded", f"{CORE}/remembering.py", "identities={**memory.identities, **{name: view.identity for name, view in scene.seen.items()}},", "identities={},", "indirect", "MCS#140"),
    M("a cluster without a view is an empty one", f"{STEPS}/plan_registry.py", 'views.append(Unseen(cluster=name, cause="crashed", detail="its observing function ended without a view"))', 'views.append(__import__("crossmesh.core.views", fromlist=["Seen"]).Seen(cluster=name, identity="", begun=views[0].begun if views else 0.0))', "intermediate", "CK: \"if we don't wait, we will reap all services\""),
    M("an unseen cluster freezes the others", f"{CORE}/adding.py", "            if count >= room.later:", "            if count >= room.later or scene.unseen:", "indirect", "EDNS: one failing service aborts the whole pass"),
    M("a registry half read is an empty one", f"{STEPS}/observe.py", "        if isinstance(instances, CrossmeshError):\n            raise instances", "        if isinstance(instances, CrossmeshError):\n            instances = ()", "stale", "MCS: an empty answer drops the ServiceImport"),
    # --- which pods count
    M("a pod that is not ready counts", f"{CORE}/views.py", "return not self.dead and bool(self.ip) and self.containers_ready", "return not self.dead and bool(self.ip)", "indirect", "AMC#132: readiness not considered"),
    M("readiness is not looked at", f"{CORE}/views.py", "bool(self.ip) and self.containers_ready", "bool(self.ip)", "indirect", "AMC#132: readiness not considered"),
    M("a Terminating pod counts", f"{CORE}/views.py", "return not self.dead and bool(self.ip) and self.containers_ready", "return bool(self.ip) and self.containers_ready", "indirect", "roadmap#151: 20-30 s of 503 to dead IPs"),
    M("the pod's own Ready decides", f"{ADAPTERS}/kubernetes_pods.py", 'c.type == "ContainersReady"', 'c.type == "Ready"', "indirect", "AMC: readiness gate and registration wait for each other"),
    M("deletionTimestamp is not read", f"{ADAPTERS}/kubernetes_pods.py", "terminating=meta.deletion_timestamp is not None,", "terminating=False,", "indirect", "GWC#780: 503s on scale-in"),
    M("a finished pod is only unready", f"{CORE}/views.py", "return self.terminating or self.finished", "return self.terminating", "indirect", "AMC: restart policies"),
    M("distinguishing attributes are left out", f"{CORE}/endpoints.py", "self._before = {**dict(self.node.cloud_map.attributes), **own,", "self._before = {**own,", "indirect", "roadmap#225: shared attributes mix traffic"),
    M("zones are left out", f"{CORE}/endpoints.py", "strict=True) if value}", "strict=True) if not value}", "indirect", "field parity with AMC"),
    # --- order and brake
    M("a live pod's old instance goes first", f"{CORE}/removing.py", 'after=after,\n        reason=removal.reason,\n        phase=3 if after or removal.why in ("unselected", "replaced") else 1,', "reason=removal.reason,", "intermediate", "EDNS: deletes before creates"),
    M("a removal does not wait for its replacement's proof", f"{STEPS}/apply_registry.py", "if action.after and action.after not in self.proved:", "if False:", "intermediate", "EDNS PR#3123: one pod rolled = all deregistered, then added back"),
    M("no brake", f"{CORE}/brake.py", "if total <= limit and not emptied:", "if True:", "stale", "the three that write: no delete guard"),
    M("the brake's limit is the whole service", f"{CORE}/brake.py", "limit = max(1.0, policy.confirm_above * registered)", "limit = float(registered)", "stale", "EDNS: no percentage guard"),
    M("a node may be emptied", f"{CORE}/brake.py", "if net[node] and adds.get(node, 0) + standing.get(node, 0) - len(instances) <= 0:", "if False:", "stale", "EDNS#3841"),
    M("every pass starts the brake's clock anew", f"{CORE}/brake.py", "first = min(remembered.get(instance, begun[instance]), begun[instance])", "first = begun[instance]", "indirect", "newcomers reset the clock"),
    M("the next listing confirms at once", f"{CORE}/brake.py", "if begun[instance] < first + policy.confirm_after:", "if instance not in remembered:", "stale", "EDNS: no confirmation"),
    M("confirmations are not remembered", f"{CORE}/remembering.py", "confirmations=dict(sorted({**kept, **confirmations}.items())),", "confirmations={},", "indirect", "a brake that is a wall"),
    M("clocks of unseen clusters are lost", f"{CORE}/remembering.py", "confirmations=dict(sorted({**kept, **confirmations}.items())),", "confirmations=dict(sorted(confirmations.items())),", "indirect"),
    M("dead pods' instances wait for the brake", f"{CORE}/removing.py", '_CERTAIN = ("dead", "forgotten", "replaced")', '_CERTAIN = ("forgotten", "replaced")', "indirect", "AMC#159: pods not deregistered on scaling"),
    M("who was seen Terminating is forgotten", f"{CORE}/judging.py", "if uid in scene.memory.terminating:", "if False:", "unobserved", "Sieve: an intermediate state nobody saw twice"),
    M("the look's sightings are not handed on", f"{STEPS}/plan_registry.py", "**looked.memory.terminating}", "}", "unobserved", "Sieve: unobserved states"),
    M("an unready pod's removal never grows stale", f"{STEPS}/apply_registry.py", "if now - self.plan.begun > FRESH:", "if False:", "stale", "AMC#357-like: acting on an old list"),
    # --- the registry's own ways
    M("discovery shows 100 instances", f"{ADAPTERS}/cloud_map.py", "MaxResults=1000, ", "", "stale", "EDNS, ICM: DiscoverInstances without MaxResults"),
    M("only the first page of instances", f"{ADAPTERS}/cloud_map.py", 'for page in pages for i in page["Instances"]]\n        return tuple(sorted(found', 'for page in [next(iter(pages))] for i in page["Instances"]]\n        return tuple(sorted(found', "stale", "ICM, KOG: first page only"),
    M("a 200 is success", f"{STEPS}/verify_registry.py", "missing = yield from _missing(missing)", "missing = {}", "intermediate", "EDNS: never polls operations"),
    M("what is missing counts as proved", f"{STEPS}/outcomes.py", "if index in lacking or index not in outcomes", "if index not in outcomes", "intermediate", "EDNS: no GetOperation"),
    M("a failed operation is not missed", f"{STEPS}/verify_registry.py", '{"missing": sorted(missing), ', '{"missing": sorted(index for index in missing if missing[index].id not in failed), ', "intermediate", "EDNS: no GetOperation"),
    M("more than the API takes", f"{ADAPTERS}/cloud_map.py", "Attributes=attributes, CreatorRequestId", 'Attributes=attributes | {"labels": "x" * 2000}, CreatorRequestId', "indirect", "AMC#160: labels beyond the limits of attributes"),
    M("a refusal is nobody's error", f"{ADAPTERS}/aws.py", "    return RefusedError(code, message)", "    raise error", "intermediate", "AMC: panics when a list fails"),
    M("a plan's inputs are not kept", f"{STEPS}/plan_registry.py", '{store.key(request.run.id, "inputs"): memory, where: plan}', "{where: plan}", "unobserved", "ours"),
    M("DuplicateRequest is success", f"{STEPS}/apply_registry.py", 'result="busy", operation=answer.operation', 'result="applied", operation=""', "intermediate", 'GWC PR#957: its false "healthy"'),
    M("one token for all intents", f"{STEPS}/apply_registry.py", "codec.encode([service, action.id, action.attributes, self.run.id])", "codec.encode([service, action.id])", "indirect", "KOG: constant CreatorRequestId"),
    M("throttling is not heeded", f"{CORE}/pace.py", "        if throttled == 0:\n", "        if True:\n", "indirect", "MCS#128, AMC#160: throttled, and calls go on"),
    M("drift behind our back is not looked for", f"{STEPS}/registry.py", "new == old and now - old.listed < FULL_EVERY and old.listed - old.since >= SETTLED", "True", "unobserved", "MCS, AMC: no repair of registry drift; STG: one lost event = stale for ever"),
    M("a list is believed as soon as it is read", f"{STEPS}/registry.py", " and old.listed - old.since >= SETTLED", "", "stale", "this project's own: found by the simulator"),
    M("a look's plan is gone by though another held the lease", f"{STEPS}/handing.py", "return taken.epoch == self.writer + 1 and ", "return ", "stale", "Sieve: intermediate states"),
    M("a look's plan outlives its configuration", f"{STEPS}/handing.py", "self.config == context.config and ", "", "stale", "PIPE: an old definition goes on"),
    M("who met a look is not handed on to its run", f"{STEPS}/look.py", "msgspec.structs.replace(handed, again=True)", "handed", "unobserved", "STG: one lost event"),
    M("the run does not go once more for who met its look", f"{STEPS}/take_lease.py", ", again=handed.again", "", "unobserved", "STG: one lost event"),
    M("withheld removals start no run", f"{STEPS}/look.py", "or _remembers_more(seen)", "", "unobserved", "a brake that is a wall"),
    M("memory is not written", f"{STEPS}/report_run.py", "        writes.append(to(State.write, store.MEMORY, codec.encode(memory)))\n", "", "intermediate", "MCS: state only in the process"),
    # --- one writer
    M("no lease check before a window", f"{STEPS}/apply_registry.py", "beside(lease.check(self.run), ", "beside(", "intermediate", "AMC: controllers side by side"),
    M("no lease check before mesh writes", f"{STEPS}/reconcile_mesh.py", "        yield from lease.check(run)\n", "", "intermediate", "AMC#349: same mesh, two writers"),
    M("no lease check before memory", f"{STEPS}/report_run.py", "yield from beside(kept, lease.check(this))", "yield from kept", "intermediate"),
    M("the lease check looks at nothing", f"{STEPS}/lease.py", "        if found is None or found.holder != run.execution or found.epoch != run.epoch:\n            raise LeaseLost", "        if found is None:\n            raise LeaseLost", "intermediate", "ADM: one writer by a lease"),
    M("a running holder is overrun", f"{STEPS}/lease.py", "            if alive:\n", "            if False:\n", "intermediate", "CK#860"),
    M("a dead holder is waited for", f"{STEPS}/lease.py", "            if alive:\n", "            if True:\n", "intermediate", "AMC#360: a down controller blocks"),
    M("a zombie gives another's lease back", f"{STEPS}/lease.py", "        if found is None or found.holder != run.execution or found.epoch != run.epoch:\n            return False", "        if found is None:\n            return False", "intermediate", "Sieve: intermediate states"),
    M("a failed run drops whatever lease there is", f"{STEPS}/lease.py", "if found is not None and found.holder == run.execution and found.epoch == run.epoch:", "if found is not None:", "intermediate", "Sieve: intermediate states"),
    M("a request to look again goes with the lease", f"{STEPS}/lease.py", "asked = found.again or more", "asked = more", "unobserved", "STG: one lost event"),
    M("who meets a held lease does not ask", f"{STEPS}/lease.py", "                asked = yield from call(State.ask_again, NAME, found)", "                asked = True", "unobserved", "STG: one lost event"),
    M("a hint that meets a look does not ask", f"{STEPS}/look.py", "asked = yield from call(State.ask_again, LEASE, found)", "asked = True", "unobserved", "STG: one lost event"),
    M("a hint that meets a run does not ask", f"{STEPS}/lease.py", "\n        asked = yield from call(State.ask_again, NAME, found)", "\n        asked = True", "unobserved", "STG: one lost event"),
    M("a hint waits for a dead run", f"{STEPS}/lease.py", "        if not alive:\n            return False\n", "", "intermediate", "AMC#360: a down controller blocks"),
    M("looks pile up", f"{STEPS}/look.py", 'if found is not None and found.holder not in ("", holder) and found.expires > now:', "if False:", "indirect", "AMC#96: calls pile up"),
    M("registry writes of a superseded run", f"{STEPS}/apply_registry.py", "    if request.run.config != context.config:\n", "    if False:\n", "stale", "PIPE: an old definition goes on"),
    M("mesh writes of a superseded run", f"{STEPS}/reconcile_mesh.py", "    if request.run.config != context.config:\n", "    if False:\n", "stale", "PIPE: an old definition goes on"),
    M("a plan under another configuration", f"{STEPS}/plan_registry.py", "    if request.run.config != context.config:\n", "    if False:\n", "stale", "this project's own: found by the simulator"),
    M("a run begins though all is paused", f"{STEPS}/take_lease.py", "operator.paused or ", "", "indirect"),
    M("a run by hand writes in Mode observe", f"{STEPS}/take_lease.py", ' or context.mode == "observe"', "", "indirect", "this project's own: found by the simulator"),
    M("upsert-only removes", f"{CORE}/registry_plan.py", 'if scene.policy.removals == "upsert-only" and not scene.operator.draining:', "if False:", "indirect", "EDNS: deletion policies"),
    # --- the mesh
    M("what is undeclared and not ours is removed", f"{CORE}/mesh_plan.py", "return self.remove and self._ours(target)", "return self.remove", "indirect", "AMC: deletes any route its own CR lacks"),
    M("a declared resource of somebody else is changed", f"{CORE}/mesh_plan.py", "        return target not in self.found or self._ours(target) or", "        return True or", "indirect", "AMC#349: ownership = same account"),
    M("resources are made without our tag", f"{ADAPTERS}/app_mesh.py", '"tags": [{"key": k, "value": v} for k, v in sorted(tags.items())], ', "", "indirect", "AMC#349: tags"),
    M("users are made before what they use", f"{CORE}/mesh_plan.py", "self.actions.sort(key=lambda action: (STAGES.index(action.stage), action.target))", "self.actions.sort(key=lambda action: (-STAGES.index(action.stage), action.target))", "indirect", "AMC#767, #715: listener and route order"),
    M("what needs a write that was refused is tried all the same", f"{CORE}/mesh_plan.py", "    target = action.target\n    if target in failed:\n", "    return None\n    target = action.target\n    if target in failed:\n", "indirect", "this project's own: found by the simulator"),
    M("a second try does not look whose the resource is", f"{STEPS}/reconcile_mesh.py", "            todo = [place for place in todo if answers[place] is None]\n", "", "stale", "this project's own: found by the simulator"),
    M("a mesh API that is gone stops all", f"{STEPS}/mesh.py", "return MeshView(begun=begun, unavailable=str(error))", "raise", "indirect", "AMC#101: a broken mesh blocks the rest"),
    M("mesh drift starts no run", f"{STEPS}/look.py", "bool(seen.plan.actions or seen.plan.gates or seen.mesh.actions or ports)", "bool(seen.plan.actions or seen.plan.gates or ports)", "unobserved", "GWC PR#938: drift repair added only in 2026"),
    # --- the state machines
    M("a quiet look starts a run", "statemachines/look.asl.json", '"Default": "Looked"', '"Default": "Start run"', "indirect", "AMC#160: work at rest"),
    M("no run is ever started", "statemachines/look.asl.json", '"StringEquals": "apply", "Next": "Start run"', '"StringEquals": "apply", "Next": "Looked"', "indirect"),
    M("a held lease is not heeded", "statemachines/reconcile.asl.json", '"Variable": "$.lease.held",\n          "BooleanEquals": true', '"Variable": "$.lease.held",\n          "BooleanEquals": false', "indirect"),
    M("later stages are skipped", "statemachines/reconcile.asl.json", '"Variable": "$.verified.next_stage",\n          "NumericGreaterThan": 0', '"Variable": "$.verified.next_stage",\n          "NumericGreaterThan": 9', "indirect", "roadmap#146: pods not deregistered"),
    M("a path that is not there", "statemachines/reconcile.asl.json", '"stage.$": "$.verified.next_stage"', '"stage.$": "$.verified.following"', "indirect"),
    M("a failed run says nothing", "statemachines/reconcile.asl.json", '"Next": "Report failure"', '"Next": "Failed"', "indirect", "STG: returns exceptions as success", every=True),
)  # fmt: skip


def mend() -> list[str]:
    """Mutants that no longer fit the source."""
    found = []
    for mutant in MUTANTS:
        try:
            mutant.text()
        except ValueError as error:
            found.append(str(error))
    return found
