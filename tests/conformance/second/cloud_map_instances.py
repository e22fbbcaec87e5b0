"""Questions about instances of Cloud Map, their discovery and their health."""

from itertools import pairwise
from typing import Any

from tests.conformance.second.asked import question
from tests.conformance.second.cloud_map_place import ADDRESS, Place
from tests.conformance.second.clouds import Cloud, outcome


@question
def an_instance_with_all_its_attributes(cloud: Cloud) -> Any:
    place = Place(cloud, "instance")
    place.register("i-1", color="blue")
    place.register("i-2", AWS_INIT_HEALTH_STATUS="HEALTHY")
    return place.listed(), [(one.id, dict(one.attributes)) for one in cloud.registry.discover(place.name, "colorapp")]


@question
def registering_again_replaces_all_attributes(cloud: Cloud) -> Any:
    place = Place(cloud, "upsert")
    place.register("i-1", color="blue", zone="a")
    place.register("i-1", color="red")
    return place.listed()


@question
def deregistering_takes_one_away(cloud: Cloud) -> Any:
    place = Place(cloud, "gone")
    place.register("i-1")
    place.register("i-2")
    cloud.done(cloud.registry.deregister(place.service, "i-1"))
    return [ident for ident, _ in place.listed()]


@question
def what_an_operation_tells(cloud: Cloud) -> Any:
    place = Place(cloud, "operation")
    ident = cloud.registry.register(place.service, "i-1", ADDRESS, "token")
    cloud.done(ident)
    operation = place.api.get_operation(OperationId=ident)["Operation"]
    return operation["Type"], operation["Status"], operation["Targets"]["INSTANCE"]


@question
def an_operation_that_is_not_there(cloud: Cloud) -> Any:
    return outcome(cloud.registry.operation, "none")


@question
def an_instance_that_is_not_there(cloud: Cloud) -> Any:
    place = Place(cloud, "no-instance")
    return outcome(cloud.registry.deregister, place.service, "i-9")


@question
def a_service_that_is_not_there(cloud: Cloud) -> Any:
    ident = "srv-0123456789abcdef"
    calls: list[Any] = [
        outcome(cloud.registry.list_instances, ident),
        outcome(cloud.registry.register, ident, "i-1", ADDRESS, "t"),
        outcome(cloud.registry.deregister, ident, "i-1"),
        outcome(cloud.registry.health, ident),
    ]
    return calls


@question
def deleting_a_service_that_is_not_there(cloud: Cloud) -> Any:
    return outcome(cloud.registry.delete_service, "srv-0123456789abcdef")


@question
def discovery_of_what_is_not_there(cloud: Cloud) -> Any:
    place = Place(cloud, "no-discovery")
    registry = cloud.registry
    asked = ((place.name, "none"), ("no.such.namespace", "x"))
    return [[outcome(ask, *names) for names in asked] for ask in (registry.discover, registry.revision)]


@question
def a_service_with_instances_cannot_be_deleted(cloud: Cloud) -> Any:
    place = Place(cloud, "in-use")
    place.register("i-1")
    return outcome(cloud.registry.delete_service, place.service)


@question
def an_empty_service_can_be_deleted(cloud: Cloud) -> Any:
    place = Place(cloud, "empty")
    cloud.registry.delete_service(place.service)
    return cloud.registry.find_services(((place.name, "colorapp"),), {})[0].id


@question
def a_namespace_with_services_cannot_be_deleted(cloud: Cloud) -> Any:
    place = Place(cloud, "full")
    answer = outcome(place.api.delete_namespace, Id=place.namespace)
    return answer if isinstance(answer, str) else "begun"


@question
def the_revision_rises_with_each_registration(cloud: Cloud) -> Any:
    place = Place(cloud, "revision")
    seen = [cloud.registry.revision(place.name, "colorapp")]
    for ident, color in (("i-1", "blue"), ("i-2", "blue"), ("i-1", "red")):
        place.register(ident, color=color)
        seen.append(cloud.registry.revision(place.name, "colorapp"))
    return [after > before for before, after in pairwise(seen)]


@question
def the_revision_rises_with_a_deregistration(cloud: Cloud) -> Any:
    place = Place(cloud, "revisions")
    place.register("i-1")
    place.register("i-2")
    before = cloud.registry.revision(place.name, "colorapp")
    cloud.done(cloud.registry.deregister(place.service, "i-1"))
    return cloud.registry.revision(place.name, "colorapp") > before


@question
def discovery_tells_the_services_revision(cloud: Cloud) -> Any:
    place = Place(cloud, "told")
    place.register("i-1")
    place.register("i-2")
    answer = place.api.discover_instances(NamespaceName=place.name, ServiceName="colorapp")
    return answer["InstancesRevision"] == cloud.registry.revision(place.name, "colorapp")


@question
def lists_of_more_than_a_page(cloud: Cloud) -> Any:
    place = Place(cloud, "pages")
    for number in range(105):
        cloud.registry.register(place.service, f"i-{number:03}", ADDRESS, f"t-{number}")
    page = place.api.list_instances(ServiceId=place.service)
    return {
        "listed by the adapter": len(cloud.registry.list_instances(place.service)),
        "discovered by the adapter": len(cloud.registry.discover(place.name, "colorapp")),
        "listed at once": len(page["Instances"]),
        "more to come": "NextToken" in page,
        "discovered by default": len(place.found()),
        "discovered with MaxResults": len(place.found(MaxResults=7)),
    }


@question
def discovery_by_attributes(cloud: Cloud) -> Any:
    place = Place(cloud, "filter")
    for ident, color, zone in (("i-1", "blue", "a"), ("i-2", "blue", "b"), ("i-3", "red", "a")):
        place.register(ident, color=color, zone=zone)
    asked: tuple[dict[str, Any], ...] = (
        {"QueryParameters": {"color": "blue"}},
        {"QueryParameters": {"color": "blue", "zone": "b"}},
        {"QueryParameters": {"color": "green"}},
        {"QueryParameters": {"color": "blue"}, "OptionalParameters": {"zone": "a"}},
        {"QueryParameters": {"color": "blue"}, "OptionalParameters": {"zone": "c"}},
    )
    return [place.found(**one) for one in asked]


@question
def health_of_a_service_that_keeps_it(cloud: Cloud) -> Any:
    place = Place(cloud, "health")
    service = place.raw("judged", HealthCheckCustomConfig={})
    for ident, first in (("i-1", "HEALTHY"), ("i-2", "UNHEALTHY")):
        place.register(ident, service, AWS_INIT_HEALTH_STATUS=first)
    (view,) = cloud.registry.find_services(((place.name, "judged"),), {})
    return view.custom_health, cloud.registry.health(service)


@question
def health_of_an_instance_that_was_never_told(cloud: Cloud) -> Any:
    place = Place(cloud, "healthy")
    service = place.raw("judged", HealthCheckCustomConfig={})
    place.register("i-1", service)
    return cloud.registry.health(service)


@question
def discovery_by_health(cloud: Cloud) -> Any:
    place = Place(cloud, "by-health")
    service = place.raw("judged", HealthCheckCustomConfig={})
    for ident, first in (("i-1", "HEALTHY"), ("i-2", "UNHEALTHY")):
        place.register(ident, service, AWS_INIT_HEALTH_STATUS=first)

    def found(status: str) -> list[str]:
        answer = place.api.discover_instances(NamespaceName=place.name, ServiceName="judged", HealthStatus=status)
        return sorted(one["InstanceId"] for one in answer["Instances"])

    return [found(status) for status in ("HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL")]


@question
def health_where_none_is_kept(cloud: Cloud) -> Any:
    place = Place(cloud, "no-health")
    place.register("i-1", AWS_INIT_HEALTH_STATUS="UNHEALTHY")
    said = outcome(cloud.registry.set_health, place.service, "i-1", "HEALTHY")
    return cloud.registry.health(place.service), said, place.found(HealthStatus="HEALTHY")


@question
def health_of_nobody(cloud: Cloud) -> Any:
    place = Place(cloud, "nobody")
    service = place.raw("judged", HealthCheckCustomConfig={})
    return outcome(cloud.registry.set_health, service, "i-9", "HEALTHY"), outcome(cloud.registry.health, service)
