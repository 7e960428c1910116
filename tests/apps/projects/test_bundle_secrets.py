"""What looks like a secret, and what only resembles one."""

import time

import pytest

from apps.projects.bundle_secrets import find_secrets, new_secrets

pytestmark = pytest.mark.unit

# Assembled here, so that no scanner takes this file for a leak.
TOKEN = b"gh" + b"p_" + b"a1B2" * 9


@pytest.mark.parametrize(
    "text",
    [
        b"sk-ant-...",
        b"ghp_short",
        b"AKIA" + b"IOSFODNN7EXAMPLE",
        b"-----BEGIN " + b"PRIVATE KEY-----",
        b"task-" + b"aB3d" * 12,
        b"postgres://user:" + b"password@localhost/db",
        b"postgres://{user}:{password}@localhost/db",
        b"1234567890:" + b"b" * 35,
        b"a-commit-id " + b"0123456789abcdef" * 3,
    ],
)
def test_placeholder_is_no_secret(text: bytes) -> None:
    assert list(find_secrets(text)) == []


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("gitlab_token", b"glpat" + b"-" + b"aB3d" * 5),
        ("slack_token", b"xox" + b"b-" + b"123456789012-abcdefgh"),
        ("google_api_key", b"AIz" + b"a" + b"Sy12345" * 5),
        ("stripe_key", b"sk_" + b"live_" + b"aB3d" * 6),
        ("github_fine_grained_token", b"github" + b"_pat_" + b"aB3d" * 15),
        ("url_password", b"postgresql://app:" + b"s3cr3tPassw0rd!@db/x"),
        ("private_key", b"-----BEGIN " + b"RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEA"),
    ],
)
def test_well_known_shape_is_found(rule: str, text: bytes) -> None:
    found = list(find_secrets(b"one\ntwo " + text + b"\n"))

    assert [(finding.rule, finding.line) for finding in found] == [(rule, 2)]
    assert text.decode() not in repr(found)


def test_secret_that_was_there_is_not_new() -> None:
    other = TOKEN[:-1] + b"9"

    found = new_secrets(TOKEN + b"\n" + other, b"before " + TOKEN)

    assert [finding.line for finding in found] == [2]


@pytest.mark.parametrize(
    "filling", [b"A", b"sk-", b"-----BEGIN ", b"1", b"postgres://a", b"-----BEGIN A A A "]
)
def test_hostile_text_is_scanned_in_time(filling: bytes) -> None:
    text = filling * (2_000_000 // len(filling))
    started = time.monotonic()

    found = list(find_secrets(text))

    assert found == []
    assert time.monotonic() - started < 10
