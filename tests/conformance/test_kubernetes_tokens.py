"""Tokens for an audience, on both tiers: who gets one, and what a review says of it. Servers of Envoys let nobody in by anything else."""

import json
from typing import Any

import jwt
import pytest

from tests.conformance.kubernetes_tiers import Api
from tests.support.pod_objects import pod

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"


def requested(api: Api, *audiences: str, account: str = "default", **more: Any) -> str:
    """A token of a ServiceAccount."""
    path = f"/api/v1/namespaces/{api.namespace}/serviceaccounts"
    api.ask("POST", path, {"metadata": {"name": account}}, record=False)
    body = {"spec": {"audiences": list(audiences), "expirationSeconds": 600, **more}}
    answer = api.ask("POST", f"{path}/{account}/token", body, record=False)
    assert answer.status == 201, answer.body
    token: str = answer.body["status"]["token"]
    return token


def reviewed(api: Api, token: str, *audiences: str) -> dict[str, Any]:
    """The status of a review."""
    answer = api.ask("POST", REVIEWS, {"spec": {"token": token, "audiences": list(audiences)}}, record=False)
    assert answer.status == 201, answer.body
    assert answer.body["kind"] == "TokenReview"
    status: dict[str, Any] = answer.body["status"]
    return status


def test_a_token_proves_its_account_for_its_audience(api: Api) -> None:
    found = reviewed(api, requested(api, "envoys", "others", account="front"), "envoys")
    assert found["authenticated"]
    assert found["audiences"] == ["envoys"]
    assert found["user"]["username"] == f"system:serviceaccount:{api.namespace}:front"
    assert {"system:serviceaccounts", f"system:serviceaccounts:{api.namespace}", "system:authenticated"} <= set(found["user"]["groups"])


def test_a_bound_token_names_its_pod(api: Api) -> None:
    body = pod("front")
    body["spec"]["serviceAccountName"] = "default"
    api.create(body, record=False)
    made = api.ask("GET", f"{api.pods}/front", record=False).body["metadata"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "front", "uid": made["uid"]}
    token = requested(api, "envoys", boundObjectRef=bound)
    extra = reviewed(api, token, "envoys")["user"]["extra"]
    assert extra["authentication.kubernetes.io/pod-uid"] == [made["uid"]]
    assert extra["authentication.kubernetes.io/pod-name"] == ["front"]
    api.ask("POST", f"/api/v1/namespaces/{api.namespace}/serviceaccounts", {"metadata": {"name": "other"}}, record=False)
    path = f"/api/v1/namespaces/{api.namespace}/serviceaccounts/other/token"
    asked = {"spec": {"audiences": ["envoys"], "boundObjectRef": bound}}
    assert api.ask("POST", path, asked).status == 400, "the pod runs as another account"


@pytest.mark.parametrize("spoiled", ["another audience", "another end", "no token at all", "nothing"])
def test_what_proves_nobody(api: Api, spoiled: str) -> None:
    token = requested(api, "others" if spoiled == "another audience" else "envoys")
    token = {"another end": token[:-8] + "AAAAAAAA", "no token at all": "garbage", "nothing": ""}.get(spoiled, token)
    if not token:
        assert api.ask("POST", REVIEWS, {"spec": {"token": token, "audiences": ["envoys"]}}).status == 400
        return
    found = reviewed(api, token, "envoys")
    assert not found.get("authenticated")
    assert found["error"]
    assert not found.get("audiences")


def test_the_keys_that_a_cluster_shows_check_its_tokens(api: Api) -> None:
    token = requested(api, "envoys", account="front")
    keys = jwt.PyJWKSet.from_dict(api.ask("GET", "/openid/v1/jwks", record=False).body)
    issuer = api.ask("GET", "/.well-known/openid-configuration", record=False).body["issuer"]
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key.key, algorithms=["RS256", "ES256"], audience="envoys", issuer=issuer)
    assert claims["sub"] == f"system:serviceaccount:{api.namespace}:front"
    assert claims["kubernetes.io"]["namespace"] == api.namespace
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key.key, algorithms=["RS256", "ES256"], audience="others", issuer=issuer)


def test_who_may_not_review_is_refused(api: Api) -> None:
    token = requested(api, "envoys")
    refused = api.ask("POST", REVIEWS, {"spec": {"token": token, "audiences": ["envoys"]}}, token="", record=False)
    assert refused.status in (401, 403), json.dumps(refused.body)
