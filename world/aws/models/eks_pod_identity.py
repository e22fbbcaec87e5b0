"""EKS Pod Identity's associations: which role the pods of a service account get."""

import random
from collections.abc import Callable
from typing import Any

from world.aws.models.errors import AwsError

Document = dict[str, Any]
SHOWN = ("clusterName", "namespace", "serviceAccount", "associationArn", "associationId")
"""Members of a listed association; the role shows in CreatePodIdentityAssociation and DescribePodIdentityAssociation only (botocore's model)."""


class Associations:
    """Of one cluster, by namespace and service account; `arn` makes an association's from its id."""

    def __init__(self, cluster: str, clock: Callable[[], float], rng: random.Random, arn: Callable[[str], str]) -> None:
        self._cluster, self._clock, self._rng, self._arn = cluster, clock, rng, arn
        self._held: dict[tuple[str, str], Document] = {}

    def create(self, request: Document) -> Document:
        """Raises AwsError where the account has one."""
        key = (request["namespace"], request["serviceAccount"])
        if key in self._held:
            raise AwsError(
                "ResourceInUseException", f"Association already exists: {self._held[key]['associationId']}", clusterName=self._cluster
            )
        ident = f"a-{self._rng.getrandbits(80):020x}"
        self._held[key] = {
            "clusterName": self._cluster,
            "namespace": key[0],
            "serviceAccount": key[1],
            "roleArn": request["roleArn"],
            "associationArn": self._arn(ident),
            "associationId": ident,
            "tags": request.get("tags", {}),
            "createdAt": self._clock(),
            "modifiedAt": self._clock(),
        }
        return {"association": self._held[key]}

    def listed(self, request: Document) -> list[Document]:
        """Those of a namespace or service account, or all."""
        wanted = {name: request[name] for name in ("namespace", "serviceAccount") if request.get(name)}
        found = [one for one in self._held.values() if all(one[name] == value for name, value in wanted.items())]
        return [{name: one[name] for name in SHOWN} for one in found]

    def described(self, request: Document) -> Document:
        """One by its id; raises AwsError."""
        for one in self._held.values():
            if one["associationId"] == request["associationId"]:
                return {"association": one}
        raise AwsError("ResourceNotFoundException", f"No association {request['associationId']}.", clusterName=self._cluster)

    def delete(self, request: Document) -> Document:
        """The one that was there; raises AwsError."""
        gone = self.described(request)
        del self._held[gone["association"]["namespace"], gone["association"]["serviceAccount"]]
        return gone

    def roles(self) -> dict[str, str]:
        """namespace/service account -> role ARN."""
        return {"/".join(key): one["roleArn"] for key, one in self._held.items()}
