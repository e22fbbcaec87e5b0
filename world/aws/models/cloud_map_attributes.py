"""What RegisterInstance takes for attributes (API model of 2017-03-14, RegisterInstanceRequest.Attributes, and the quotas page)."""

import ipaddress
import re

from world.aws.models.cloud_map_records import Service
from world.aws.models.errors import AwsError

CUSTOM_MOST = 30
CHARACTERS_MOST = 5000
KEY_MOST = 255
VALUE_MOST = 1024
RESERVED = frozenset(
    {
        "AWS_ALIAS_DNS_NAME",
        "AWS_EC2_INSTANCE_ID",
        "AWS_INIT_HEALTH_STATUS",
        "AWS_INSTANCE_CNAME",
        "AWS_INSTANCE_IPV4",
        "AWS_INSTANCE_IPV6",
        "AWS_INSTANCE_PORT",
    }
)
_ID = re.compile(r"[0-9a-zA-Z_/:.@-]{1,64}")
_KEY = re.compile(r"[!-~]+")
_VALUE = re.compile(r"(?:[!-~][ \t!-~]*)?")


def _refuse(message: str) -> AwsError:
    return AwsError("InvalidInput", message)


def check_instance_id(instance_id: str) -> None:
    """Raises InvalidInput for an id that is too long or has a character outside the pattern."""
    if not _ID.fullmatch(instance_id):
        raise _refuse(f"Instance id '{instance_id}' must match [0-9a-zA-Z_/:.@-] and have 1 to 64 characters.")


def check_attributes(service: Service, namespace_kind: str, attributes: dict[str, str]) -> None:
    """Raises InvalidInput for what Cloud Map would not take for this service."""
    _check_size(attributes)
    _check_addresses(attributes)
    if "AWS_EC2_INSTANCE_ID" in attributes and namespace_kind != "HTTP":
        raise _refuse("AWS_EC2_INSTANCE_ID is only for services in HTTP namespaces.")
    status = attributes.get("AWS_INIT_HEALTH_STATUS")
    if status is not None and status not in ("HEALTHY", "UNHEALTHY"):
        raise _refuse(f"AWS_INIT_HEALTH_STATUS must be HEALTHY or UNHEALTHY, not '{status}'.")
    if "AWS_EC2_INSTANCE_ID" in attributes and attributes.keys() - {"AWS_EC2_INSTANCE_ID", "AWS_INIT_HEALTH_STATUS"}:
        raise _refuse("Beside AWS_EC2_INSTANCE_ID only AWS_INIT_HEALTH_STATUS is taken.")
    if service.health_check:
        _check_health(attributes)
    if service.dns:
        _check_records(service.dns, attributes)


def _check_health(attributes: dict[str, str]) -> None:
    """What Route 53 needs to ask an instance. That Cloud Map refuses the call, rather than fail its operation, is an assumption."""
    if "AWS_INSTANCE_PORT" not in attributes:
        raise _refuse("The service has a health check, so an instance needs the attribute AWS_INSTANCE_PORT.")
    for key in ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6"):
        if key in attributes and not ipaddress.ip_address(attributes[key]).is_global:
            raise _refuse(f"Route 53 checks no endpoint with a private, non-routable or multicast address such as {attributes[key]}.")


def _check_size(attributes: dict[str, str]) -> None:
    characters = custom = 0
    for key, value in attributes.items():
        characters += len(key) + len(value)
        custom += key not in RESERVED
        if len(key) > KEY_MOST or not _KEY.fullmatch(key):
            raise _refuse(f"Attribute key '{key[:80]}' must be 1 to {KEY_MOST} printable characters without spaces.")
        if len(value) > VALUE_MOST or not _VALUE.fullmatch(value):
            raise _refuse(f"The value of attribute '{key}' must be at most {VALUE_MOST} printable ASCII characters.")
    if custom > CUSTOM_MOST:
        raise _refuse(f"An instance can have at most {CUSTOM_MOST} custom attributes; {custom} were given.")
    if characters > CHARACTERS_MOST:
        raise _refuse(f"All keys and values together can have at most {CHARACTERS_MOST} characters; {characters} were given.")


def _check_addresses(attributes: dict[str, str]) -> None:
    for key, version in (("AWS_INSTANCE_IPV4", 4), ("AWS_INSTANCE_IPV6", 6)):
        if key in attributes:
            try:
                right = ipaddress.ip_address(attributes[key]).version == version
            except ValueError:
                right = False
            if not right:
                raise _refuse(f"{key} '{attributes[key]}' is not an IPv{version} address.")
    port = attributes.get("AWS_INSTANCE_PORT")
    if port is not None and not (port.isdigit() and 0 <= int(port) <= 65535):
        raise _refuse(f"AWS_INSTANCE_PORT '{port}' is not a port.")
    if "AWS_ALIAS_DNS_NAME" in attributes and any(key.startswith("AWS_INSTANCE_") for key in attributes):
        raise _refuse("AWS_ALIAS_DNS_NAME excludes the AWS_INSTANCE attributes.")


def _check_records(dns: dict[str, object], attributes: dict[str, str]) -> None:
    kinds = {record["Type"] for record in dns["DnsRecords"]}  # type: ignore[attr-defined]
    if "AWS_ALIAS_DNS_NAME" in attributes:
        if not kinds & {"A", "AAAA"} or dns.get("RoutingPolicy") != "WEIGHTED":
            raise _refuse("AWS_ALIAS_DNS_NAME needs A or AAAA records and the routing policy WEIGHTED.")
        return
    needed = {"A": ("AWS_INSTANCE_IPV4",), "AAAA": ("AWS_INSTANCE_IPV6",), "CNAME": ("AWS_INSTANCE_CNAME",), "SRV": ("AWS_INSTANCE_PORT",)}
    for kind in sorted(kinds):
        for key in needed[kind]:
            if key not in attributes:
                raise _refuse(f"The service has {kind} records, so an instance needs the attribute {key}.")
    if "SRV" in kinds and not attributes.keys() & {"AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6"}:
        raise _refuse("The service has SRV records, so an instance needs AWS_INSTANCE_IPV4, AWS_INSTANCE_IPV6 or both.")
