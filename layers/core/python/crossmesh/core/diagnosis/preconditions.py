"""What an account must have before crossmesh can work there: a way to each cluster, access entries,
endpoints of a VPC without NAT, a trail. Pure.

`crossmesh init` prints what is missing before the first deployment, `crossmesh doctor` afterwards.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from crossmesh.core.diagnosis.account_facts import Account, ClusterFacts, SubnetFacts
from crossmesh.core.diagnosis.doctor import Recommendation
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.mesh.backends import backend_of
from crossmesh.core.settings import Settings

GROUPS = 5  # security groups that Lambda takes for a function
# What functions inside a VPC call
ALWAYS = ("eks", "servicediscovery", "data-servicediscovery", "states")
GATEWAYS = ("s3", "dynamodb")  # free, as gateway endpoints
DIAGNOSES = ("elasticloadbalancing", "ec2")


def network(account: Account) -> dict[str, str]:
    """The parameters of the VPC through which private clusters are reached; {} where none is, or
    where it has no subnet that will do.
    """
    inside = [cluster for cluster in account.clusters if cluster.way == "vpc"]
    if not inside:
        return {}
    vpc = inside[0].vpc
    there = [cluster for cluster in inside if cluster.vpc == vpc]
    wanted = {subnet for cluster in there for subnet in cluster.subnets}
    subnets = sorted(subnet.id for subnet in account.subnets if subnet.id in wanted and not subnet.public)
    groups = list(dict.fromkeys(cluster.group for cluster in there if cluster.group))[:GROUPS]
    return {"VpcSubnetIds": ",".join(subnets), "VpcSecurityGroupIds": ",".join(groups)} if subnets and groups else {}


def missing(
    settings: Settings, account: Account, parameters: Mapping[str, str], readers: Sequence[str] = ()
) -> tuple[Recommendation, ...]:
    """What must be done first, each with its command. `parameters`: those of the template, as they
    are or will be. `readers`: roles of functions that read clusters.
    """
    groups = _groups(settings, account, parameters) if settings.security_groups == "open" else ()
    return (
        *_clusters(account.clusters),
        *_entries(account.clusters, readers),
        *_network(settings, account, parameters),
        *groups,
        *_trail(settings, account, parameters),
    )


def groups_of(settings: Settings, account: Account, number: str, partition: str, before: str = "") -> str:
    """The parameter SecurityGroupArns: the groups of the clusters in account `number`. Where one
    was not read, `before` stays.
    """
    if {c.name for c in account.clusters} != {c.name for c in settings.clusters if not c.role_arn}:
        return before
    found = {f"arn:{partition}:ec2:{c.region}:{number}:security-group/{c.group}" for c in account.clusters if c.group}
    return ",".join(sorted(found))


def _groups(settings: Settings, account: Account, parameters: Mapping[str, str]) -> Iterator[Recommendation]:
    """Groups in which the deployed function may open nothing: neither named by the parameter nor,
    where it names none, tagged.
    """
    named = [arn.split(":") for arn in parameters.get("SecurityGroupArns", "").split(",") if arn]
    for cluster in account.clusters:
        if not cluster.group:
            continue
        tagged = cluster.owner is None or (cluster.owner == settings.owner and cluster.region == settings.region)
        if named and not any(
            arn[3] == cluster.region and arn[-1] == f"security-group/{cluster.group}" for arn in named
        ):
            what = (
                f"parameter SecurityGroupArns does not name {cluster.group} of {cluster.name}: no port is opened there"
            )
            yield _advice("SecurityGroupArns", what, "crossmesh init writes it; then deploy")
        elif not named and not tagged:
            what = (
                f"SecurityGroupArns is empty, and {cluster.group} of {cluster.name} does not have the tag"
                f" {OWNER_TAG}={settings.owner}"
            )
            tag = (
                f"aws ec2 create-tags --region {cluster.region} --resources {cluster.group} --tags"
                f" Key=crossmesh:owner,Value={settings.owner}"
            )
            fix = (
                "crossmesh init writes the parameter; then"
                f" deploy{f'. Or: {tag}' if cluster.region == settings.region else ''}"
            )
            yield _advice("SecurityGroupArns", what, fix)


def _clusters(clusters: Iterable[ClusterFacts]) -> Iterator[Recommendation]:
    for cluster in clusters:
        update = f"aws eks update-cluster-config --name {shlex.quote(cluster.eks)} --region {cluster.region}"
        if cluster.way == "none":
            what = (
                f"functions cannot reach {cluster.name}: its public endpoint takes only {', '.join(cluster.cidrs)}, and"
                " it has no private one"
            )
            yield _advice(
                cluster.name,
                what,
                f"{update} --resources-vpc-config endpointPrivateAccess=true, then crossmesh init again",
            )
        if cluster.mode == "CONFIG_MAP":
            what = f"{cluster.name} takes no access entries: its authentication mode is CONFIG_MAP"
            fix = (
                f"{update} --access-config authenticationMode=API_AND_CONFIG_MAP (cannot be undone); or map each role"
                " of ReaderRoleArns in aws-auth"
            )
            yield _advice(cluster.name, what, fix)


def _entries(clusters: Iterable[ClusterFacts], readers: Sequence[str]) -> Iterator[Recommendation]:
    """Roles that a cluster does not know. Each function has its own: that looks go well says
    nothing of canaries and diagnoses.
    """
    for cluster in clusters:
        for role in readers if cluster.entries is not None and cluster.mode != "CONFIG_MAP" else ():
            if role not in (cluster.entries or ()):
                either = ", unless aws-auth maps it" if cluster.mode == "API_AND_CONFIG_MAP" else ""
                what = (
                    f"{role.rpartition('/')[2]} has no access entry in {cluster.name}: its function is"
                    f" refused there{either}"
                )
                entry = (
                    f"aws eks create-access-entry --cluster-name {shlex.quote(cluster.eks)} --region {cluster.region}"
                )
                fix = f"{entry} --kubernetes-groups crossmesh:readers --principal-arn {role}"
                yield _advice(f"{cluster.name}:{role}", what, fix)


def _network(settings: Settings, account: Account, parameters: Mapping[str, str]) -> Iterator[Recommendation]:
    inside = [cluster for cluster in account.clusters if cluster.way == "vpc"]
    chosen = [one for one in parameters.get("VpcSubnetIds", "").split(",") if one]
    known = [subnet for subnet in account.subnets if subnet.id in chosen]
    if inside and not chosen:
        what = (
            f"{', '.join(c.name for c in inside)} can only be reached from inside a VPC, and no private subnet of"
            f" {inside[0].vpc} is known"
        )
        fix = (
            "make a subnet there whose default route is a NAT gateway or none, and give it as VpcSubnetIds with"
            " VpcSecurityGroupIds"
        )
        yield _advice("VpcSubnetIds", what, fix)
    for subnet in known:
        if subnet.public:
            what = f"subnet {subnet.id} is public: a function in it has no public address and no way out"
            yield _advice("VpcSubnetIds", what, "give private subnets as VpcSubnetIds")
    vpcs = {subnet.vpc for subnet in known}
    for cluster in inside:
        if vpcs and cluster.vpc not in vpcs:
            what = f"{cluster.name} lies in {cluster.vpc}, the functions in {', '.join(sorted(vpcs))}"
            yield _advice(
                cluster.name,
                what,
                "peer the two VPCs (or use a transit gateway), and resolve the endpoint's name across them",
            )
    groups = {cluster.group for cluster in inside if cluster.vpc in vpcs and cluster.group}
    if len(groups) > GROUPS:
        what = f"{len(groups)} clusters of one VPC are private, a function takes {GROUPS} security groups"
        yield _advice(
            "VpcSecurityGroupIds",
            what,
            "give the functions one group of your own, and let it in on port 443 in each cluster's group",
        )
    if known and not all(subnet.out for subnet in known):
        yield from _without_nat(settings, account, known, vpcs)


def _without_nat(
    settings: Settings, account: Account, subnets: Sequence[SubnetFacts], vpcs: set[str]
) -> Iterator[Recommendation]:
    needed = [*ALWAYS, *GATEWAYS, *(("sts",) if any(c.role_arn for c in settings.clusters) else ())]
    needed += [
        *((service,) if (service := backend_of(settings).service) else ()),
        *(DIAGNOSES if settings.canaries else ()),
    ]
    closed = ", ".join(subnet.id for subnet in subnets if not subnet.out)
    for vpc in sorted(vpcs):
        lacking = [service for service in needed if service not in account.endpoints.get(vpc, ())]
        if vpc in account.endpoints and lacking:
            what = (
                f"{closed} have no NAT gateway, and {vpc} no endpoint of {', '.join(lacking)}: functions there wait"
                " until they fail"
            )
            service = f"SERVICE --vpc-id {vpc} --region {settings.region}"
            fix = (
                "aws ec2 create-vpc-endpoint --vpc-endpoint-type Interface --service-name"
                f" com.amazonaws.{settings.region}.{service}, or a NAT gateway"
            )
            yield _advice(vpc, what, fix)
    for cluster in account.clusters:
        if cluster.region != settings.region or cluster.way == "internet":
            where = f"of {cluster.region}" if cluster.region != settings.region else "on the Internet"
            yield _advice(
                cluster.name,
                f"{closed} have no NAT gateway, and the API of {cluster.name} is {where}",
                "add a NAT gateway",
            )
    if settings.canaries:
        what = f"{closed} have no NAT gateway: canaries cannot ask a front on the Internet"
        yield _advice(
            "ProbeFrom",
            what,
            "add a NAT gateway, or deploy with ProbeFrom=internet; nothing where each front is internal",
        )


def _trail(settings: Settings, account: Account, parameters: Mapping[str, str]) -> Iterator[Recommendation]:
    if (
        account.trails is None
        or parameters.get("World") == "local"
        or any(trail.logging and trail.writes for trail in account.trails)
    ):
        return
    what = (
        f"no CloudTrail trail logs management writes in {settings.region}: a change by hand is noticed by the next"
        " look, not by its event"
    )
    fix = (
        "aws cloudtrail create-trail --name NAME --s3-bucket-name BUCKET --is-multi-region-trail, then aws cloudtrail"
        " start-logging --name NAME"
    )
    yield _advice("CloudTrail", what, fix)


def same_names(settings: Settings) -> Iterator[Recommendation]:
    """Clusters that take each other's tokens: a token is signed for an EKS name and an identity,
    not for a Region.
    """
    seen: dict[tuple[str, str], str] = {}
    for cluster in settings.clusters:
        other = seen.setdefault((cluster.eks, cluster.role_arn), cluster.name)
        if other != cluster.name:
            what = (
                f"{other} and {cluster.name} are both {cluster.eks!r} in EKS and are read by one identity: each takes"
                " the other's token"
            )
            yield _advice(
                cluster.name,
                what,
                "give one of them a roleArn of its own (clusters/role.yaml), where one cluster is trusted less",
            )


def _advice(subject: str, what: str, fix: str) -> Recommendation:
    return Recommendation(part="account", subject=subject, what=what, fix=fix)
