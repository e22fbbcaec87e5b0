"""What a Cloud Map service demands of an instance by its DNS records and health check, and which
records a new one gets (API model of 2017-03-14). Pure.

What AWS would refuse each time is never sent: it is withheld by name, with the fix.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence

from crossmesh.core.observed import ServiceView
from crossmesh.core.registry import endpoints as ep
from crossmesh.core.registry.plan import WithheldWhy

CNAME = "AWS_INSTANCE_CNAME"
_ANOTHER = "give its virtual node a service of its own"


def records_of(service: ServiceView, wanted: Sequence[ep.Endpoint]) -> tuple[str, ...]:
    """The types of its records; of a service yet to be made, those that it will get. () = instances
    are found by the API alone.

    In a public DNS namespace a service is made for the API alone: pods' addresses do not belong
    into public DNS.
    """
    if service.id or service.namespace_type != "DNS_PRIVATE":
        return service.records
    return (family(wanted),)


def family(wanted: Sequence[ep.Endpoint]) -> str:
    """A or AAAA for a new service: each cluster has one vote, so that none decides by its number of
    pods; then pods, then A.
    """
    pods: dict[str, Counter[str]] = {}
    for endpoint in wanted:
        pods.setdefault(endpoint.cluster, Counter())["A" if ep.IPV4 in endpoint.attributes else "AAAA"] += 1
    votes = Counter("AAAA" if count["AAAA"] > count["A"] else "A" for count in pods.values())
    total = sum(pods.values(), Counter[str]())
    return "AAAA" if (votes["AAAA"], total["AAAA"]) > (votes["A"], total["A"]) else "A"


def satisfied(service: ServiceView, records: tuple[str, ...], wanted: Sequence[ep.Endpoint]) -> bool:
    """Whether none lacks anything, told quickly."""
    keys = [{"A": ep.IPV4, "AAAA": ep.IPV6, "CNAME": CNAME, "SRV": ep.PORT}[record] for record in records]
    return not service.health_check and all(key in e.attributes for e in wanted for key in keys)


def lack(
    service: ServiceView, records: tuple[str, ...], attributes: Mapping[str, str]
) -> tuple[WithheldWhy, str] | None:
    """Why Cloud Map would refuse an instance with these attributes, and the fix; None = it would
    not.
    """
    addresses = {"A": ep.IPV4, "AAAA": ep.IPV6}
    missing = [addresses[record] for record in records if record in addresses and addresses[record] not in attributes]
    if missing:
        return (
            "address-family",
            f"{service.key} has {' and '.join(records)} records and the pod no {', '.join(missing)}: {_ANOTHER}",
        )
    if "CNAME" in records and CNAME not in attributes:
        return "records", f"{service.key} has CNAME records, which hold a name and no address: {_ANOTHER}"
    if ep.PORT not in attributes and ("SRV" in records or service.health_check):
        what = "SRV records" if "SRV" in records else "a Route 53 health check"
        return "records", f"{service.key} has {what}, and the virtual node no listener that tells a port: add one"
    if service.health_check and not _public(attributes.get(ep.IPV4) or attributes.get(ep.IPV6, "")):
        told = (
            f"{service.key} has a Route 53 health check, which reaches public addresses alone: make the service anew"
            " without HealthCheckConfig"
        )
        return "health-check", told
    return None


def _public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
