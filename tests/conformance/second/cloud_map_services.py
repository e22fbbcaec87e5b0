"""Questions about namespaces and services of Cloud Map."""

from typing import Any

from tests.conformance.second.asked import question
from tests.conformance.second.cloud_map_place import RECORDS, Place
from tests.conformance.second.clouds import Cloud, outcome


@question
def a_service_is_found_by_its_name_with_tags_and_records(cloud: Cloud) -> Any:
    place = Place(cloud, "found")
    place.create("other")
    views = cloud.registry.find_services(((place.name, "colorapp"), (place.name, "other")), {})
    return [
        (v.service, v.id != "", v.arn.startswith("arn:aws:servicediscovery:"), dict(v.tags), v.records, v.namespace_type, v.custom_health)
        for v in views
    ]


@question
def a_service_is_found_in_its_own_namespace_only(cloud: Cloud) -> Any:
    one, two = Place(cloud, "one"), Place(cloud, "two")
    views = cloud.registry.find_services(((one.name, "colorapp"), (two.name, "colorapp")), {})
    return [view.id == place.service for view, place in zip(views, (one, two), strict=True)]


@question
def services_are_listed_by_namespace(cloud: Cloud) -> Any:
    place, _ = Place(cloud, "listed"), Place(cloud, "listed-elsewhere")
    answer = place.api.list_services(Filters=[{"Name": "NAMESPACE_ID", "Values": [place.namespace], "Condition": "EQ"}])
    return "one" if [service["Name"] for service in answer["Services"]] == ["colorapp"] else "several"


@question
def namespaces_are_listed_by_name(cloud: Cloud) -> Any:
    place = Place(cloud, "by-name")
    answer = place.api.list_namespaces(Filters=[{"Name": "NAME", "Values": [place.name], "Condition": "EQ"}])
    return "one" if [(space["Name"], space["Type"]) for space in answer["Namespaces"]] == [(place.name, "DNS_PRIVATE")] else "several"


@question
def a_service_or_namespace_that_is_not_there(cloud: Cloud) -> Any:
    place = Place(cloud, "missing")
    return [
        (v.id, v.namespace_id != "", v.namespace_type)
        for v in cloud.registry.find_services(((place.name, "none"), ("no.such.namespace", "x")), {})
    ]


@question
def the_same_intent_twice_makes_one_service(cloud: Cloud) -> Any:
    place = Place(cloud, "intent")
    return outcome(place.create, "colorapp") == (place.service, place.arn)


@question
def another_intent_for_the_same_name_is_refused(cloud: Cloud) -> Any:
    place = Place(cloud, "intents")
    answer = outcome(place.create, "colorapp", creator="other")
    return answer if isinstance(answer, str) else "another service"


@question
def names_of_services_that_differ_in_case_only(cloud: Cloud) -> Any:
    place = Place(cloud, "case")
    answer = outcome(place.create, "COLORAPP", creator="other")
    return answer if isinstance(answer, str) else "another service"


@question
def names_that_differ_in_case_only_where_no_dns_knows_them(cloud: Cloud) -> Any:
    place = Place(cloud, "case-http", "http")
    answer = outcome(place.create, "COLORAPP", creator="other")
    return answer if isinstance(answer, str) else "another service"


@question
def a_service_in_no_namespace(cloud: Cloud) -> Any:
    asked = {"Name": "x", "NamespaceId": "ns-0123456789abcdef", "DnsConfig": RECORDS}
    answer = outcome(cloud.api("servicediscovery").create_service, **asked)
    return answer if isinstance(answer, str) else "made"


@question
def records_of_a_service_for_ipv6(cloud: Cloud) -> Any:
    place = Place(cloud, "six")
    place.create("wide", ipv6=True)
    return cloud.registry.find_services(((place.name, "wide"),), {})[0].records


@question
def a_service_in_an_http_namespace_has_no_records(cloud: Cloud) -> Any:
    place = Place(cloud, "http", "http")
    (view,) = cloud.registry.find_services(((place.name, "colorapp"),), {})
    return view.records, view.namespace_type


@question
def the_http_name_of_a_namespace(cloud: Cloud) -> Any:
    found = [
        cloud.api("servicediscovery").get_namespace(Id=cloud.namespace(f"{kind}-name.local", kind))["Namespace"]
        for kind in ("http", "private_dns")
    ]
    return [space["Properties"].get("HttpProperties", {}).get("HttpName") == space["Name"] for space in found]


@question
def a_namespace_once_more(cloud: Cloud) -> Any:
    vpc, api = cloud.new_vpc(), cloud.api("servicediscovery")
    cloud.done(api.create_private_dns_namespace(Name="again.local", Vpc=vpc)["OperationId"])
    return outcome(api.create_private_dns_namespace, Name="again.local", Vpc=vpc)


@question
def two_namespaces_in_one_vpc(cloud: Cloud) -> Any:
    vpc, api = cloud.new_vpc(), cloud.api("servicediscovery")
    made = [outcome(api.create_private_dns_namespace, Name=f"{name}.vpc.local", Vpc=vpc) for name in "ab"]
    return [one if isinstance(one, str) else "begun" for one in made]


@question
def one_name_in_two_vpcs(cloud: Cloud) -> Any:
    made = [outcome(cloud.api("servicediscovery").create_private_dns_namespace, Name="twice.local", Vpc=cloud.new_vpc()) for _ in "ab"]
    return [one if isinstance(one, str) else "begun" for one in made]
