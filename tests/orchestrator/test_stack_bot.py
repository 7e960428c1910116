"""The embedded stack has a bot where the settings name one."""

from pathlib import Path

import pytest

from orchestrator.stack import Stack

pytestmark = pytest.mark.unit

TOKEN = "123456789:AAHsecretsecretsecretsecretsecretsec"


@pytest.mark.parametrize(("token", "is_there"), [(TOKEN, True), ("", False)])
def test_bot_runs_where_a_token_is_set(tmp_path: Path, token: str, is_there: bool):
    stack = Stack(tmp_path, {"TELEGRAM_BOT_TOKEN": token})

    specs = {spec.name: spec for spec in stack._specs()}

    assert ("runbot" in specs) is is_there
    assert TOKEN not in repr(specs)
