"""Reads what `core/diagnosis/preconditions.py` judges: clusters, subnets, endpoints and trails of
the account. Asks only; what may not be read is said.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from crossmesh.adapters import aws
from crossmesh.core.diagnosis.account_facts import Account, ClusterFacts, SubnetFacts, TrailFacts
from crossmesh.core.keys import OWNER_TAG
from crossmesh.core.settings import ClusterSettings, Settings
from crossmesh.errors import CrossmeshError

SOURCE = "servicediscovery.amazonaws.com"  # as CloudTrail names Cloud Map
T = TypeVar("T")


def read(settings: Settings, given: Iterable[str] = ()) -> Account:
    """The account as far as it can be read. `given`: subnets that are chosen already."""
    unread: list[str] = []
    clusters = []
    for cluster in settings.clusters:
        if not cluster.role_arn:
            described = _tried(unread, f"cluster {cluster.name}", lambda c=cluster: _describe(c.region, c.eks), None)  # type: ignore[misc]
            if described is not None:
                facts = cluster_facts(cluster.name, cluster.eks, cluster.region, described)
                entries = _tried(unread, f"access entries of {cluster.name}", _entries_of(cluster), None)
                facts = msgspec.structs.replace(facts, entries=entries)
                if settings.security_groups == "open" and facts.group:
                    owner = _tried(unread, f"tags of {facts.group}", lambda f=facts: _owner(f.region, f.group), None)  # type: ignore[misc]
                    facts = msgspec.structs.replace(facts, owner=owner)
                clusters.append(facts)
    wanted = sorted(
        {*given, *(s for c in clusters if c.way == "vpc" for s in c.subnets if c.region == settings.region)}
    )
    subnets: tuple[SubnetFacts, ...] = ()
    endpoints: dict[str, tuple[str, ...]] = {}
    if wanted:
        ec2 = aws.client("ec2", settings.region)
        subnets = _tried(unread, "subnets", lambda: _subnets(ec2, wanted), ())
        for vpc in sorted({subnet.vpc for subnet in subnets if not subnet.out}):
            found = _tried(unread, f"endpoints of {vpc}", lambda v=vpc: _endpoints(ec2, v), None)  # type: ignore[misc]
            if found is not None:
                endpoints[vpc] = found
    trails = _tried(
        unread, "CloudTrail's trails", lambda: _trails(aws.client("cloudtrail", settings.region), settings.region), None
    )
    return Account(clusters=tuple(clusters), subnets=subnets, endpoints=endpoints, trails=trails, unread=tuple(unread))


def cluster_facts(name: str, eks: str, region: str, described: dict[str, Any]) -> ClusterFacts:
    """Of DescribeCluster's answer."""
    network = described.get("resourcesVpcConfig", {})
    return ClusterFacts(
        name=name,
        eks=eks,
        region=region,
        public=bool(network.get("endpointPublicAccess", True)),
        cidrs=tuple(network.get("publicAccessCidrs") or ("0.0.0.0/0",)),
        private=bool(network.get("endpointPrivateAccess", False)),
        vpc=network.get("vpcId", ""),
        subnets=tuple(network.get("subnetIds", ())),
        group=network.get("clusterSecurityGroupId", ""),
        mode=described.get("accessConfig", {}).get("authenticationMode", ""),
    )


def _describe(region: str, eks: str) -> dict[str, Any]:
    found: dict[str, Any] = aws.client("eks", region).describe_cluster(name=eks)["cluster"]
    return found


def _entries_of(cluster: ClusterSettings) -> Callable[[], tuple[str, ...]]:
    def ask() -> tuple[str, ...]:
        pages = aws.client("eks", cluster.region).get_paginator("list_access_entries").paginate(clusterName=cluster.eks)
        return tuple(str(entry) for page in pages for entry in page["accessEntries"])

    return ask


def _owner(region: str, group: str) -> str:
    (found,) = aws.client("ec2", region).describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return next((str(tag["Value"]) for tag in found.get("Tags", ()) if tag["Key"] == OWNER_TAG), "")


def _subnets(ec2: Any, wanted: list[str]) -> tuple[SubnetFacts, ...]:
    found = ec2.describe_subnets(SubnetIds=wanted)["Subnets"]
    vpcs = sorted({one["VpcId"] for one in found})
    pages = ec2.get_paginator("describe_route_tables").paginate(Filters=[{"Name": "vpc-id", "Values": vpcs}])
    tables = [table for page in pages for table in page["RouteTables"]]
    return tuple(subnet_facts(one["SubnetId"], one["VpcId"], tables) for one in found)


def subnet_facts(subnet: str, vpc: str, tables: list[dict[str, Any]]) -> SubnetFacts:
    """By the default route of the subnet's own route table, else of the VPC's main one."""
    there = [table for table in tables if table["VpcId"] == vpc]
    own = [table for table in there if any(a.get("SubnetId") == subnet for a in table.get("Associations", ()))]
    main = [table for table in there if any(a.get("Main") for a in table.get("Associations", ()))]
    (table,) = (own or main or [{}])[:1]
    routes = [
        r
        for r in table.get("Routes", ())
        if r.get("DestinationCidrBlock") == "0.0.0.0/0" and r.get("State") != "blackhole"
    ]
    public = any(str(route.get("GatewayId", "")).startswith("igw-") for route in routes)
    return SubnetFacts(id=subnet, vpc=vpc, public=public, out=bool(routes) and not public)


def _endpoints(ec2: Any, vpc: str) -> tuple[str, ...]:
    pages = ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    found = [one for page in pages for one in page["VpcEndpoints"] if str(one.get("State", "")).lower() == "available"]
    return tuple(sorted({str(one["ServiceName"]).rpartition(".")[2] for one in found}))


def _trails(cloudtrail: Any, region: str) -> tuple[TrailFacts, ...]:
    found = []
    for trail in cloudtrail.describe_trails(includeShadowTrails=True)["trailList"]:
        if trail.get("IsMultiRegionTrail") or trail.get("HomeRegion", region) == region:
            arn = trail["TrailARN"]
            logging = bool(cloudtrail.get_trail_status(Name=arn)["IsLogging"])
            found.append(
                TrailFacts(
                    name=trail["Name"], logging=logging, writes=writes(cloudtrail.get_event_selectors(TrailName=arn))
                )
            )
    return tuple(found)


def writes(selectors: dict[str, Any]) -> bool:
    """Whether a trail's selectors take management writes of Cloud Map."""
    plain = selectors.get("EventSelectors", ())
    if any(one.get("IncludeManagementEvents", True) and one.get("ReadWriteType", "All") != "ReadOnly" for one in plain):
        return True
    return any(
        _takes({field["Field"]: field for field in one["FieldSelectors"]})
        for one in selectors.get("AdvancedEventSelectors", ())
    )


def _takes(fields: dict[str, dict[str, Any]]) -> bool:
    source = fields.get("eventSource", {})
    return (
        "Management" in fields.get("eventCategory", {}).get("Equals", ())
        and "true" not in fields.get("readOnly", {}).get("Equals", ())
        and SOURCE not in source.get("NotEquals", ())
        and SOURCE in source.get("Equals", (SOURCE,))
    )


def _tried(unread: list[str], what: str, ask: Callable[[], T], otherwise: T) -> T:
    """What `ask` answers; where it may not be asked, `otherwise`, and a line in `unread`."""
    try:
        with aws.translated():
            return ask()
    except CrossmeshError as error:
        unread.append(f"{what}: {error}")
        return otherwise
