"""Series 3 of the plan's agent tests (P1.10): real models, with `--run-e2e-real` and the operator's own keys.

`CLAUDE_SESSION_DIR` names a directory with a login session of Claude Code (usually ~/.claude; a copy is lent,
never the original), `FACTORY_API_KEY` is Factory's. What is missing is skipped by name.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.milestone.site import Site, site

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(1800)]

SUM = "Сколько будет 6 + 3? Ответь одним словом, по-русски."
EARLIER = "Какой вопрос я задал тебе перед этим? Повтори его цифрами."


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A system whose agents reach their real providers."""
    if not request.config.getoption("--run-e2e-real"):
        pytest.skip("asks real models and costs money: give --run-e2e-real")
    scripted = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "FACTORY_API_KEY", "FACTORY_BASE_URL")
    with site(without_model=scripted) as started:
        yield started


@pytest.fixture(scope="module")
def claude(real: Site) -> str:
    session = os.environ.get("CLAUDE_SESSION_DIR", "")
    if not session:
        pytest.skip("CLAUDE_SESSION_DIR is not set")
    lent = real.session_dir / "claude"
    shutil.copytree(Path(session).expanduser(), lent)
    for path in (real.session_dir, lent, *lent.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    return real.worker("claude-person", agent_type="claude", host_session_dir=str(lent))


@pytest.fixture(scope="module")
def droid(real: Site) -> str:
    if not os.environ.get("FACTORY_API_KEY"):
        pytest.skip("FACTORY_API_KEY is not set")
    return real.worker("factory-person", agent_type="factory")


def test_claude_real_session_deterministic_answer(real: Site, claude: str) -> None:
    turn = real.turn(claude, SUM)

    assert turn["status"] == "succeeded", turn["failure"]
    assert "девять" in turn["result"]["text"].lower()


def test_claude_real_session_memory(real: Site, claude: str) -> None:
    turn = real.turn(claude, EARLIER)

    assert turn["status"] == "succeeded", turn["failure"]
    assert {"6", "3"} <= set(turn["result"]["text"])


def test_factory_api_key_deterministic_answer(real: Site, droid: str) -> None:
    turn = real.turn(droid, SUM)

    assert turn["status"] == "succeeded", turn["failure"]
    assert "девять" in turn["result"]["text"].lower()


def test_factory_api_key_session_memory(real: Site, droid: str) -> None:
    turn = real.turn(droid, EARLIER)

    assert turn["status"] == "succeeded", turn["failure"]
    assert {"6", "3"} <= set(turn["result"]["text"])
