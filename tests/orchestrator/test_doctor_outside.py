"""What the doctor says about the bot, the git host and the template."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from orchestrator import doctor_outside
from tests.telegram_server import TelegramServer

pytestmark = pytest.mark.unit


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def line_of(values: Mapping[str, str], name: str = "telegram") -> str:
    found = {finding.name: finding for finding in doctor_outside.examine(values, Path("/nowhere"))}
    return found[name].line()


def test_bot_that_telegram_knows_is_named(telegram: TelegramServer):
    line = line_of({"TELEGRAM_BOT_TOKEN": telegram.token, "TELEGRAM_API_BASE_URL": telegram.url})

    assert line == f"ok   telegram: the bot is @{telegram.bot.username}, by polling"


def test_token_that_is_nobodys_is_red_and_never_shown(telegram: TelegramServer):
    token = "123456789:AAHsecretsecretsecretsecretsecretsec"

    line = line_of({"TELEGRAM_BOT_TOKEN": token, "TELEGRAM_API_BASE_URL": telegram.url})

    assert line.startswith("RED  telegram: Telegram knows no bot with this token → set TELEGRAM_BOT_TOKEN")
    assert "secret" not in line


def test_telegram_that_does_not_answer_is_a_note():
    line = line_of({"TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_API_BASE_URL": "http://127.0.0.1:1"})

    assert line.startswith("note telegram: Telegram does not answer at http://127.0.0.1:1 ")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"TELEGRAM_MODE": "pigeon"}, "RED  telegram: TELEGRAM_MODE is pigeon"),
        ({"TELEGRAM_MODE": "webhook"}, "RED  telegram: there is no address for its webhook"),
    ],
)
def test_settings_that_cannot_work_are_red(more: Mapping[str, str], words: str):
    assert line_of({"TELEGRAM_BOT_TOKEN": "1:x", **more}).startswith(words)


def test_no_bot_is_fine():
    assert line_of({}) == "ok   telegram: no bot: TELEGRAM_BOT_TOKEN is not set"


def test_settings_of_the_git_host_that_lack_are_named_at_once():
    line = line_of({"PROJECTS_FORGE": "github"}, "github app")

    names = "GITHUB_ORG, GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY_PATH"
    assert line.startswith(f"RED  github app: {names} are not set → ")


def test_key_that_is_not_where_it_should_be_is_told_with_its_path(tmp_path: Path):
    named = {"GITHUB_ORG": "acme", "GITHUB_APP_ID": "1"}

    line = line_of({**named, "GITHUB_APP_PRIVATE_KEY_PATH": f"{tmp_path}/app.pem"}, "github app")

    assert f"{tmp_path}/app.pem cannot be read: No such file or directory" in line


def test_git_host_that_does_not_answer_is_told_with_its_address():
    values = {
        "GITHUB_ORG": "acme",
        "GITHUB_APP_ID": "1",
        "GITHUB_APP_PRIVATE_KEY": new_key(),
        "GITHUB_API_BASE_URL": "http://127.0.0.1:1/api/v3",
    }

    line = line_of(values, "github app")

    assert line.startswith("note github app: The git host does not answer")
    assert line.endswith("see that this machine reaches http://127.0.0.1:1/api/v3")


@pytest.mark.parametrize(
    ("values", "repair"),
    [
        ({"SCAFFOLD_TEMPLATE": "/nonexist"}, "correct SCAFFOLD_TEMPLATE in .env (now /nonexist)"),
        ({"SCAFFOLD_TEMPLATE": "https://me:secret@a.test/t.git"}, "set SCAFFOLD_TEMPLATE_REF in .env"),
        ({"SCAFFOLD_TEMPLATE": "/", "SCAFFOLD_TEMPLATE_MAP": "{"}, "correct SCAFFOLD_TEMPLATE_MAP in .env"),
    ],
)
def test_only_the_setting_that_is_wrong_is_named(values: Mapping[str, str], repair: str):
    line = line_of(values, "template")

    assert line.startswith("RED  template: ")
    assert line.endswith(f"→ {repair}")


def new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return base64.b64encode(pem).decode()
