"""Which addresses a worker may reach, and how the operator's exceptions are read."""

import ipaddress

import pytest

from orchestrator.edge.addresses import AllowList, Rule, RuleMalformed

pytestmark = pytest.mark.unit

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
NEVER_BY_NAME = {
    "127.0.0.1": "an address of this machine",
    "127.255.0.9": "an address of this machine",
    "::1": "an address of this machine",
    "0.0.0.0": "an address of this machine",
    "::": "an address of this machine",
    "::ffff:127.0.0.1": "an address of this machine",
    "64:ff9b::7f00:1": "an address of this machine",
    "2002:7f00:1::": "an address of this machine",
    "169.254.169.254": "a link-local or multicast address",
    "::ffff:169.254.169.254": "a link-local or multicast address",
    "64:ff9b::a9fe:a9fe": "a link-local or multicast address",
    "fe80::1": "a link-local or multicast address",
    "224.0.0.1": "a link-local or multicast address",
    "ff02::1": "a link-local or multicast address",
}
PRIVATE = [
    "10.1.2.3",
    "172.17.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "203.0.113.80",
    "240.0.0.1",
    "255.255.255.255",
    "fd00::1",
    "fec0::1",
    "2001:db8::1",
    "::ffff:10.1.2.3",
    "64:ff9b::a01:203",
    "2002:a01:203::",
]


def refusal(allow: AllowList, address: str, host: str = "some.example", port: int = 443) -> str | None:
    return allow.refusal(ipaddress.ip_address(address), host=host, port=port)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address):
    assert refusal(AllowList(), address) is None


@pytest.mark.parametrize("address", PRIVATE)
def test_private_and_reserved_addresses_are_not(address):
    assert refusal(AllowList(), address) == "not a public address"


@pytest.mark.parametrize("address", NEVER_BY_NAME)
def test_this_machine_and_metadata_are_never_reached_by_a_listed_name(address):
    allow = AllowList(["some.example"])

    assert refusal(allow, address) == NEVER_BY_NAME[address]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "fe80::1"])
def test_a_listed_address_is_reached_whatever_it_is(address):
    word = f"[{address}]:443" if ":" in address else f"{address}:443"

    assert refusal(AllowList([word]), address) is None
    assert refusal(AllowList([word]), address, port=444) is not None


def test_an_address_of_one_of_our_interfaces_is_refused_even_if_it_is_public():
    mine = ipaddress.ip_address("93.184.215.14")

    assert AllowList().refusal(mine, host="me.example", port=443, own={mine}) == "an address of this machine"


@pytest.mark.parametrize(
    ("entry", "host", "port", "is_reached"),
    [
        ("mirror.corp", "mirror.corp", 443, True),
        ("Mirror.Corp", "mirror.corp", 80, True),
        ("mirror.corp", "other.mirror.corp", 443, False),
        ("mirror.corp", "mirror.corp.evil.example", 443, False),
        ("mirror.corp:8443", "mirror.corp", 8443, True),
        ("mirror.corp:8443", "mirror.corp", 443, False),
        (".corp", "a.b.corp", 443, True),
        ("*.corp", "a.corp", 443, True),
        (".corp", "corp", 443, False),
        (".corp", "evilcorp", 443, False),
        ("10.0.0.0/8", "anything.example", 443, True),
        ("10.1.2.3", "anything.example", 443, True),
        ("10.1.2.4", "anything.example", 443, False),
    ],
)
def test_an_entry_opens_what_it_names_and_nothing_else(entry, host, port, is_reached):
    assert (refusal(AllowList([entry]), "10.1.2.3", host, port) is None) is is_reached


@pytest.mark.parametrize(
    "entry", ["", ":443", "a b", "host:0", "host:65536", "http://x", "10.0.0.0/33", "x..y"]
)
def test_an_entry_that_cannot_be_read_is_refused_by_its_setting_s_name(entry):
    with pytest.raises(RuleMalformed, match="WORKERS_EGRESS_ALLOW"):
        Rule.parse(entry)
