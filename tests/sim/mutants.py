"""Bugs planted in our own code, as data: each must break a property within its budget of schedules. What no longer fits its source is an error.

`sieve`: the class that Sieve (OSDI 2022) would give it — intermediate (a crash between two effects), stale (an old answer believed), unobserved (a change
nobody looked at), indirect (a plain mistake that only some history shows). `peer`: who has or had it (docs/explanation/the-thirteen-rules.md has the names of peers).
"""

# ruff: noqa: E501 - a table reads by its lines
from typing import Literal

import msgspec

from tests.sim.application import source

Sieve = Literal["intermediate", "stale", "unobserved", "indirect"]
PACKAGE = "layers/core/python/crossmesh"
CORE, STEPS, USECASES, ADAPTERS = (f"{PACKAGE}/{part}" for part in ("core", "steps", "usecases", "adapters"))


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
    M("every instance is ours", f"{CORE}/registry/planning.py", "key: [i for i in service.instances if i.attributes.get(mark) == owner]", "key: list(service.instances)", "indirect", "KOG: deregisters every IP it does not know"),
    M("an id without the cluster", f"{CORE}/registry/endpoints.py", 'whole = f"{cluster}.{uid}"', "whole = uid", "indirect", "MCS#254: a second cluster overwrote the first's endpoints"),
    M("the id is the pod's IP", f"{CORE}/registry/endpoints.py", "id=instance_id(cluster, pod.uid),", "id=pod.ip,", "indirect", "AMC: instance id = pod IP"),
    M("a foreign instance under our id is overwritten", f"{STEPS}/apply_registry.py", 'return "" if ours else "its id is in another\'s use"', 'return ""', "indirect", "GWC: claims untagged things on upsert"),
    M("marks are not compared before a delete", f"{STEPS}/apply_registry.py", "if marks != (action.owner, action.cluster, action.uid) or pod_of(found) != action.pod:", "if False:", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("no fresh read before a delete", f"{STEPS}/apply_registry.py", "        listed = self.fresh.get(key, {})", '        return ""\n        listed = self.fresh.get(key, {})', "stale", "AMC: no re-read before deregistering"),
    M("neither listed nor compared before a delete", f"{STEPS}/apply_registry.py", "yield from gather(\n                lease.check(self.run), self._read([action for queue in queues.values() for _, action in queue], now)\n            )", "yield from lease.check(self.run)\n            self._precondition = lambda _: (_ for _ in ())", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("a list is compared with however old it is", f"{STEPS}/apply_registry.py", "now - self.read.get(key, -COMPARED) >= COMPARED", "key not in self.read", "stale", "AMC: deregisters by id from a cache of 5 minutes"),
    M("late registrations are not compared", f"{STEPS}/apply_registry.py", "late = now - self.plan.begun > COMPARED", "late = False", "stale", "GWC: claims untagged things on upsert"),
    M("instances of an unlisted cluster are removed", f"{CORE}/registry/decision.py", 'return "must-stay", "orphaned",', 'return "may-go", "forgotten",', "indirect", "AMC: two clusters each delete the other's instances"),
    M("services that documents name are deleted when empty", f"{CORE}/registry/deregistrations.py", "            and key not in indexed.named\n", "", "indirect", "EDNS: may delete a service whose discovery answered empty"),
    M("foreign attributes are drift", f"{CORE}/registry/registrations.py", "elif not endpoint.attributes.items() <= old.attributes.items():", "elif endpoint.attributes != old.attributes:", "indirect", "MCS#312: a Lambda adds attributes, the controller re-registers for ever"),
    M("a change drops foreign attributes", f"{CORE}/registry/registrations.py", "wanted = {**old.attributes, **endpoint.attributes}", "wanted = dict(endpoint.attributes)", "indirect", "EDNS#1065: per-instance attributes lost"),
    M("two writers fight for ever", f"{CORE}/registry/competing_writer.py", "if len(lost[instance]) >= 2:", "if False:", "indirect", "CK#860: two clusters on one registry deregister each other's services in a loop"),
    M("a removal by another writer is never noticed", f"{CORE}/registry/competing_writer.py", "registered = {i: at for i, at in memory.registered.items() if now - at < WINDOW}", "registered = dict[str, float]()", "unobserved", "CK#579"),
    M("another deployment's claim is not read", f"{CORE}/registry/ownership_conflict.py", 'return who if who != me and until.isdigit() and int(until) > now else ""', 'return ""', "unobserved", "AMC: two clusters each delete the other's instances"),
    M("another deployment's mark is not read", f"{CORE}/registry/ownership_conflict.py", "holder = service.tags.get(deployment_tag(owner), me)", "holder = me", "unobserved", "AMC: two clusters each delete the other's instances"),
    M("another deployment's claim never expires", f"{CORE}/registry/ownership_conflict.py", "int(until) > now", "int(until) > 0", "indirect", "decision 0005: a stray deployment would stop a healthy one for good"),
    M("nobody can resolve an ownership conflict", f"{CORE}/registry/ownership_conflict.py", "if asked > since:", "if False:", "indirect", "decision 0005"),
    M("an id is cut short", f"{ADAPTERS}/cloud_map.py", "InstanceId=instance_id, Attributes=attributes", "InstanceId=instance_id[:8], Attributes=attributes", "indirect", "CK#579: ids that collide"),
    M("what is registered is not what was planned", f"{STEPS}/apply_registry.py", "return to(Registry.register, service, action.id, action.attributes, token)", 'return to(Registry.register, service, f"{action.id}.{self.run.id[:4]}", action.attributes, token)', "indirect", "MCS: two code paths make ids"),
    # --- unknown is not empty
    M("a view that failed is an empty one", f"{ADAPTERS}/kubernetes/clusters.py", "                        return _unseen(cluster, why, begun)", "                        return Seen(cluster=cluster.name, identity=identity, begun=begun, versions=dict.fromkeys(namespaces, 0))", "indirect", "KOG: errors swallowed; EDNS#3841: throttling emptied a status and all records went"),
    M("a chain of pages may end early", f"{ADAPTERS}/kubernetes/api.py", "if left is not None and len(items) + (page.metadata.remaining_item_count or 0) != left:", "if False:", "stale", "KOG: lists unpaged"),
    M("any list-like answer is a list", f"{ADAPTERS}/kubernetes/api.py", "if page.kind != expected:", "if False:", "indirect", "the three that write: no guard against an empty answer"),
    M("only the first page of pods", f"{ADAPTERS}/kubernetes/api.py", "            if not token:\n                return int(version), found", "            return int(version), found", "stale", "ICM: reads only the first page"),
    M("an absent pod is not asked for", f"{ADAPTERS}/kubernetes/view.py", "answers = list(pool.map(there, missing + unnamed)) if missing or unnamed else []", "answers = [False for _ in missing + unnamed]", "stale", "AMC, EDNS, MCS: an empty or partial list deregisters everything"),
    M("a GET that finds the pod is not believed", f"{ADAPTERS}/kubernetes/view.py", "            if is_there:\n", "            if False:\n", "stale", "AMC, EDNS, MCS: an empty or partial list deregisters everything"),
    M("what no Kubernetes gives is believed", f"{ADAPTERS}/kubernetes/api.py", "if fault := kubernetes_names.pod_fault(found, namespace):", 'if fault := "":', "indirect", "security review: a lying cluster reaches into others' registry"),
    M("anybody's Deployment passes for AWS's controller", f"{ADAPTERS}/kubernetes/api.py", 'path = namespaced(namespace, "/apis/apps/v1", "deployments")', 'path = "/apis/apps/v1/deployments"', "indirect", "security review: a user of any namespace freezes a cluster"),
    M("AWS's controller holds back the removal of the dead", f"{CORE}/registry/decision.py", 'if cluster in indexed.controlled and verdict[1] != "dead":', "if cluster in indexed.controlled:", "indirect", "security review: dead pods stay registered"),
    M("a list from before is believed", f"{ADAPTERS}/kubernetes/view.py", "if version < versions.get(namespace, 0):", "if False:", "stale", "Sieve: time travel"),
    M("versions are not recorded", f"{CORE}/registry/next_state.py", "versions={\n            **memory.versions,\n            **{name: dict(sorted(view.versions.items())) for name, view in indexed.seen.items()},\n        },", "versions={},", "stale", "Sieve: time travel"),
    M("another cluster of the same name is believed", f"{ADAPTERS}/kubernetes/view.py", "    if recorded and ", "    if False and ", "indirect", "MCS#140: what became of a dead cluster"),
    M("identities are not recorded", f"{CORE}/registry/next_state.py", "identities={**memory.identities, **{name: view.identity for name, view in indexed.seen.items()}},", "identities={},", "indirect", "MCS#140"),
    M("a cluster without a view is an empty one", f"{USECASES}/observation.py", 'return Unseen(cluster=name, cause="crashed", detail=cut(str(answer)), begun=now)', 'return __import__("crossmesh.core.observed", fromlist=["Seen"]).Seen(cluster=name, identity="", begun=now)', "intermediate", "CK: \"if we don't wait, we will reap all services\""),
    M("an unseen cluster freezes the others", f"{CORE}/registry/registrations.py", "        if count > room.later:", "        if count > room.later or indexed.unseen:", "indirect", "EDNS: one failing service aborts the whole pass"),
    M("a registry half read is an empty one", f"{USECASES}/observation.py", "            read[service.id] = _refused(service, instances)\n            continue", "            instances = ()", "stale", "MCS: an empty answer drops the ServiceImport"),
    # --- which pods count
    M("a pod that is not ready counts", f"{CORE}/observed.py", "            and bool(self.ip)\n            and self.containers_ready\n            and not self.unready\n", "            and bool(self.ip)\n", "indirect", "AMC#132: readiness not considered"),
    M("readiness is not looked at", f"{CORE}/observed.py", "            and self.containers_ready\n", "", "indirect", "AMC#132: readiness not considered"),
    M("a Terminating pod counts", f"{CORE}/observed.py", "            and not self.terminating\n            and bool(self.ip)\n", "            and bool(self.ip)\n", "indirect", "roadmap#151: 20-30 s of 503 to dead IPs"),
    M("our own gate is not waived", f"{ADAPTERS}/kubernetes/pods.py", 'if gate == "closed" or (', "if (", "indirect", "AMC: readiness gate and registration wait for each other"),
    M("ContainersReady alone decides", f"{ADAPTERS}/kubernetes/pods.py", 'if ready is not None and ready.status == "True":', "if True:", "indirect", "AMC: keeps the pods of a dead node"),
    M("a dead node's pods bypass the deletion guard", f"{CORE}/registry/decision.py", '"unhealthy",\n            "unready",\n            f"pod {name} of {cluster} is not ready" +', '"may-go",\n            ("dead" if pod.unready else "unready"),\n            f"pod {name} of {cluster} is not ready" +', "stale", "rule 6: a node may only have been out of reach"),
    M("a Failed pod comes back", f"{CORE}/observed.py", 'return self.phase in ("Failed", "Succeeded")', 'return self.phase == "Succeeded"', "indirect", "AMC: restart policies"),
    M("a finished pod with ready containers serves", f"{CORE}/observed.py", '            self.phase == "Running"\n            and not self.terminating', "            not self.terminating", "indirect", "AMC: restart policies"),
    M("deletionTimestamp is not read", f"{ADAPTERS}/kubernetes/pods.py", "terminating=meta.deletion_timestamp is not None,", "terminating=False,", "indirect", "GWC#780: 503s on scale-in"),
    M("a finished pod is only unready", f"{CORE}/observed.py", "return self.terminating or self.finished", "return self.terminating", "indirect", "AMC: restart policies"),
    M("distinguishing attributes are left out", f"{CORE}/registry/endpoints.py", "self._before = {**dict(self.node.cloud_map.attributes), **own,", "self._before = {**own,", "indirect", "roadmap#225: shared attributes mix traffic"),
    M("zones are left out", f"{CORE}/registry/endpoints.py", "strict=True) if value}", "strict=True) if not value}", "indirect", "field parity with AMC"),
    # --- order and deletion guard
    M("a live pod's old instance goes first", f"{CORE}/registry/deregistrations.py", 'after=after,\n        reason=removal.reason,\n        phase=3 if after or removal.why in ("unselected", "replaced") else 1,', "reason=removal.reason,", "intermediate", "EDNS: deletes before creates"),
    M("a removal does not wait for its replacement's proof", f"{STEPS}/apply_registry.py", "if action.after and action.after not in self.proved:", "if False:", "intermediate", "EDNS PR#3123: one pod rolled = all deregistered, then added back"),
    M("no deletion guard", f"{CORE}/registry/deletion_guard.py", "if total <= limit and not emptied:", "if True:", "stale", "the three that write: no delete guard"),
    M("the deletion guard's limit is the whole service", f"{CORE}/registry/deletion_guard.py", "limit = max(1.0, policy.confirm_above * registered)", "limit = float(registered)", "stale", "EDNS: no percentage guard"),
    M("a node may be emptied", f"{CORE}/registry/deletion_guard.py", "if net[node] and adds.get(node, 0) + standing.get(node, 0) - len(instances) <= 0:", "if False:", "stale", "EDNS#3841"),
    M("every pass starts the deletion guard's clock anew", f"{CORE}/registry/deletion_guard.py", "first = min(one.begun if one.first is None else one.first, one.begun)", "first = one.begun", "indirect", "newcomers reset the clock"),
    M("the next listing confirms at once", f"{CORE}/registry/deletion_guard.py", "if one.begun < first + policy.confirm_after:", "if one.first is None:", "stale", "EDNS: no confirmation"),
    M("confirmations are not remembered", f"{CORE}/registry/next_state.py", "pending_deletions=dict(sorted({**kept, **pending_deletions}.items())),", "pending_deletions={},", "indirect", "a guard that never converges"),
    M("clocks of unseen clusters are lost", f"{CORE}/registry/next_state.py", "pending_deletions=dict(sorted({**kept, **pending_deletions}.items())),", "pending_deletions=dict(sorted(pending_deletions.items())),", "indirect"),
    M("dead pods' instances wait for the deletion guard", f"{CORE}/registry/deregistrations.py", '_CERTAIN = ("dead", "forgotten", "replaced")', '_CERTAIN = ("forgotten", "replaced")', "indirect", "AMC#159: pods not deregistered on scaling"),
    M("who was seen Terminating is forgotten", f"{CORE}/registry/decision.py", "if indexed.terminating(cluster, uid) is not None:", "if False:", "unobserved", "Sieve: an intermediate state nobody saw twice"),
    M("the look's sightings are not handed on", f"{STEPS}/look.py", "sighted=handed.memory.terminating", "sighted={}", "unobserved", "Sieve: unobserved states"),
    M("an unready pod's removal never grows stale", f"{STEPS}/apply_registry.py", "if now - self.plan.begun > FRESH:", "if False:", "stale", "AMC#357-like: acting on an old list"),
    # --- the registry's own ways
    M("discovery shows 100 instances", f"{ADAPTERS}/cloud_map.py", "MaxResults=1000, ", "", "stale", "EDNS, ICM: DiscoverInstances without MaxResults"),
    M("only the first page of instances", f"{ADAPTERS}/cloud_map.py", 'for page in pages for i in page["Instances"]\n            ]\n        return tuple(sorted(found', 'for page in [next(iter(pages))] for i in page["Instances"]\n            ]\n        return tuple(sorted(found', "stale", "ICM, KOG: first page only"),
    M("a 200 is success", f"{STEPS}/verify_registry.py", "missing = yield from _missing(plan, missing)", "missing = {}", "intermediate", "EDNS: never polls operations"),
    M("what is missing counts as proved", f"{USECASES}/outcomes.py", "if index in lacking or index not in outcomes", "if index not in outcomes", "intermediate", "EDNS: no GetOperation"),
    M("a failed operation is not missed", f"{STEPS}/verify_registry.py", '{"missing": sorted(missing), ', '{"missing": sorted(index for index in missing if missing[index].id not in failed), ', "intermediate", "EDNS: no GetOperation"),
    M("more than the API takes", f"{ADAPTERS}/cloud_map.py", "Attributes=attributes, CreatorRequestId", 'Attributes=attributes | {"labels": "x" * 2000}, CreatorRequestId', "indirect", "AMC#160: labels beyond the limits of attributes"),
    M("a refusal is nobody's error", f"{ADAPTERS}/aws.py", "    return RefusedError(code, message)", "    raise error", "intermediate", "AMC: panics when a list fails"),
    M("a plan's inputs are not kept", f"{STEPS}/look.py", '        "inputs": seen.memory,\n', "", "unobserved", "ours"),
    M("DuplicateRequest is success", f"{STEPS}/apply_registry.py", 'result="busy", operation=answer.operation', 'result="applied", operation=""', "intermediate", 'GWC PR#957: its false "healthy"'),
    M("one token for all intents", f"{STEPS}/apply_registry.py", "codec.encode([service, action.id, action.attributes, self.run.id])", "codec.encode([service, action.id])", "indirect", "KOG: constant CreatorRequestId"),
    M("throttling is not heeded", f"{CORE}/registry/rate_limit.py", "        if throttled == 0:\n", "        if True:\n", "indirect", "MCS#128, AMC#160: throttled, and calls go on"),
    M("drift behind our back is not looked for", f"{USECASES}/registry.py", "new == old and now - old.listed < FULL_EVERY and old.listed - old.since >= SETTLED", "True", "unobserved", "MCS, AMC: no repair of registry drift; STG: one lost event = stale for ever"),
    M("a list is believed as soon as it is read", f"{USECASES}/registry.py", " and old.listed - old.since >= SETTLED", "", "stale", "this project's own: found by the simulator"),
    M("a look's plan is gone by though another held the lease", f"{USECASES}/plan_handoff.py", "return taken.epoch == self.writer + 1 and ", "return ", "stale", "Sieve: intermediate states"),
    M("a look's plan outlives its configuration", f"{USECASES}/plan_handoff.py", "self.config == context.config and ", "", "stale", "PIPE: an old definition goes on"),
    M("who met a look is not handed on to its run", f"{STEPS}/look.py", "msgspec.structs.replace(handed, again=True)", "handed", "unobserved", "STG: one lost event"),
    M("the run does not go once more for who met its look", f"{STEPS}/take_lease.py", ", again=handed.again", "", "unobserved", "STG: one lost event"),
    M("withheld removals start no run", f"{STEPS}/look.py", "or _remembers_more(seen)", "", "unobserved", "a guard that never converges"),
    M("live documents are judged as a whole", "layers/core/python/crossmesh/manifests/judged.py", "        base = set(self._errors(old)[1]) if old else set()\n", "        return self._result(old, self._built(old))\n", "indirect", "security review: one tenant's document holds back everybody's"),
    M("a faulty document is set aside and in force", "layers/core/python/crossmesh/manifests/judged.py", "        if not found:\n            return self._result(new, built)\n", "        return self._result(new, built)\n", "indirect", "security review: tenants' custom resources are trusted globally"),
    M("nobody keeps a limit for a dripping cluster", f"{ADAPTERS}/kubernetes/clusters.py", "return within(limit, seen, lambda: self._late(cluster, begun, limit))", "return seen()", "indirect", "security review: one slow cluster stops all looks"),
    M("a slow cluster costs each look its whole limit", f"{CORE}/patience.py", "return WHOLE if slow is None else SHORT", "return WHOLE", "unobserved", "security review: one slow cluster stops all looks"),
    M("no look says which cluster is slow", f"{STEPS}/look.py", "slow=patience.tried(seen.slow, due, now),", "slow={},", "unobserved", "security review: one slow cluster stops all looks"),
    M("a trial of a slow cluster holds the look's lease", f"{STEPS}/look.py", "pods_alone=request.cause in _OF_PODS and first\n            )", "pods_alone=request.cause in _OF_PODS and first\n            )\n            yield from _answering(trial)", "indirect", "this project's own"),
    M("an object larger than any is taken", f"{ADAPTERS}/kubernetes/api.py", "if max(map(_length, raw), default=0) > MOST_ITEM:", "if False:", "indirect", "security review: a bomb takes the memory of all"),
    M("a flapping pod is written each time", f"{CORE}/registry/churn.py", "        if stands or now >= until:", "        if True:", "indirect", "security review: 120 writes in 4 minutes by one exec probe"),
    M("turns are not remembered", f"{CORE}/registry/next_state.py", "        turns=churn.remembered(indexed, actions),", "        turns={},", "unobserved", "security review: 120 writes in 4 minutes by one exec probe"),
    M("notes of a report are not cut", f"{CORE}/reporting/report.py", '"notes": bounds.lines((*plan.notes, *mesh.notes)),', '"notes": (*plan.notes, *mesh.notes),', "indirect", "this project's own: 250 labels of one pod stopped every look"),
    M("a refused report ends its look", f"{USECASES}/state.py", "    raise_first(answers[1:])\n", "    raise_first(answers)\n", "intermediate", "this project's own: 250 labels of one pod stopped every look"),
    M("a request to look again goes with a lost answer", f"{USECASES}/lease.py", "        if found is not None and found.mark == mine:\n            return True\n", "", "intermediate", "this project's own: found by a review"),
    M("memory is not written", f"{STEPS}/report_run.py", "yield from state.tell(state.LAST_RUN, report, to(State.write, state.MEMORY, codec.encode(memory)))", "yield from state.tell(state.LAST_RUN, report)", "intermediate", "MCS: state only in the process"),
    # --- one writer
    M("no lease check before a window", f"{STEPS}/apply_registry.py", "                lease.check(self.run), self._read(", "                self._read(", "intermediate", "AMC: controllers side by side"),
    M("no lease check before mesh writes", f"{USECASES}/mesh/appmesh/writing.py", "        yield from lease.check(run)\n", "", "intermediate", "AMC#349: same mesh, two writers"),
    M("no lease check before memory", f"{STEPS}/report_run.py", "yield from gather(kept, lease.check(this))", "yield from kept", "intermediate"),
    M("the lease check looks at nothing", f"{USECASES}/lease.py", "        if found is None or found.holder != run.execution or found.epoch != run.epoch:\n            raise LeaseLost", "        if found is None:\n            raise LeaseLost", "intermediate", "ADM: one writer by a lease"),
    M("a running holder is overrun", f"{USECASES}/lease.py", "            if alive:\n", "            if False:\n", "intermediate", "CK#860"),
    M("a dead holder is waited for", f"{USECASES}/lease.py", "            if alive:\n", "            if True:\n", "intermediate", "AMC#360: a down controller blocks"),
    M("a zombie gives another's lease back", f"{USECASES}/lease.py", "        if found is None or found.holder != run.execution or found.epoch != run.epoch:\n            return False", "        if found is None:\n            return False", "intermediate", "Sieve: intermediate states"),
    M("a failed run drops whatever lease there is", f"{USECASES}/lease.py", "if found is not None and found.holder == run.execution and found.epoch == run.epoch:", "if found is not None:", "intermediate", "Sieve: intermediate states"),
    M("a request to look again goes with the lease", f"{USECASES}/lease.py", "asked = found.again or more", "asked = more", "unobserved", "STG: one lost event"),
    M("who meets a held lease does not ask", f"{USECASES}/lease.py", "                asked = yield from call(State.ask_again, NAME, found)", "                asked = True", "unobserved", "STG: one lost event"),
    M("a hint that meets a look does not ask", f"{USECASES}/look_lease.py", "asked = yield from call(State.ask_again, LEASE, found)", "asked = True", "unobserved", "STG: one lost event"),
    M("a hint that meets a run does not ask", f"{USECASES}/lease.py", "\n        asked = yield from call(State.ask_again, NAME, found)", "\n        asked = True", "unobserved", "STG: one lost event"),
    M("a hint waits for a dead run", f"{USECASES}/lease.py", "        if not alive:\n            return False\n", "", "intermediate", "AMC#360: a down controller blocks"),
    M("who gets no answer takes the holder for dead", f"{USECASES}/lease.py", "    except (TransientError, ServiceGone):\n        return True", "    except (TransientError, ServiceGone):\n        return False", "intermediate", "AWS: DescribeExecution is throttled at 10 a second"),
    M("looks pile up", f"{USECASES}/look_lease.py", 'if found is not None and found.holder not in ("", holder) and found.expires > now:', "if False:", "indirect", "AMC#96: calls pile up"),
    M("registry writes of a superseded run", f"{STEPS}/apply_registry.py", "    if request.run.config != context.config:\n", "    if False:\n", "stale", "PIPE: an old definition goes on"),
    M("mesh writes of a superseded run", f"{STEPS}/reconcile_mesh.py", "    if request.run.config != context.config:\n", "    if False:\n", "stale", "PIPE: an old definition goes on"),
    M("a plan under another configuration", f"{STEPS}/look.py", "    if this.config != manifests.config_of(context, this.live):\n", "    if False:\n", "stale", "this project's own: found by the simulator"),
    M("a run begins though all is paused", f"{STEPS}/take_lease.py", "operator.paused or ", "", "indirect"),
    M("a run by hand writes in Mode observe", f"{STEPS}/take_lease.py", ' or context.mode == "observe"', "", "indirect", "this project's own: found by the simulator"),
    M("upsert-only removes", f"{CORE}/registry/planner.py", 'if indexed.policy.removals == "upsert-only" and not indexed.operator.draining:', "if False:", "indirect", "EDNS: deletion policies"),
    # --- the mesh
    M("what is undeclared and not ours is removed", f"{CORE}/mesh/appmesh/planner.py", "return self.remove and self._ours(target)", "return self.remove", "indirect", "AMC: deletes any route its own CR lacks"),
    M("a declared resource of somebody else is changed", f"{CORE}/mesh/appmesh/planner.py", "            target not in self.found\n            or self._ours(target)\n", "            True\n", "indirect", "AMC#349: ownership = same account"),
    M("resources are made without our tag", f"{ADAPTERS}/app_mesh.py", '"tags": [{"key": k, "value": v} for k, v in sorted(tags.items())], ', "", "indirect", "AMC#349: tags"),
    M("users are made before what they use", f"{CORE}/mesh/appmesh/planner.py", "self.actions.sort(key=lambda action: (STAGES.index(action.stage), action.target))", "self.actions.sort(key=lambda action: (-STAGES.index(action.stage), action.target))", "indirect", "AMC#767, #715: listener and route order"),
    M("what needs a write that was refused is tried all the same", f"{CORE}/mesh/appmesh/planner.py", "    target = action.target\n    if target in failed:\n", "    return None\n    target = action.target\n    if target in failed:\n", "indirect", "this project's own: found by the simulator"),
    M("a second try does not look whose the resource is", f"{USECASES}/mesh/appmesh/writing.py", "            todo = [place for place in todo if answers[place] is None]\n", "", "stale", "this project's own: found by the simulator"),
    M("a mesh API that is gone stops all", f"{USECASES}/mesh/appmesh/observing.py", "return MeshView(begun=begun, unavailable=str(error), gone=begun)", "raise", "indirect", "AMC#101: a broken mesh blocks the rest"),
    M("mesh drift starts no run", f"{STEPS}/look.py", "bool(seen.plan.actions or seen.plan.gates or seen.mesh.changes or ports)", "bool(seen.plan.actions or seen.plan.gates or ports)", "unobserved", "GWC PR#938: drift repair added only in 2026"),
    # --- snapshots for own Envoys
    M("a pod waits for Cloud Map before it is published", f"{CORE}/registry/served.py", "        endpoints=wanted,\n", "        endpoints=tuple(one for one in wanted if (one.key, one.id) in of_registry),\n", "indirect", "this project's own: no state of Cloud Map keeps a pod out"),
    M("what no ready pod stands for is not published", f"{CORE}/mesh/xds/backend.py", "hosts(desired.endpoints, desired.endpoints.others, unhealthy)", "hosts(desired.endpoints, {}, unhealthy)", "indirect", "EDNS#3841: an empty answer takes all records out"),
    M("endpoints leave a snapshot without a reason", f"{CORE}/mesh/xds/snapshot.py", "left=_left(content, endpoints, hosts, before) if before else ()", "left=()", "indirect", "this project's own: unknown is not empty"),
    M("a snapshot follows none", f"{CORE}/mesh/xds/snapshot.py", 'predecessor=before.pointer.root if before else ""', 'predecessor=""', "stale", "this project's own: forward only"),
    M("no lease check before a snapshot is published", f"{USECASES}/mesh/envoy/driver.py", "        yield from lease.check(run)\n", "", "intermediate", "AMC#349: same mesh, two writers"),
    M("no run publishes", "statemachines/reconcile.asl.json", '"Variable": "$.plan.publish", "BooleanEquals": true', '"Variable": "$.plan.publish", "BooleanEquals": false', "unobserved"),
    # --- shifts and their canary
    M("a shift goes on though nobody watches", f"{CORE}/mesh/traffic_shift.py", "        elif silent(shift, topology, canaries, at):\n", "        elif False:\n", "stale", "this project's own: a version that silenced its canary was shifted to"),
    M("a shift without a verdict stays for ever", f"{CORE}/mesh/traffic_shift.py", "PATIENCE = 600.0", "PATIENCE = 1e9", "unobserved", "this project's own"),
    M("an old verdict is a fresh one", f"{CORE}/canary/history.py", "FRESH = 180.0", "FRESH = 1800.0", "stale", "this project's own"),
    M("whatever a front sends is kept", f"{STEPS}/probe_front.py", "    samples = tuple(lean(canary, sample) for sample in samples)\n", "", "indirect", "this project's own: 326 MB of headers in one run"),
    # --- the state machines
    M("a quiet look starts a run", "statemachines/look.asl.json", '"Default": "Done"', '"Default": "Start run"', "indirect", "AMC#160: work at rest"),
    M("no run is ever started", "statemachines/look.asl.json", '"StringEquals": "apply", "Next": "Start run"', '"StringEquals": "apply", "Next": "Done"', "indirect"),
    M("a deferred look is never repeated", "statemachines/look.asl.json", '"Next": "Wait until look is due"', '"Next": "Done"', "unobserved", "this project's own: a pod waited for the schedule, for ever where that is off"),
    M("every deferred look waits for itself", f"{CORE}/registry/churn.py", "if before is not None and before.until > now and before.by != look:", "if False:", "indirect", "this project's own"),
    M("a held lease is not heeded", "statemachines/reconcile.asl.json", '"Variable": "$.lease.held", "BooleanEquals": true', '"Variable": "$.lease.held", "BooleanEquals": false', "indirect"),
    M("later stages are skipped", "statemachines/reconcile.asl.json", '"Variable": "$.verified.next_stage", "NumericGreaterThan": 0', '"Variable": "$.verified.next_stage", "NumericGreaterThan": 9', "indirect", "roadmap#146: pods not deregistered"),
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
