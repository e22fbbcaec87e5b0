"""One cluster's objects with versions: lists are snapshots, watches replay the log, old versions expire."""

import base64
import bisect
import copy
import datetime
import json
import random
import re
import string
import threading
import uuid
from collections.abc import Callable
from typing import Any

from world.clusters.defaults import defaulted
from world.clusters.objects import KINDS, ApiError, Key, Object, api_version

_KEPT = ("uid", "creationTimestamp", "name", "namespace", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_COUNTED = {"pods", "deployments", "replicasets", *KINDS["appmesh.k8s.aws"]}  # kinds whose generation counts changes of the spec
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.:]{0,251}[a-z0-9])?")


class Store:
    """All objects of a cluster. Every change has a version; `changed` wakes whoever waits."""

    def __init__(self) -> None:
        self.version, self.compacted = 100, 0
        self.objects: dict[Key, tuple[Object, bytes]] = {}
        self.log: dict[tuple[str, str], list[tuple[int, str, Key, Object | None, Object, bytes]]] = {}
        self.pages: dict[tuple[int, str], list[bytes]] = {}
        self.changed = threading.Condition(threading.RLock())
        for name in ("default", "kube-system"):
            self.create(("", "namespaces", "", name), {"metadata": {"name": name}})

    def get(self, key: Key) -> Object:
        """An object; ApiError 404 where there is none."""
        found = self.objects.get(key)
        if found is None:
            raise ApiError(404, "NotFound", f'{key[1]} "{key[3]}" not found')
        return found[0]

    def raw(self, key: Key) -> bytes:
        """Its JSON."""
        self.get(key)
        return self.objects[key][1]

    def all(self, group: str, resource: str, namespace: str = "") -> list[Object]:
        """Objects of a kind."""
        with self.changed:
            return [item for key, (item, _) in self.objects.items() if key[:2] == (group, resource) and namespace in ("", key[2])]

    def create(self, key: Key, given: Object) -> Object:
        """A new object, with what a server adds. Raises ApiError 404, 409, 422."""
        group, resource, namespace, _ = key
        with self.changed:
            if namespace and ("", "namespaces", "", namespace) not in self.objects:
                raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
            item = copy.deepcopy(given)
            meta = item.setdefault("metadata", {})
            if not meta.get("name") and meta.get("generateName"):
                meta["name"] = meta["generateName"] + "".join(random.choices(string.ascii_lowercase + string.digits, k=5))
            if not _NAME.fullmatch(meta.get("name") or ""):
                raise ApiError(422, "Invalid", f"metadata.name: Invalid value: {meta.get('name')!r}")
            key = (group, resource, namespace, meta["name"])
            if key in self.objects:
                raise ApiError(409, "AlreadyExists", f'{resource} "{key[3]}" already exists')
            if namespace:
                meta["namespace"] = namespace
            meta.update(uid=str(uuid.uuid4()), creationTimestamp=timestamp())
            if resource in _COUNTED:
                meta["generation"] = 1
            if resource == "pods":
                if not (item.get("spec") or {}).get("containers"):
                    raise ApiError(422, "Invalid", "spec.containers: Required value")
                item["status"] = {"phase": "Pending", "qosClass": "BestEffort"}
            defaulted(resource, item)
            if resource == "namespaces":
                item["status"] = {"phase": "Active"}
                item["spec"] = {"finalizers": ["kubernetes"]}
                meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
            return self._put("ADDED", key, item)

    def update(self, key: Key, make: Callable[[Object], Object], *, status: bool = False, binding: bool = False) -> Object:
        """Replace by `make(old)`. A stale resourceVersion is 409; the status subresource changes only status (and labels, as the real one does).

        `binding`: a scheduler puts a pod on a node, which is no new generation of it.
        """
        with self.changed:
            old = self.get(key)
            new = make(copy.deepcopy(old))
            wanted = (new.get("metadata") or {}).get("resourceVersion")
            if wanted and wanted != old["metadata"]["resourceVersion"]:
                raise ApiError(
                    409,
                    "Conflict",
                    f'Operation cannot be fulfilled on {key[1]} "{key[3]}": the object has been modified; please apply your changes to the latest version and try again',
                )
            uid = (new.get("metadata") or {}).get("uid")
            if uid and uid != old["metadata"]["uid"]:
                message = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
                raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {key[1]} "{key[3]}": {message}')
            for name in _KEPT:
                if name in old["metadata"]:
                    new["metadata"][name] = old["metadata"][name]
            if status:
                new["spec"] = old.get("spec")
            elif "status" in old:
                new["status"] = old["status"]
            if new == old:
                return old
            if new.get("spec") != old.get("spec") and key[1] in _COUNTED and not binding:
                new["metadata"]["generation"] = old["metadata"]["generation"] + 1
            ended = key[1] != "pods" or new["metadata"].get("deletionGracePeriodSeconds") == 0
            gone = new["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers") and ended
            return self._put("DELETED" if gone else "MODIFIED", key, new)

    def delete(self, key: Key, grace: int | None = None, uid: str = "") -> Object:
        """Delete. A pod on a node stays Terminating until its kubelet ends it, unless `grace` is 0; finalizers hold anything. `uid`: only that one."""
        with self.changed:
            item = copy.deepcopy(self.get(key))
            meta = item["metadata"]
            if uid and uid != meta["uid"]:
                raise ApiError(409, "Conflict", f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}")
            waits = key[1] == "pods" and item["spec"].get("nodeName") and grace != 0
            if waits and "deletionTimestamp" in meta:
                return item
            seconds = (grace if grace is not None else item["spec"].get("terminationGracePeriodSeconds", 30)) if waits else 0
            if "deletionTimestamp" not in meta and "generation" in meta:
                meta["generation"] += 1
            meta.setdefault("deletionTimestamp", timestamp(seconds))
            meta["deletionGracePeriodSeconds"] = seconds
            if waits or meta.get("finalizers"):
                return self._put("MODIFIED", key, item)
            if key[1] == "pods":
                item = self._put("MODIFIED", key, item)  # Kubernetes tells of the mark before it tells of the end
            found = self._put("DELETED", key, item)
            if key[1] == "namespaces":
                for other in [k for k in self.objects if k[2] == key[3]]:
                    self.delete(other, 0)
            return found

    def _put(self, kind: str, key: Key, item: Object) -> Object:
        self.version += 1
        old = self.objects.get(key)
        body = {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
        item = {"kind": KINDS[key[0]][key[1]], "apiVersion": api_version(key[0]), **body}
        item["metadata"] = {**item["metadata"], "resourceVersion": str(self.version)}
        raw = json.dumps(item, separators=(",", ":")).encode()
        if kind == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = (item, raw)
        log = self.log.setdefault(key[:2], [])
        log.append((self.version, kind, key, old[0] if old else None, item, raw))
        if len(log) > 20_000:
            self.compact(log[10_000][0])
        self.changed.notify_all()
        return item

    def page(
        self, resource: tuple[str, str], namespace: str, match: Callable[[Object], bool], sign: str, limit: int, token: str
    ) -> tuple[list[bytes], Object]:
        """One page of a list and its metadata; pages of one chain come from one snapshot. 410 where it has expired.

        `sign` is the selection's text, "" for none; what is left of a selection is not counted, as in Kubernetes.
        """
        with self.changed:
            start = 0
            if token:
                try:
                    version, start, signed = json.loads(base64.urlsafe_b64decode(token))
                except ValueError:
                    raise ApiError(400, "BadRequest", "continue key is not valid") from None
                rows = self.pages.get((version, signed))
                if rows is None:
                    raise ApiError(410, "Expired", "The provided continue parameter is too old to display a consistent list result.")
            else:
                version = self.version
                signed = f"{resource}{namespace}{sign}"
                rows = [
                    raw
                    for _, raw in sorted(
                        (key, raw)
                        for key, (item, raw) in self.objects.items()
                        if key[:2] == resource and namespace in ("", key[2]) and match(item)
                    )
                ]
                if limit and len(rows) > limit:
                    self.pages[version, signed] = rows
                    while len(self.pages) > 50:
                        self.pages.pop(next(iter(self.pages)))
            rows_here = rows[start : start + limit] if limit else rows[start:]
            meta: dict[str, Any] = {"resourceVersion": str(version)}
            if start + len(rows_here) < len(rows):
                meta["continue"] = base64.urlsafe_b64encode(json.dumps([version, start + len(rows_here), signed]).encode()).decode()
                if not sign:
                    meta["remainingItemCount"] = len(rows) - start - len(rows_here)
            return rows_here, meta

    def since(self, resource: tuple[str, str], version: int) -> list[tuple[int, str, Key, Object | None, Object, bytes]]:
        """Changes after `version`."""
        log = self.log.get(resource, [])
        return log[bisect.bisect_right(log, version, key=lambda entry: entry[0]) :]

    def compact(self, version: int | None = None) -> None:
        """Forget history: continue tokens and watches from before give 410."""
        with self.changed:
            self.compacted = version or self.version
            self.pages = {key: rows for key, rows in self.pages.items() if key[0] > self.compacted}
            for resource, log in self.log.items():
                self.log[resource] = log[bisect.bisect_left(log, self.compacted, key=lambda entry: entry[0]) :]


def timestamp(after: float = 0.0) -> str:
    """RFC 3339 in seconds."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=after)).strftime("%Y-%m-%dT%H:%M:%SZ")
