"""Each function that reads a cluster has a role of its own: where one is refused, a person reads which, though looks go well."""

import msgspec
import pytest
from crossmesh.core.diagnosis.access_denied import refused_by_cluster
from crossmesh.core.diagnosis.account_facts import Account, ClusterFacts
from crossmesh.core.diagnosis.diagnose import diagnose
from crossmesh.core.diagnosis.facts import MissingFact
from crossmesh.core.diagnosis.preconditions import missing

from tests.support.builders import context
from tests.support.diagnosis_world import facts

BASE = msgspec.structs.replace(context(clusters=("a", "b")).settings, canaries=())
ROLES = ("arn:aws:iam::1:role/look", "arn:aws:iam::1:role/probe", "arn:aws:iam::1:role/diagnose")
KNOWN = ClusterFacts(name="a", eks="a-eks", region="eu-west-1", public=True, cidrs=("0.0.0.0/0",), mode="API", entries=ROLES)


def lacking(cluster: ClusterFacts) -> list[tuple[str, str]]:
    """Roles without an entry, as a person reads of them."""
    return [(one.what, one.fix) for one in missing(BASE, Account(clusters=(cluster,)), {}, ROLES)]


@pytest.mark.parametrize("role", ROLES)
def test_an_access_entry_that_is_gone_is_named_with_the_command(role: str) -> None:
    """The reported case: the entry of a role other than the look's was deleted by hand, and nothing told of it."""
    left = msgspec.structs.replace(KNOWN, entries=tuple(one for one in ROLES if one != role))
    (found,) = lacking(left)
    name = role.rpartition("/")[2]
    assert found[0] == f"{name} has no access entry in a: its function is refused there"
    assert found[1] == (
        f"aws eks create-access-entry --cluster-name a-eks --region eu-west-1 --kubernetes-groups crossmesh:readers --principal-arn {role}"
    )


@pytest.mark.parametrize(
    "changes", [{}, {"entries": None}, {"entries": (), "mode": "CONFIG_MAP"}], ids=["all there", "not read", "no entries taken"]
)
def test_nothing_is_claimed_where_all_are_there_or_nobody_knows(changes: dict[str, object]) -> None:
    assert not [what for what, _ in lacking(msgspec.structs.replace(KNOWN, **changes)) if "no access entry in" in what]


def test_where_aws_auth_may_map_the_role_that_is_said() -> None:
    mixed = msgspec.structs.replace(KNOWN, mode="API_AND_CONFIG_MAP", entries=ROLES[1:])
    assert lacking(mixed)[0][0].endswith(", unless aws-auth maps it")


@pytest.mark.parametrize(("code", "fix"), [("401: Unauthorized", "access entry"), ("403: Forbidden", "clusters/reader.yaml")])
def test_a_diagnosis_says_that_its_own_role_is_refused(code: str, fix: str) -> None:
    unread = (MissingFact(what="workloads of eksc2", why=f"eksc2: refused: HTTP {code}"),)
    (found,) = [one for one in diagnose(facts(unread=unread)) if one.layer == "permission"]
    assert found.key == "permission:diagnosis:eksc2"
    assert "refuses the role of the diagnosis" in found.what
    assert fix in found.fix


def test_a_probe_that_is_refused_says_so_and_not_that_nothing_was_found() -> None:
    found = diagnose(facts(samples=(), problem="eksc1: refused: HTTP 401: Unauthorized"))
    assert "permission:probe:eksc1" in [one.key for one in found]
    assert "answers" not in [one.layer for one in found]


@pytest.mark.parametrize("text", ["eksc1: unreachable: timed out", "eksc1: server-error: HTTP 503: x", ""])
def test_other_errors_are_no_matter_of_rights(text: str) -> None:
    assert refused_by_cluster("probe", text, "x") is None
