"""Whether what a provider shows is the machine that a person was shown."""

from dataclasses import replace

import pytest

from apps.infra.providers.base import ListedServer, ServerDetails
from apps.infra.reinstall_permission import (
    AnotherMachine,
    Machine,
    ProviderBusy,
    SystemNotOffered,
    machine_of,
    refuse_unless_same,
    system_to_install,
)

pytestmark = pytest.mark.unit

CONFIRMED = Machine(provider="time4vps", provider_id="110", provider_name="shop", host="2001:db8::7")
LISTED = ListedServer(provider_id="110", name="shop", address="2001:0db8:0:0::7")
DETAILS = ServerDetails(
    provider_id="110",
    address="2001:db8::7",
    system="debian-12",
    cpus=2,
    memory_mb=2_048,
    disk_mb=20_480,
    is_active=True,
    is_busy=False,
)
STRANGER = ListedServer(provider_id="111", name="bank", address="203.0.113.11")


def test_the_same_machine_may_write_its_address_otherwise():
    refuse_unless_same(CONFIRMED, [STRANGER, LISTED], DETAILS)

    assert machine_of(CONFIRMED.as_json()) == replace(CONFIRMED, projects=[])


@pytest.mark.parametrize(
    ("listed", "details"),
    [
        ([], None),
        ([STRANGER], None),
        ([replace(LISTED, name="bank")], None),
        ([replace(LISTED, address="203.0.113.11")], None),
        ([replace(LISTED, address="")], None),
        ([LISTED, LISTED], None),
        ([LISTED, replace(STRANGER, address="2001:db8::7")], None),
        ([replace(LISTED, provider_id="111")], None),
        ([LISTED], replace(DETAILS, address="203.0.113.11")),
        ([LISTED], replace(DETAILS, address="")),
    ],
)
def test_whatever_is_different_or_double_is_another_machine(listed, details):
    with pytest.raises(AnotherMachine):
        refuse_unless_same(CONFIRMED, listed, details)


def test_a_row_that_confirms_nothing_is_no_machine():
    with pytest.raises(AnotherMachine):
        refuse_unless_same(machine_of({}), [ListedServer(provider_id="", name="", address="")], None)


@pytest.mark.parametrize("details", [replace(DETAILS, is_busy=True), replace(DETAILS, is_active=False)])
def test_a_machine_that_something_is_done_to_is_left_alone(details):
    with pytest.raises(ProviderBusy):
        refuse_unless_same(CONFIRMED, [LISTED], details)


def test_the_system_is_the_present_one_or_the_one_that_was_asked_for():
    asked = replace(CONFIRMED, system="ubuntu-24")

    assert system_to_install(CONFIRMED, DETAILS, ["debian-12", "ubuntu-24"]) == "debian-12"
    assert system_to_install(asked, DETAILS, ["debian-12", "ubuntu-24"]) == "ubuntu-24"
    for machine, details in ((asked, DETAILS), (CONFIRMED, replace(DETAILS, system=""))):
        with pytest.raises(SystemNotOffered):
            system_to_install(machine, details, ["debian-12"])
