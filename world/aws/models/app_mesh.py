"""App Mesh: the model that the server and the simulator both drive.

One rule book for all seven kinds instead of moto's class per field: specs are kept as given (the wire has checked their shape), so
that a description gives back exactly what was written. moto 5.2.5 has no virtual services, references, quotas or client tokens.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from world.aws.models.app_mesh_kinds import KINDS, Document, Key, Kind, key_of, parent_of, references
from world.aws.models.app_mesh_rules import check_route, check_spec
from world.aws.models.errors import AwsError
from world.aws.models.pages import BadTokenError, page
from world.aws.models.throttle import Throttle

TAGS_MOST = 50
TOKENS_KEPT = 10_000
VERBS = ("Create", "Describe", "Update", "Delete", "List")
OPERATIONS = (
    *tuple(
        f"{verb}{'Meshes' if kind.name == 'mesh' else kind.title + 's'}" if verb == "List" else f"{verb}{kind.title}"
        for kind in KINDS.values()
        for verb in VERBS
    ),
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
)


def _handler(operation: str) -> tuple[str, Kind | None]:
    own = {"TagResource": "_tag", "UntagResource": "_untag", "ListTagsForResource": "_list_tags"}
    if operation in own:
        return own[operation], None
    verb = next(verb for verb in VERBS if operation.startswith(verb))
    titles = {kind.title: kind for kind in KINDS.values()} | {f"{kind.title}s": kind for kind in KINDS.values()} | {"Meshes": KINDS["mesh"]}
    return f"_{verb.lower()}", titles[operation.removeprefix(verb)]


_HANDLERS = {operation: _handler(operation) for operation in OPERATIONS}


def copied(value: Any) -> Any:
    """A JSON value anew (copy.deepcopy asks ten times as many questions of it)."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return [copied(item) for item in value] if isinstance(value, list) else value


@dataclass(slots=True)
class AppMeshSettings:
    """The knobs: rates by operation, quotas by kind (App Mesh's service quotas), backends of one node."""

    rates: dict[str, tuple[float, float]] = field(default_factory=dict)
    quotas: dict[str, int] = field(default_factory=lambda: {kind.name: kind.quota for kind in KINDS.values()})
    backends: int = 50


@dataclass(slots=True)
class Resource:
    """A resource of any kind; `used_by` are those that refer to it, `children` those that lie in it."""

    key: Key
    arn: str
    uid: str
    spec: Document
    created: float
    updated: float
    place: int
    version: int = 1
    status: str = "ACTIVE"
    tags: dict[str, str] = field(default_factory=dict)
    children: dict[str, dict[str, "Resource"]] = field(default_factory=dict)
    used_by: set[Key] = field(default_factory=set)


class AppMesh:
    """`call` is the whole interface, as of `CloudMap`: answers in AWS's shape, the described resource under its kind's name."""

    def __init__(
        self,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        account: str = "111122223333",
        region: str = "us-east-1",
        settings: AppMeshSettings | None = None,
    ) -> None:
        self.clock, self.rng, self.account, self.region = clock, rng, account, region
        self.settings = settings or AppMeshSettings()
        self.throttle = Throttle(self.settings.rates)
        self.now = clock()
        self._resources: dict[Key, Resource] = {}
        self._meshes: dict[str, Resource] = {}
        self._arns: dict[str, Resource] = {}
        self._tokens: dict[tuple[str, str], tuple[Document, Document]] = {}
        self._places = 0

    def call(self, operation: str, request: Document) -> Document:
        """Raises AwsError for what App Mesh would refuse."""
        self.now = self.clock()
        if not self.throttle.admits(operation, self.now):
            raise AwsError("TooManyRequestsException", "Rate exceeded")
        name, kind = _HANDLERS[operation]
        method = getattr(self, name)
        answer: Document = method(kind, request) if kind else method(request)
        return answer

    def _create(self, kind: Kind, request: Document) -> Document:
        key, spec = key_of(kind, request), request.get("spec") or {}
        self._check_owner(request)
        siblings = self._siblings(key)
        before = self._repeated("Create", kind, request)
        if before is not None:
            return before
        if key in self._resources:
            raise AwsError("ConflictException", f"{kind.title} {key[-1]} exists.")
        if len(siblings) >= self.settings.quotas[kind.name]:
            raise AwsError("LimitExceededException", f"There can be at most {self.settings.quotas[kind.name]} {kind.plural} here.")
        tags = {tag["key"]: tag["value"] for tag in request.get("tags") or ()}
        self._check_tags(tags)
        self._check(key, spec)
        self._places += 1
        resource = Resource(
            key=key,
            arn=self._arn(key),
            uid=self._uid(),
            spec=copied(spec),
            created=self.now,
            updated=self.now,
            place=self._places,
            tags=tags,
        )
        self._resources[key] = siblings[key[-1]] = self._arns[resource.arn] = resource
        self._use(key, spec)
        return self._remember("Create", kind, request, self._shown(kind, resource))

    def _update(self, kind: Kind, request: Document) -> Document:
        resource = self._find(kind, request)
        spec = request.get("spec") or {}
        before = self._repeated("Update", kind, request)
        if before is not None:
            return before
        self._check(resource.key, spec)
        for used in references(resource.key, resource.spec):
            self._resources[used].used_by.discard(resource.key)
        self._use(resource.key, spec)
        resource.spec, resource.updated, resource.version = copied(spec), self.now, resource.version + 1
        return self._remember("Update", kind, request, self._shown(kind, resource))

    def _delete(self, kind: Kind, request: Document) -> Document:
        resource = self._find(kind, request)
        held = [child for children in resource.children.values() for child in children.values()]
        if held:
            raise AwsError("ResourceInUseException", f"{kind.title} {resource.key[-1]} still has {held[0].key[0]} {held[0].key[-1]}.")
        if resource.used_by:
            user = min(resource.used_by)
            raise AwsError("ResourceInUseException", f"{kind.title} {resource.key[-1]} is used by {user[0]} {user[-1]}.")
        for used in references(resource.key, resource.spec):
            self._resources[used].used_by.discard(resource.key)
        del self._siblings(resource.key)[resource.key[-1]], self._resources[resource.key], self._arns[resource.arn]
        resource.status = "DELETED"
        return self._shown(kind, resource)

    def _describe(self, kind: Kind, request: Document) -> Document:
        return self._shown(kind, self._find(kind, request))

    def _list(self, kind: Kind, request: Document) -> Document:
        if kind.parent:
            self._check_owner(request)
            parent = (
                ("mesh", request["meshName"]) if kind.parent == "mesh" else (kind.parent, request["meshName"], request[f"{kind.parent}Name"])
            )
            resources = self._get(parent).children.get(kind.name, {})
        else:
            resources = self._meshes
        chosen, token = self._page(list(resources.values()), request)
        document: Document = {kind.plural: [self._summary(kind, resource) for resource in chosen]}
        return document | ({"nextToken": token} if token else {})

    def _page(self, resources: list[Resource], request: Document) -> tuple[list[Resource], str | None]:
        try:
            return page(resources, [resource.place for resource in resources], request.get("nextToken"), request.get("limit", 100))
        except BadTokenError as error:
            raise AwsError("BadRequestException", "The nextToken is not one that a list gave.") from error

    def _check(self, key: Key, spec: Document) -> None:
        """The spec's own rules, then what it refers to, then router against routes."""
        check_spec(key[0], spec, self.settings.backends)
        for used in references(key, spec):
            self._get(used)
        if key[0] == "route":
            check_route(self._resources["virtualRouter", key[1], key[2]].spec, spec)
        elif key[0] == "virtualRouter" and key in self._resources:
            for route in self._resources[key].children.get("route", {}).values():
                check_route(spec, route.spec)

    def _check_owner(self, request: Document) -> None:
        if request.get("meshOwner", self.account) != self.account:
            raise AwsError("NotFoundException", f"No mesh {request['meshName']} of account {request['meshOwner']} is shared with this account.")

    def _check_tags(self, tags: dict[str, str]) -> None:
        if len(tags) > TAGS_MOST:
            raise AwsError("TooManyTagsException", f"A resource can have at most {TAGS_MOST} tags.")

    def _find(self, kind: Kind, request: Document) -> Resource:
        self._check_owner(request)
        key = key_of(kind, request)
        parent = parent_of(key)
        if parent:
            self._get(parent)
        return self._get(key)

    def _get(self, key: Key) -> Resource:
        if key not in self._resources:
            if key[0] != "mesh":
                self._get(("mesh", key[1]))
            raise AwsError("NotFoundException", f"{KINDS[key[0]].title} with name {key[-1]} was not found in mesh {key[1]}.")
        return self._resources[key]

    def _siblings(self, key: Key) -> dict[str, Resource]:
        parent = parent_of(key)
        return self._meshes if parent is None else self._get(parent).children.setdefault(key[0], {})

    def _use(self, key: Key, spec: Document) -> None:
        for used in references(key, spec):
            self._resources[used].used_by.add(key)

    def _repeated(self, verb: str, kind: Kind, request: Document) -> Document | None:
        """The answer given before to the same token and request; a token used for another request is a conflict."""
        token = request.get("clientToken")
        known = self._tokens.get((verb + kind.title, token)) if token else None
        if known is None:
            return None
        if known[0] != request:
            raise AwsError("ConflictException", "The client token was used for another request.")
        return copied(known[1])

    def _remember(self, verb: str, kind: Kind, request: Document, answer: Document) -> Document:
        if request.get("clientToken"):
            self._tokens[verb + kind.title, request["clientToken"]] = (copied(request), copied(answer))
            if len(self._tokens) > TOKENS_KEPT:
                del self._tokens[next(iter(self._tokens))]
        return answer

    def _uid(self) -> str:
        digits = f"{self.rng.getrandbits(128):032x}"
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _arn(self, key: Key) -> str:
        path = f"mesh/{key[1]}"
        if len(key) == 4:
            path += f"/{KINDS[KINDS[key[0]].parent].path}/{key[2]}"
        if len(key) > 2:
            path += f"/{KINDS[key[0]].path}/{key[-1]}"
        return f"arn:aws:appmesh:{self.region}:{self.account}:{path}"

    def _names(self, kind: Kind, resource: Resource) -> Document:
        names = {"meshName": resource.key[1], kind.name_member: resource.key[-1]}
        if len(resource.key) == 4:
            names[f"{kind.parent}Name"] = resource.key[2]
        return names

    def _metadata(self, resource: Resource) -> Document:
        return {
            "arn": resource.arn,
            "createdAt": resource.created,
            "lastUpdatedAt": resource.updated,
            "meshOwner": self.account,
            "resourceOwner": self.account,
            "version": resource.version,
        }

    def _summary(self, kind: Kind, resource: Resource) -> Document:
        return self._names(kind, resource) | self._metadata(resource)

    def _shown(self, kind: Kind, resource: Resource) -> Document:
        return {
            kind.name: self._names(kind, resource)
            | {
                "metadata": self._metadata(resource) | {"uid": resource.uid},
                "spec": copied(resource.spec),
                "status": {"status": resource.status},
            }
        }

    def tags_of(self, arn: str) -> dict[str, str]:
        """Tags of a resource; {} where there is none."""
        return self._arns[arn].tags if arn in self._arns else {}

    def _by_arn(self, arn: str) -> Resource:
        if arn not in self._arns:
            raise AwsError("NotFoundException", f"{arn} was not found.")
        return self._arns[arn]

    def _tag(self, request: Document) -> Document:
        resource = self._by_arn(request["resourceArn"])
        merged = resource.tags | {tag["key"]: tag["value"] for tag in request["tags"]}
        self._check_tags(merged)
        resource.tags = merged
        return {}

    def _untag(self, request: Document) -> Document:
        resource = self._by_arn(request["resourceArn"])
        gone: Iterable[str] = request["tagKeys"]
        resource.tags = {key: value for key, value in resource.tags.items() if key not in set(gone)}
        return {}

    def _list_tags(self, request: Document) -> Document:
        tags = list(self._by_arn(request["resourceArn"]).tags.items())
        try:
            chosen, token = page(tags, list(range(1, len(tags) + 1)), request.get("nextToken"), request.get("limit", 100))
        except BadTokenError as error:
            raise AwsError("BadRequestException", "The nextToken is not one that a list gave.") from error
        return {"tags": [{"key": key, "value": value} for key, value in chosen]} | ({"nextToken": token} if token else {})
