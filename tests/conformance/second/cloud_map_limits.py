"""Questions about limits, tags, attributes and operations of Cloud Map."""

from typing import Any

from tests.conformance.second.asked import question
from tests.conformance.second.cloud_map_place import ADDRESS, Place
from tests.conformance.second.clouds import Cloud, outcome


@question
def limits_of_attributes_and_ids(cloud: Cloud) -> Any:
    place = Place(cloud, "limits")
    tried = {
        "thirty of our own": {f"k{n}": "v" for n in range(30)},
        "thirty-one of our own": {f"k{n}": "v" for n in range(31)},
        "a value of 1,025": {"k": "v" * 1025},
        "a key of 256": {"k" * 256: "v"},
        "5,001 characters in all": {f"k{n}": "v" * 1000 for n in range(5)},
        "no address": {"AWS_INSTANCE_IPV4": "x"},
        "no port": {"AWS_INSTANCE_PORT": "70000"},
        "an empty value": {"k": ""},
    }
    found = {}
    for name, attributes in tried.items():
        answer = outcome(cloud.registry.register, place.service, "i-1", {**ADDRESS, **attributes}, name)
        if " " not in answer:
            cloud.done(answer)
        found[name] = answer if " " in answer else "taken"
    long = outcome(cloud.registry.register, place.service, "i" * 65, ADDRESS, "long")
    return found, long if " " in long else "taken"


@question
def an_instance_without_the_address_that_its_record_needs(cloud: Cloud) -> Any:
    place = Place(cloud, "bare")
    answer = outcome(cloud.registry.register, place.service, "i-1", {"color": "blue"}, "t")
    return answer if " " in answer else "taken"


@question
def two_instances_with_one_address(cloud: Cloud) -> Any:
    place = Place(cloud, "twins")
    place.register("i-1")
    answer = outcome(cloud.registry.register, place.service, "i-2", ADDRESS, "t-2")
    return answer if " " in answer else "taken"


@question
def tags_of_a_service(cloud: Cloud) -> Any:
    place = Place(cloud, "tags")
    cloud.registry.tag(place.arn, {"crossmesh:deployment": "d", "b": "1"})
    place.api.untag_resource(ResourceARN=place.arn, TagKeys=["b"])
    (view,) = cloud.registry.find_services(((place.name, "colorapp"),), {})
    unknown = outcome(place.api.list_tags_for_resource, ResourceARN=place.arn + "x")
    return dict(view.tags), unknown if isinstance(unknown, str) else "an answer"


@question
def attributes_of_a_service(cloud: Cloud) -> Any:
    place = Place(cloud, "service-attributes")
    place.api.update_service_attributes(ServiceId=place.service, Attributes={"a": "1", "b": "2"})
    place.api.delete_service_attributes(ServiceId=place.service, Attributes=["a"])
    many = outcome(place.api.update_service_attributes, ServiceId=place.service, Attributes={f"k{n}": "" for n in range(31)})
    return place.api.get_service_attributes(ServiceId=place.service)["ServiceAttributes"]["Attributes"], many if isinstance(
        many, str
    ) else "taken"


@question
def operations_by_service_and_status(cloud: Cloud) -> Any:
    place = Place(cloud, "operations")
    place.register("i-1")
    filters = [{"Name": name, "Values": [value], "Condition": "EQ"} for name, value in (("SERVICE_ID", place.service), ("STATUS", "SUCCESS"))]
    found = place.api.list_operations(Filters=filters)["Operations"]
    return found[0]["Status"], "one" if len(found) == 1 else "several"


@question
def a_service_is_updated(cloud: Cloud) -> Any:
    place = Place(cloud, "updated")
    asked = {"Description": "new", "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 5}]}}
    cloud.done(place.api.update_service(Id=place.service, Service=asked)["OperationId"])
    service = place.api.get_service(Id=place.service)["Service"]
    return service["Description"], service["DnsConfig"]["DnsRecords"]


@question
def how_many_instances_a_service_has(cloud: Cloud) -> Any:
    place = Place(cloud, "count")
    place.register("i-1")
    place.register("i-2")
    return place.api.get_service(Id=place.service)["Service"].get("InstanceCount")
