"""Log lines: secrets masked by name, by value and inside URLs."""

import pytest

from worker_image.logs import Masking, secrets_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"worker_token": "abc"}, {"worker_token": "***"}),
        ({"error": "bad hidden-token here"}, {"error": "bad *** here"}),
        ({"url": "redis://u:pw@host/0"}, {"url": "redis://***@host/0"}),
        (
            {"nested": {"password": "x", "list": ["hidden-token"]}},
            {"nested": {"password": "***", "list": ["***"]}},
        ),
        ({"input_tokens": 5, "exit_code": 1}, {"input_tokens": 5, "exit_code": 1}),
    ],
)
def test_secrets_are_masked(event: dict[str, object], expected: dict[str, object]) -> None:
    assert Masking(["hidden-token"])(None, "info", dict(event)) == expected


def test_secrets_of_an_environment_include_passwords_in_urls() -> None:
    found = secrets_of({"WORKER_TOKEN": "token-1", "REDIS_URL": "redis://u:password-1@h/0", "PATH": "/bin"})

    assert {"token-1", "password-1"} <= set(found)
    assert "/bin" not in found
