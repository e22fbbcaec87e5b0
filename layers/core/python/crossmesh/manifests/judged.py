"""Live documents judged one by one: what is wrong, or contradicts what is in force, is set aside
with its reason. The rest comes into force.

Documents of many teams meet here, so none of them may hold up another's. What is in force stands: a
change that breaks it is refused, be it a new document, an edit or a deletion, and the version
before it stays. Settled first are the changes that an error names; what still does not fit is found
by halving.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from crossmesh.core.compiler import tenants
from crossmesh.core.compiler.build import BuildResult, build
from crossmesh.core.compiler.cluster_manifests import ClusterDocuments
from crossmesh.core.documents import Document, Finding
from crossmesh.core.mesh.backends import unsupported
from crossmesh.core.settings import Settings
from crossmesh.manifests.live import load_live, place_of
from crossmesh.manifests.names import resolve_names

SETTINGS_FILE = "crossmesh.yaml"
# Documents that one look may read to find which are wrong, or times that it may read all: a few
# seconds
_WORK, _TIMES = 60_000, 20
# Rounds in which errors name documents; from _WIDE on, all changes of their namespaces go
_ROUNDS, _WIDE = 16, 5
# Two claim one thing: where neither was first, neither has it
_DISPUTES = ("shared-service", "same-name", "contradiction")

Entry = tuple[str, str, str, str]  # cluster, kind, namespace, name
Items = dict[Entry, dict[str, Any]]
_Wrong = tuple[str, str, str]  # code, place, message


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """`held`: the documents in force, by cluster; `aside`: lines about changes set aside; `errors`:
    settings that the documents do not explain.
    """

    held: tuple[ClusterDocuments, ...]
    built: BuildResult
    aside: tuple[str, ...] = ()
    errors: tuple[Finding, ...] = ()


def judged(settings: Settings, listed: Sequence[ClusterDocuments], before: Sequence[ClusterDocuments]) -> Judged:
    """The documents that come into force: of `listed` all that hold together with what was in force
    `before`.
    """
    return _Judge(settings, [held.cluster for held in listed]).judge(_items(listed), _items(before))


def built_of(held: Sequence[ClusterDocuments]) -> BuildResult:
    """The topology of documents in force."""
    return build(load_live(held).documents)


def _items(clusters: Iterable[ClusterDocuments]) -> Items:
    return {_entry(held.cluster, item): item for held in clusters for item in held.items}


def _entry(cluster: str, item: Mapping[str, Any]) -> Entry:
    metadata = item["metadata"]
    return cluster, item["kind"], metadata.get("namespace", ""), metadata.get("name", "")


class _Judge:
    def __init__(self, settings: Settings, clusters: Sequence[str]) -> None:
        self.settings, self.clusters = settings, clusters
        self.work, self.most = 0, _WORK
        self.first = False
        self.aside: dict[Entry, str] = {}
        self.disputed: set[Entry] = set()
        self.read: dict[Entry, tuple[dict[str, Any], tuple[Document, ...], tuple[Finding, ...]]] = {}

    def judge(self, new: Items, old: Items) -> Judged:
        self.first, self.most = not old, max(_WORK, _TIMES * len(new))
        old = self._owned(old)
        self.aside.clear()
        new = self._owned(new)
        built, found = self._errors(new)
        if not found:
            return self._result(new, built)
        base = set(self._errors(old)[1]) if old else set()
        pending = [entry for entry in sorted(new.keys() | old.keys()) if new.get(entry) != old.get(entry)]
        kept = self._fitting(new, old, base, self._blamed_out(new, old, base, pending))
        kept = self._once_more(new, old, base, kept)
        state = _applied(new, old, kept)
        return self._result(state, self._built(state))

    def _result(self, state: Items, built: BuildResult) -> Judged:
        """A name in the settings that no document has is the settings' error, unless a document
        that was set aside may explain it.
        """
        errors = self._settings_errors(built)
        if self.aside:
            self.aside |= {("", "", "", str(f.place)): f"{f.place}: {f.message}" for f in errors}
            errors = []
        by_cluster: dict[str, list[dict[str, Any]]] = {name: [] for name in self.clusters}
        for (cluster, *_), item in sorted(state.items()):
            by_cluster.setdefault(cluster, []).append(item)
        held = tuple(ClusterDocuments(cluster=name, items=tuple(by_cluster[name])) for name in self.clusters)
        return Judged(
            held=held, built=built, aside=tuple(line for _, line in sorted(self.aside.items())), errors=tuple(errors)
        )

    def _owned(self, items: Items) -> Items:
        """Without what takes a service or name that the settings give to others: that was never
        theirs, however long it stood.
        """
        source = self.settings.mesh.manifests
        if not source.services and not source.names:
            return items
        service_names = {place_of(*entry): entry[1:] for entry in items}
        wrong = {
            service_names[f.place.file]: f
            for f in tenants.check(self._built(items).topology, source)
            if f.code in tenants.FOREIGN
        }
        for entry in [entry for entry in items if entry[1:] in wrong]:
            finding = wrong[entry[1:]]
            self.aside[entry] = f"{finding.place}: {finding.message} ({finding.fix})"
        return {entry: item for entry, item in items.items() if entry[1:] not in wrong}

    # --- what is wrong with a set of documents ----------------------------------------------------

    def _documents(self, items: Items) -> tuple[list[Document], list[Finding]]:
        documents: list[Document] = []
        findings: list[Finding] = []
        for entry, item in items.items():
            known = self.read.get(entry)
            if known is None or known[0] is not item:
                loaded = load_live([ClusterDocuments(cluster=entry[0], items=(item,))])
                known = self.read[entry] = (
                    item,
                    loaded.documents,
                    tuple(f for f in loaded.findings if f.level == "error"),
                )
            documents += known[1]
            findings += known[2]
        return documents, findings

    def _built(self, items: Items) -> BuildResult:
        self.work += len(items)
        return build(self._documents(items)[0])

    def _settings_errors(self, built: BuildResult) -> list[Finding]:
        return [f for f in resolve_names(self.settings, built.topology, SETTINGS_FILE, {})[1] if f.level == "error"]

    def _errors(self, items: Items) -> tuple[BuildResult, dict[_Wrong, Finding]]:
        built = self._built(items)
        shared = tenants.check(built.topology, self.settings.mesh.manifests)
        # Who keeps what the settings name from going, but there is nothing yet
        named = [] if self.first else self._settings_errors(built)
        lost = unsupported(built, self.settings)
        found = [*self._documents(items)[1], *built.findings, *lost, *shared, *named]
        return built, {(f.code, str(f.place), f.message): f for f in found if f.level == "error"}

    # --- which changes fit ------------------------------------------------------------------------

    def _blamed_out(self, new: Items, old: Items, base: set[_Wrong], pending: list[Entry]) -> list[Entry]:
        """The changes without those that errors name, round by round: what refers to one that went
        goes next.
        """
        for number in range(_ROUNDS):
            found = self._errors(_applied(new, old, pending))[1]
            fresh = {f.place.file: f for wrong, f in sorted(found.items(), reverse=True) if wrong not in base}
            objects = {entry[1:]: fresh[place_of(*entry)] for entry in new if place_of(*entry) in fresh}
            spaces = {entry[1]: finding for entry, finding in objects.items() if entry[1]} if number >= _WIDE else {}
            blamed = [e for e in pending if e[1:] in objects or e[2] in spaces]
            for entry in blamed:
                self._set_aside(entry, objects.get(entry[1:]) or spaces[entry[2]], new)
            if not blamed or self.work > self.most:
                return [entry for entry in pending if entry not in self.aside]
            gone = set(blamed)
            pending = [entry for entry in pending if entry not in gone]
        return pending

    def _fitting(self, new: Items, old: Items, base: set[_Wrong], pending: list[Entry]) -> list[Entry]:
        """The changes that bring no error: all of them, or those that halving finds; each
        namespace's together first.
        """
        kept: list[Entry] = []
        by_space: dict[str, list[Entry]] = {}
        for entry in pending:
            by_space.setdefault(entry[2], []).append(entry)
        waiting = [list(by_space.values())]
        while waiting:
            groups = waiting.pop(0)
            together = [entry for group in groups for entry in group]
            if self.work > self.most:
                for entry in together:
                    self.aside[entry] = f"{place_of(*entry)}: not judged yet: too much is wrong for one look"
                continue
            fresh = [
                f
                for wrong, f in sorted(self._errors(_applied(new, old, [*kept, *together]))[1].items())
                if wrong not in base
            ]
            if not fresh:
                kept += together
            elif len(groups) > 1:
                half = len(groups) // 2
                waiting[:0] = [groups[:half], groups[half:]]
            elif len(together) > 1:
                half = len(together) // 2
                waiting[:0] = [[together[:half]], [together[half:]]]
            else:
                self._set_aside(together[0], fresh[0], new)
        return kept

    def _once_more(self, new: Items, old: Items, base: set[_Wrong], kept: list[Entry]) -> list[Entry]:
        """What was set aside may fit now that something else was: first the edits of what is in
        force, then newcomers that nobody disputes.
        """
        mine = [entry for entry in self.aside if new.get(entry) != old.get(entry) and (entry in new or entry in old)]
        for group in ([e for e in mine if e in old], [e for e in mine if e not in old]):
            if group and self.work <= self.most and self._still_aside(new, old, base, kept, group):
                kept = [*kept, *group]
                for entry in group:
                    del self.aside[entry]
            elif group and len(group) <= _ROUNDS:
                for entry in [e for e in group if e in old or e not in self.disputed]:
                    if self.work <= self.most and self._still_aside(new, old, base, kept, [entry]):
                        kept = [*kept, entry]
                        del self.aside[entry]
        return kept

    def _still_aside(self, new: Items, old: Items, base: set[_Wrong], kept: list[Entry], more: list[Entry]) -> bool:
        return all(wrong in base for wrong in self._errors(_applied(new, old, [*kept, *more]))[1])

    def _set_aside(self, entry: Entry, why: Finding, new: Items) -> None:
        here = place_of(*entry)
        said = f"{why.place}: {why.message}" + (f" ({why.fix})" if why.fix else "")
        if entry not in new:
            said = f"{here}: it is deleted but stays in force: {said}"
        elif why.place.file != here:
            said = f"{here}: {said}"
        self.aside[entry] = said
        if why.code in _DISPUTES:
            self.disputed.add(entry)


def _applied(new: Items, old: Items, changes: Iterable[Entry]) -> Items:
    """What is in force with some of the changes made."""
    made = dict(old)
    for entry in changes:
        if entry in new:
            made[entry] = new[entry]
        else:
            made.pop(entry, None)
    return dict(sorted(made.items()))
