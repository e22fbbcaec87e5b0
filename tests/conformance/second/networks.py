"""Questions about clusters, security groups and load balancers."""

from typing import Any

from crossmesh.adapters.ec2 import Ec2Networks
from crossmesh.adapters.eks import Access, Eks
from crossmesh.core.settings import ClusterSettings

from tests.conformance.second.asked import question
from tests.conformance.second.clouds import REGION, Cloud, outcome


def cluster(name: str) -> ClusterSettings:
    return ClusterSettings(name=name, eks=name, region=REGION)


@question
def how_a_cluster_is_reached(cloud: Cloud) -> Any:
    if cloud.name == "moto":
        network = {"subnetIds": ["subnet-1", "subnet-2"]}
        cloud.api("eks").create_cluster(name="eksc1", roleArn="arn:aws:iam::123456789012:role/eks", resourcesVpcConfig=network)
    access = Eks(REGION).access(cluster("eksc1"), 0.0)
    return {
        "endpoint": access.endpoint.partition("://")[0],
        "ipv6": access.ipv6,
        "group": access.group.startswith("sg-"),
        "vpc": access.vpc.startswith("vpc-"),
    }


@question
def a_cluster_that_is_not_there(cloud: Cloud) -> Any:
    return outcome(Eks(REGION).access, cluster("none"), 0.0)


class Network:
    """A VPC with two groups, seen as those of a cluster."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        ec2 = cloud.api("ec2")
        self.vpc = cloud.new_vpc()
        self.group, self.other = (ec2.create_security_group(GroupName=f"{name}-{n}", Description="d", VpcId=self.vpc)["GroupId"] for n in "ab")
        self.cluster = cluster(name)
        eks = Eks(REGION)
        eks._access[name] = Access(endpoint="https://x", ca=b"", group=self.group, vpc=self.vpc)
        self.networks = Ec2Networks(REGION, eks)
        self.networks._client = lambda _: ec2  # type: ignore[method-assign]  # a client of EC2 takes long to make

    def seen(self) -> Any:
        facts = self.networks.observe(self.cluster)
        rules = [
            (r.protocol, r.first, r.last, tuple("other" if g == self.other else g for g in r.groups), r.cidrs, r.mark) for r in facts.rules
        ]
        return facts.cidrs, rules


@question
def a_network_that_nobody_touched(cloud: Cloud) -> Any:
    return Network(cloud, "untouched").seen()


@question
def a_rule_is_added_twice_and_taken_away_twice(cloud: Cloud) -> Any:
    network = Network(cloud, "rules")
    found = []
    for change in (network.networks.open, network.networks.open, network.networks.close, network.networks.close):
        found.append((outcome(change, network.cluster, network.group, network.other, 8080, "crossmesh:owner=t"), network.seen()[1]))
    return found


@question
def rules_with_marks_of_their_own(cloud: Cloud) -> Any:
    network = Network(cloud, "marks")
    network.networks.open(network.cluster, network.group, network.other, 8080, "crossmesh:owner=t")
    cloud.api("ec2").authorize_security_group_ingress(
        GroupId=network.group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 99, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]
    )
    cloud.api("ec2").authorize_security_group_ingress(
        GroupId=network.group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": network.other, "Description": "d"}]}]
    )
    return sorted(network.seen()[1])


@question
def a_group_that_is_not_there(cloud: Cloud) -> Any:
    eks = Eks(REGION)
    eks._access["lost"] = Access(endpoint="https://x", ca=b"", group="sg-0123456789abcdef0")
    return outcome(Ec2Networks(REGION, eks).observe, cluster("lost"))


@question
def a_network_load_balancer_is_found_by_its_host_name(cloud: Cloud) -> Any:
    elb, ec2 = cloud.api("elbv2"), cloud.api("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.40.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.40.1.0/24")["Subnet"]["SubnetId"]
    made = elb.create_load_balancer(Name="wide", Type="network", Subnets=[subnet])["LoadBalancers"][0]
    group = elb.create_target_group(Name="pods", Protocol="TCP", Port=8080, TargetType="ip", VpcId=vpc)["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.40.1.7", "Port": 8080}])
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="TCP", Port=443, DefaultActions=forward)
    found = cloud.balancers.find(
        made["DNSName"] if "amazonaws" in made["DNSName"] else "wide-0a1b.elb.us-east-1.amazonaws.com", cluster("eksc1")
    )
    return found and (found.name, found.kind, found.ports, [target.id for target in found.targets])


@question
def a_classic_load_balancer_is_found_by_its_host_name(cloud: Cloud) -> Any:
    cloud.make_classic("a1b2")
    found = cloud.balancers.find("a1b2-17.us-east-1.elb.amazonaws.com", cluster("eksc1"))
    return found and (found.name, found.kind, found.ports, sorted(target.healthy for target in found.targets))


@question
def load_balancers_that_are_not_there(cloud: Cloud) -> Any:
    hosts = ("none-0123456789abcdef.elb.us-east-1.amazonaws.com", "none-1234567890.us-east-1.elb.amazonaws.com", "shop.example.com")
    return [outcome(cloud.balancers.find, host, cluster("eksc1")) for host in hosts]
