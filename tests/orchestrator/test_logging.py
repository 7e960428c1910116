"""What never reaches a log line, and what must stay readable."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from orchestrator import logging as ours
from orchestrator.logging import MASK, logging_config, mask_secrets, mask_text, remember_secret

pytestmark = pytest.mark.unit

# Put together here, so that no scanner takes this file for a leak.
TOKEN = "Zm9v" * 8
SECRET_KEYS = [
    "password",
    "passwd",
    "db_password",
    "SECRET_KEY",
    "client_secret",
    "token",
    "worker_token",
    "api_key",
    "apiKey",
    "ANTHROPIC_API_KEY",
    "authorization",
    "Authorization",
    "cookie",
    "private_key",
    "credentials",
    "ENCRYPTION_FERNET",
    "sentry_dsn",
]
HARMLESS = {
    "input_tokens": 120,
    "output_tokens": 7,
    "token_count": 3,
    "tokens_used": 5,
    "secret_name": "API_KEY",
    "worker_id": "0a1b",
    "project": "books",
    "author": "Ann",
    "tests": "9/9",
}


@pytest.fixture(autouse=True)
def known_secrets() -> Iterator[None]:
    before = set(ours._known_secrets)
    yield
    ours._known_secrets.clear()
    ours._known_secrets.update(before)


@pytest.fixture
def lines() -> Iterator[tuple[logging.Logger, Any]]:
    """A logger with our formatter, and the parsed lines it has written."""
    config = logging_config(log_format="json", level="DEBUG")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = dict(config["formatters"]["line"])
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("masking-corpus")
    logger.setLevel("DEBUG")
    logger.propagate = False
    logger.addHandler(handler)
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_value_of_a_secret_like_key_is_masked(key):
    event = mask_secrets(None, "info", {"event": "x", key: TOKEN})

    assert event[key] == MASK


def test_harmless_values_stay_readable():
    assert mask_secrets(None, "info", dict(HARMLESS)) == HARMLESS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"cloning https://bot:{TOKEN}@forge.example/x.git", f"cloning https://{MASK}@forge.example/x.git"),
        (f"redis://:{TOKEN}@127.0.0.1:6379/0", f"redis://{MASK}@127.0.0.1:6379/0"),
        (f"postgresql://me:{TOKEN}@db/x and redis://a:b@c", f"postgresql://{MASK}@db/x and redis://{MASK}@c"),
        (f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {MASK}"),
        (f"Authorization: Worker {TOKEN}", f"Authorization: Worker {MASK}"),
        (f"'authorization': 'token {TOKEN}'", f"'authorization': 'token {MASK}'"),
    ],
)
def test_credentials_inside_a_text_are_masked(text, expected):
    assert mask_text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "GET http://127.0.0.1:8000/api/tasks/",
        "worker 0a1b2c started",
        "Worker 3f0c7a52-9be1-4c57-8d1e-0b5a6c7d8e9f became starting",
        "worker instructions are too long",
        "the token is missing",
        "Учёт книг: 9/9",
        "commit 0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_ordinary_text_is_left_as_it_is(text):
    assert mask_text(text) == text


def test_known_secret_is_masked_wherever_it_shows():
    remember_secret("correct-horse")

    event = mask_secrets(None, "info", {"event": "saw correct-horse", "note": ["a", {"b": "correct-horse!"}]})

    assert event == {"event": f"saw {MASK}", "note": ["a", {"b": f"{MASK}!"}]}


def test_short_words_are_not_remembered():
    remember_secret("books")

    assert mask_text("many books") == "many books"


def test_query_of_a_request_is_told_by_its_names_only():
    event = {"request": "POST /api/projects/?page=2&value=hunter-2&hunter-3", "event": "request_finished"}

    masked = mask_secrets(None, "info", event)

    assert masked["request"] == f"POST /api/projects/?page={MASK}&value={MASK}&{MASK}"
    assert mask_secrets(None, "info", {"request": "GET /api/"}) == {"request": "GET /api/"}


def test_nested_values_are_masked():
    event = mask_secrets(
        None, "info", {"request": {"headers": [{"Authorization": TOKEN}], "url": f"https://a:{TOKEN}@b"}}
    )

    assert TOKEN not in json.dumps(event)


def test_error_in_a_field_is_masked():
    event = mask_secrets(None, "info", {"error": ValueError(f"https://a:{TOKEN}@b refused")})

    assert event["error"] == f"ValueError: https://{MASK}@b refused"


class TestSink:
    def test_line_is_json_with_its_fields(self, lines):
        logger, written = lines

        logger.info("Task %s became %s", "0a1b", "running")

        (line,) = written()
        assert line["event"] == "Task 0a1b became running"
        assert (line["logger"], line["level"]) == ("masking-corpus", "info")
        assert line["timestamp"].endswith("Z")

    def test_arguments_and_extra_words_are_masked(self, lines):
        logger, written = lines

        logger.warning("Could not fetch %s", f"https://bot:{TOKEN}@forge.example")

        assert TOKEN not in json.dumps(written())

    def test_traceback_is_masked(self, lines):
        logger, written = lines

        try:
            raise ValueError(f"redis://worker:{TOKEN}@127.0.0.1 refused")
        except ValueError:
            logger.exception("It broke")

        text = json.dumps(written())
        assert "ValueError" in text
        assert TOKEN not in text

    def test_correlation_id_is_on_every_line(self, lines):
        logger, written = lines

        with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
            logger.info("inside")
        logger.info("outside")

        assert [line.get("correlation_id") for line in written()] == ["c-1", None]

    def test_words_of_any_language_stay_readable(self, lines):
        logger, written = lines

        logger.info("Учёт книг")

        assert written()[0]["event"] == "Учёт книг"
