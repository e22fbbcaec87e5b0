"""The API over HTTPS: routing, paging, watches, patches, and injected faults. One server a cluster."""

import json
import re
import ssl
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from world.clusters.auth import Authenticator, Who, allowed
from world.clusters.faults import ENDLESS, Faults
from world.clusters.objects import (
    CLUSTER_WIDE,
    CUSTOM,
    KINDS,
    VERSIONS,
    ApiError,
    Object,
    api_version,
    field_selector,
    json_patched,
    label_selector,
    merged,
)
from world.clusters.store import Store

_PATH = re.compile(
    r"^/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))(?:/namespaces/(?P<ns>[^/]+)(?=/[a-z]))?/(?P<res>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?$"
)
_GROUPS = {*KINDS, "authorization.k8s.io", "authentication.k8s.io"}
_OBJECT_TOLD = {"pods", "services", "serviceaccounts", "namespaces"}  # whose deletion is answered by the object, all others' by a Status
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_INFO = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.2+crossmesh-world",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}


class Handler(BaseHTTPRequestHandler):
    """One connection. Class attributes are set per cluster."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    store: Store
    auth: Authenticator
    faults: Faults

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are many."""

    def setup(self) -> None:
        """The handshake happens here, in the connection's own thread."""
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(10)
            try:
                self.request.do_handshake()
            except (OSError, ssl.SSLError):
                self.close_connection = True
        self.timeout = 120
        super().setup()

    def handle(self) -> None:
        """A connection that breaks is nobody's error."""
        try:
            super().handle()
        except (OSError, ssl.SSLError):
            self.close_connection = True

    def _send(self, code: int, body: bytes | Object, headers: tuple[tuple[str, str], ...] = ()) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        data = self.faults.said(data)
        if len(data) > 1400 and "gzip" in self.headers.get("Accept-Encoding", ""):
            data = self.faults.packed(data)
            headers = (*headers, ("Content-Encoding", "gzip"))
        self.send_response_only(code)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(data))), *headers):
            self.send_header(name, value)
        self.end_headers()
        sent = 0
        for piece in self.faults.pieces(data):
            self.wfile.write(piece)
            self.wfile.flush()
            sent += len(piece)
        self.close_connection = self.close_connection or sent < len(data)

    def _answer(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        length = int(self.headers.get("Content-Length") or 0)
        data = self.rfile.read(length) if length else b""
        try:
            if self.faults.strike(self, url.path):
                return None
            if (found := re.match("/apis/([^/]+)", url.path)) and found[1] not in _GROUPS:
                return self._send(404, b"404 page not found\n")
            if url.path in ("/readyz", "/healthz", "/livez"):
                return self._send(200, b"ok")
            who = self.auth.who((self.headers.get("Authorization") or "").removeprefix("Bearer "))
            if url.path == "/.well-known/openid-configuration":
                return self._send(200, self.auth.projected.configuration())
            if url.path == "/openid/v1/jwks":
                return self._send(200, self.auth.projected.keys())
            discovered = _discovery(url.path.rstrip("/"))
            if discovered is not None:
                return self._send(200, discovered)
            self._resource(url.path, query, _body(data, self.headers.get("Content-Type", "")), who)
        except ApiError as error:
            self._send(error.code, error.status())
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def _resource(self, path: str, query: dict[str, str], body: Any, who: Who) -> None:
        found = _PATH.match(path)
        group = (found["group"] or "") if found else ""
        if not found or found["res"] not in KINDS.get(group, {}):
            if found and found["res"] in ("selfsubjectaccessreviews", "selfsubjectreviews"):
                return self._send(201, self._reviewed(found["res"], body, who))
            if found and found["res"] == "tokenreviews" and self.command == "POST":
                return self._token_review(body, who)
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if group in CUSTOM and ("apiextensions.k8s.io", "customresourcedefinitions", "", f"{found['res']}.{group}") not in self.store.objects:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        resource, namespace, name, sub = found["res"], found["ns"] or "", found["name"] or "", found["sub"] or ""
        verb = _VERBS[self.command]
        if verb == "get" and not name:
            verb = "watch" if query.get("watch", "").lower() in ("true", "1") else "list"
        if not allowed(self.store, who, verb, group, resource, namespace, name, sub):
            where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
            message = f'{resource} is forbidden: User "{who[0]}" cannot {verb} resource "{resource}" in API group "{group}"{where}'
            raise ApiError(403, "Forbidden", message)
        key = (group, resource, namespace, name)
        if verb in ("list", "watch"):
            labels, fields = label_selector(query.get("labelSelector", "")), field_selector(query.get("fieldSelector", ""))

            def match(item: Object) -> bool:
                return labels(item) and fields(item)

            return self._watch(key, query, match) if verb == "watch" else self._list(key, query, match)
        if verb == "get":
            return self._send(200, _scale(self.store.get(key)) if sub == "scale" else self.store.raw(key))
        if verb == "create" and (resource, sub) == ("serviceaccounts", "token"):
            return self._send(201, self.auth.projected.request(namespace, name, body, self._bound(namespace, name, body)))
        if verb == "create":
            return self._send(201, self.store.create(key, body))
        if verb == "delete":
            options = body if isinstance(body, dict) else {}
            grace = query.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
            wanted = (options.get("preconditions") or {}).get("uid", "")
            gone = self.store.delete(key, None if grace is None else int(grace), uid=wanted)
            return self._send(200, gone if resource in _OBJECT_TOLD or key in self.store.objects else _success(key, gone))
        return self._send(200, self._changed(key, sub, body))

    def _reviewed(self, resource: str, body: Any, who: Who) -> Object:
        """Who am I, and may I?"""
        if resource == "selfsubjectreviews":
            return {**body, "status": {"userInfo": {"username": who[0], "groups": sorted(who[1])}}}
        asked = (body.get("spec") or {}).get("resourceAttributes") or {}
        names = ("verb", "group", "resource", "namespace", "name", "subresource")
        return {**body, "status": {"allowed": allowed(self.store, who, *(asked.get(name, "") for name in names))}}

    def _token_review(self, body: Any, who: Who) -> None:
        """Whose is a token? Asked by servers that trust this cluster."""
        if not allowed(self.store, who, "create", "authentication.k8s.io", "tokenreviews", "", "", ""):
            raise ApiError(
                403, "Forbidden", f'tokenreviews.authentication.k8s.io is forbidden: User "{who[0]}" cannot create resource "tokenreviews"'
            )
        self._send(201, self.auth.projected.review(body))

    def _bound(self, namespace: str, account: str, body: Any) -> Object | None:
        """The pod that a requested token is for."""
        ref = (body.get("spec") or {}).get("boundObjectRef") or {}
        if ref.get("kind") != "Pod":
            return None
        pod = self.store.get(("", "pods", namespace, ref["name"]))
        if pod["spec"].get("serviceAccountName", "default") != account:
            message = f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            raise ApiError(400, "BadRequest", message)
        return pod

    def _changed(self, key: tuple[str, str, str, str], sub: str, body: Any) -> Object:
        kind = self.headers.get("Content-Type", "")
        if sub == "scale":
            replicas = int(body["spec"]["replicas"])
            return _scale(self.store.update(key, lambda old: {**old, "spec": {**old["spec"], "replicas": replicas}}))
        if self.command == "PUT":
            return self.store.update(key, lambda _: body, status=sub == "status")
        if not re.search(r"\b(json-patch|merge-patch|strategic-merge-patch|apply-patch)\+", kind):
            raise ApiError(415, "UnsupportedMediaType", f"the body of the request was in an unknown format: {kind}")
        if "json-patch" in kind:
            return self.store.update(key, lambda old: _same(old, json_patched(old, body)), status=sub == "status")
        if "apply" in kind and key not in self.store.objects:
            return self.store.create(key, body)
        strategic = "strategic" in kind or "apply" in kind
        return self.store.update(key, lambda old: _same(old, merged(old, body, strategic=strategic)), status=sub == "status")

    def _list(self, key: tuple[str, str, str, str], query: dict[str, str], match: Any) -> None:
        sign = "&".join(query[name] for name in ("labelSelector", "fieldSelector") if query.get(name))
        limit, token = int(query.get("limit") or 0), query.get("continue", "")
        rows, meta = self.store.page(key[:2], key[2], match, sign, limit, "" if token == ENDLESS else token)
        rows, meta = self.faults.lie(rows, meta, limit)
        head = json.dumps({"kind": KINDS[key[0]][key[1]] + "List", "apiVersion": api_version(key[0]), "metadata": meta})
        said = len(json.dumps({"kind": KINDS[key[0]][key[1]], "apiVersion": api_version(key[0])}, separators=(",", ":")))
        items = (
            rows if key[0] == "appmesh.k8s.aws" else [b"{" + row[said:] for row in rows]
        )  # only custom resources repeat their kind in a list
        self._send(200, head[:-1].encode() + b',"items":[' + b",".join(items) + b"]}")

    def _watch(self, key: tuple[str, str, str, str], query: dict[str, str], match: Any) -> None:
        until = time.monotonic() + float(query.get("timeoutSeconds") or 1800)
        bookmarks = query.get("allowWatchBookmarks", "").lower() == "true"
        self.send_response_only(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        store, namespace = self.store, key[2]

        def say(kind: str, raw: bytes) -> None:
            line = b'{"type":"%s","object":%s}\n' % (kind.encode(), raw)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

        version, listed = int(query.get("resourceVersion") or 0), query.get("sendInitialEvents", "").lower() == "true"
        if version == 0 or listed:
            rows, meta = store.page(key[:2], namespace, match, "", 0, "")
            version = int(meta["resourceVersion"])
            for raw in rows:
                say("ADDED", raw)
            if listed and bookmarks:  # kubectl 1.35 and later wait for it
                say("BOOKMARK", self._bookmark(key, version, {"k8s.io/initial-events-end": "true"}))
        elif version < store.compacted:
            say("ERROR", json.dumps(ApiError(410, "Expired", f"too old resource version: {version} ({store.compacted})").status()).encode())
            until = 0.0
        self.wfile.flush()
        marked = time.monotonic()
        while time.monotonic() < until and not self.faults.dark:
            with store.changed:
                news = store.since(key[:2], version)
                if not news:
                    store.changed.wait(min(1.0, max(0.0, until - time.monotonic())))
                    news = store.since(key[:2], version)
                latest = store.version
            for at, kind, changed, old, item, raw in news:
                version = at
                if namespace not in ("", changed[2]):
                    continue
                was, now = bool(old) and match(old), kind != "DELETED" and match(item)
                if now:
                    say("MODIFIED" if was else "ADDED", raw)
                elif was and old:  # what leaves a selection is told of as it last was in it
                    say("DELETED", raw if kind == "DELETED" else json.dumps(_versioned(old, at), separators=(",", ":")).encode())
            if bookmarks and time.monotonic() - marked > 10:
                marked = time.monotonic()
                say("BOOKMARK", self._bookmark(key, max(version, latest)))
            if news:
                self.wfile.flush()
        if bookmarks and until:
            say("BOOKMARK", self._bookmark(key, max(version, store.version)))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _bookmark(self, key: tuple[str, str, str, str], version: int, annotations: dict[str, str] | None = None) -> bytes:
        meta: dict[str, Any] = {"resourceVersion": str(version), "creationTimestamp": None}
        if annotations:
            meta["annotations"] = annotations
        return json.dumps({"kind": KINDS[key[0]][key[1]], "apiVersion": api_version(key[0]), "metadata": meta}).encode()


def _same(old: Object, patched: Object) -> Object:
    """A patch may name the uid, as a precondition, and not change it. (A PUT of another uid is a conflict: the store's affair.)"""
    if patched["metadata"].get("uid") != old["metadata"]["uid"]:
        raise ApiError(422, "Invalid", f"metadata.uid: Invalid value: {patched['metadata'].get('uid')!r}: field is immutable")
    return patched


def _versioned(item: Object, version: int) -> Object:
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(version)}}


def _body(data: bytes, kind: str) -> Any:
    if not data:
        return None
    try:
        if "yaml" in kind:
            import yaml

            return yaml.safe_load(data)
        return json.loads(data)
    except ValueError:
        raise ApiError(400, "BadRequest", "the body is neither JSON nor YAML") from None


def _success(key: tuple[str, str, str, str], gone: Object) -> Object:
    details = {"name": key[3], "group": key[0], "kind": key[1], "uid": gone["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def _scale(item: Object) -> Object:
    meta = {name: item["metadata"][name] for name in ("name", "namespace", "uid", "resourceVersion")}
    replicas = item["spec"].get("replicas", 1)
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": {"replicas": replicas}, "status": {"replicas": replicas}}


def _discovery(path: str) -> Object | None:
    """What clients ask to learn which kinds there are."""
    if path == "/version":
        return _INFO
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        groups = []
        for group, version in VERSIONS.items():
            if group:
                this = {"groupVersion": f"{group}/{version}", "version": version}
                groups.append({"name": group, "versions": [this], "preferredVersion": this})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    for group, version in VERSIONS.items():
        if path == (f"/apis/{group}/{version}" if group else "/api/v1"):
            verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
            resources = []
            for resource, kind in KINDS[group].items():
                about = {
                    "name": resource,
                    "singularName": kind.lower(),
                    "namespaced": resource not in CLUSTER_WIDE,
                    "kind": kind,
                    "verbs": verbs,
                }
                short = {"pods": ["po"], "services": ["svc"], "deployments": ["deploy"], "namespaces": ["ns"], "nodes": ["no"]}.get(resource)
                resources.append({**about, "shortNames": short} if short else about)
                if resource == "deployments":
                    scale = {
                        "name": "deployments/scale",
                        "singularName": "",
                        "namespaced": True,
                        "kind": "Scale",
                        "group": "autoscaling",
                        "version": "v1",
                    }
                    resources.append({**scale, "verbs": ["get", "patch", "update"]})
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version(group), "resources": resources}
    return None


class Server(ThreadingHTTPServer):
    """HTTPS on loopback."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Broken connections are part of life here."""


def serve(port: int, store: Store, auth: Authenticator, faults: Faults, cert: Path, key: Path) -> Server:
    """A started server's socket; the caller runs `serve_forever` in a thread."""
    handler = type("ClusterHandler", (Handler,), {"store": store, "auth": auth, "faults": faults})
    server = Server(("127.0.0.1", port), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server
