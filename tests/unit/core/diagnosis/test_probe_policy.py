"""Which addresses the prober may connect to: whoever answers for a front's name chooses them."""

import ipaddress

import pytest
from crossmesh.core.diagnosis.probe_policy import is_internal, probeable, unwrapped
from hypothesis import given
from hypothesis import strategies as st

REFUSED = [
    "127.0.0.1", "127.255.0.9", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
    "192.0.2.1", "192.0.0.8", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "fd00:ec2::254", "fd00:ec2::23", "fd00:ec2::123",
    "2001:db8::1", "2001::1", "4000::1", "100::1",
]  # fmt: skip
ALLOWED = [
    "8.8.8.8", "52.1.2.3", "10.0.0.1", "172.31.255.1", "192.168.0.9", "100.64.1.2", "198.19.0.4", "2600:1f18::1", "fd12:3456::1", "fc00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_what_no_front_has_is_refused(address: str) -> None:
    assert not probeable(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_addresses_of_the_internet_and_of_private_networks_are_allowed(address: str) -> None:
    assert probeable(address)


EMBEDDED = ["::ffff:{0}", "::ffff:0:{0}", "::{0}", "64:ff9b::{0}", "64:ff9b:1::{0}"]


@pytest.mark.parametrize("form", EMBEDDED)
@given(value=st.integers(0x0001_0000, 2**32 - 1))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_as_what_it_is(form: str, value: int) -> None:
    plain = str(ipaddress.IPv4Address(value))
    assert str(unwrapped(form.format(plain))) == plain
    assert probeable(form.format(plain)) is probeable(plain)
    assert is_internal(form.format(plain)) is is_internal(plain)


@given(st.integers(0, 2**32 - 1))
def test_an_address_of_6to4_is_judged_as_the_one_inside(value: int) -> None:
    plain = ipaddress.IPv4Address(value)
    wrapped = ipaddress.IPv6Address((0x2002 << 112) | (value << 80) | 1)
    assert probeable(str(wrapped)) is probeable(str(plain))


@given(st.ip_addresses())
def test_every_address_has_an_answer_and_only_unicast_is_allowed(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if probeable(str(ip)):
        meant = unwrapped(str(ip))
        assert not any((meant.is_loopback, meant.is_multicast, meant.is_unspecified, meant.is_link_local, meant.is_reserved))


def test_the_worlds_own_block_is_allowed_where_it_is_declared_and_nothing_else() -> None:
    assert probeable("127.2.0.11", ["127.0.0.0/8"])
    assert not probeable("169.254.169.254", ["127.0.0.0/8"])
    assert not probeable("::1", ["127.0.0.0/8"])


@pytest.mark.parametrize("text", ["", "front.test", "1.2.3", "0x7f.1", "1.2.3.4.5", "::g"])
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        probeable(text)
