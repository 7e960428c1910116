"""The words that an agent is given before its first task."""

from typing import Any

import pytest

from apps.workers import instructions
from apps.workers.models import Worker
from worker_image.contract import MAX_INSTRUCTIONS_CHARS, PROFILES

pytestmark = pytest.mark.unit


def orders(**fields: Any) -> str:
    defaults: dict[str, Any] = {"worker_type": "developer", "agent_type": "claude"}
    return instructions.compose(Worker(**{**defaults, **fields}))


def test_developer_is_told_where_it_is_and_how_to_end() -> None:
    text = orders(config={"instructions": "## This repository\n\n- Stay on branch task/1."})

    assert text.startswith("# You are the developer")
    assert "task/1" in text
    assert "CLAUDE.md" in text
    assert text.count("<result>") == text.count("</result>") == 1
    assert text.index("<result>") > text.index("task/1")


def test_product_owner_gets_other_words() -> None:
    text = orders(worker_type="po", agent_type="codex", allowed_commands=list(PROFILES["PRODUCT_OWNER"]))

    assert "Product Owner" in text
    assert "orchestrator project create" in text
    assert "AGENTS.md" in text
    assert "branch you were put on" not in text


@pytest.mark.parametrize(
    ("allowed", "named", "unnamed"),
    [
        (["project.get"], "project get", "project create"),
        (["project.*"], "project create", "engineering start"),
        ([], "", "orchestrator project"),
    ],
)
def test_only_commands_that_it_may_use_are_named(allowed: list[str], named: str, unnamed: str) -> None:
    text = orders(allowed_commands=allowed)

    assert named in text
    assert unnamed not in text


def test_everything_that_passes_the_check_can_be_delivered() -> None:
    longest = "x" * (MAX_INSTRUCTIONS_CHARS - instructions.RESERVED_CHARS)
    instructions.check(longest)

    text = orders(worker_type="po", allowed_commands=["*"], config={"instructions": longest})

    assert len(text) <= MAX_INSTRUCTIONS_CHARS


@pytest.mark.parametrize("text", ["x" * 2**20, "a\0b"])
def test_what_cannot_be_delivered_is_refused(text: str) -> None:
    with pytest.raises(instructions.Invalid):
        instructions.check(text)
