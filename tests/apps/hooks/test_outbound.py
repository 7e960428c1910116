"""One request to a stranger's address."""

import ipaddress
import socket

import pytest

from apps.hooks import outbound
from orchestrator.edge.addresses import RuleMalformed
from orchestrator.outbound import OutboundRules

pytestmark = pytest.mark.unit


def anywhere(_address, **_):
    return None


def send(port, *, path="/hook?x=1", judge=anywhere, host="127.0.0.1"):
    return outbound.post(f"http://{host}:{port}{path}", body=b"{}", headers={"X-A": "b"}, judge=judge)


def test_body_and_headers_arrive(receiver):
    answer = send(receiver.server_address[1])

    ((path, headers, body),) = receiver.heard
    assert (answer.status, answer.is_accepted) == (204, True)
    assert (path, headers["X-A"], headers["Content-Type"], body) == (
        "/hook?x=1",
        "b",
        "application/json",
        b"{}",
    )


def test_redirect_is_not_followed(receiver):
    receiver.answer = (302, {"Location": f"http://127.0.0.1:{receiver.server_address[1]}/other"})

    answer = send(receiver.server_address[1])

    assert (answer.status, answer.is_accepted, len(receiver.heard)) == (302, False, 1)


def test_refused_address_is_not_asked(receiver):
    answer = send(receiver.server_address[1], judge=lambda _address, **_: "not for us")

    assert (answer.status, answer.error) == (None, "Refused: 127.0.0.1 is not for us.")
    assert not receiver.heard


def test_every_address_of_a_name_is_judged(receiver):
    judged = []

    send(
        receiver.server_address[1],
        host="localhost",
        judge=lambda address, **words: judged.append((address, words["host"], words["scheme"])),
    )

    assert ("127.0.0.1", "localhost", "http") in judged


def test_silence_is_an_answer_and_is_cut_off(monkeypatch):
    monkeypatch.setattr(outbound, "TOTAL_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        answer = send(deaf.getsockname()[1])

    assert answer.status is None
    assert answer.seconds < 5
    assert answer.error


def test_nobody_there_is_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    assert "ConnectionRefused" in send(port).error


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
def test_what_is_not_public_is_refused(address):
    assert OutboundRules()(address, host="example.com", port=443, scheme="https")


def test_public_addresses_are_asked_by_https_only():
    rules = OutboundRules()

    assert rules("93.184.216.34", host="example.com", port=443, scheme="https") is None
    assert rules("93.184.216.34", host="example.com", port=80, scheme="http")


def test_rule_that_is_none_names_its_setting():
    with pytest.raises(RuleMalformed, match="WEBHOOKS_ALLOW"):
        OutboundRules(["not a host"])


def test_operator_opens_what_is_not_public():
    rules = OutboundRules(["10.1.0.0/16", "chat.corp:8443"])

    assert rules("10.1.2.3", host="any", port=80, scheme="http") is None
    assert rules("10.2.0.1", host="chat.corp", port=8443, scheme="https") is None
    assert rules("10.2.0.1", host="chat.corp", port=80, scheme="http")
    # A listed name opens neither this machine nor the cloud's metadata.
    assert rules("127.0.0.1", host="chat.corp", port=8443, scheme="https")
    assert rules(str(ipaddress.ip_address("169.254.169.254")), host="chat.corp", port=8443, scheme="https")
