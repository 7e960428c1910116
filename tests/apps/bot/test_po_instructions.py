"""What a Product Owner is told of its person, its commands and its limits."""

import re

import pytest
from typer.main import get_command

from apps.bot import po_instructions
from apps.workers import instructions
from apps.workers.models import Worker
from worker_image.cli.main import app
from worker_image.contract import MAX_INSTRUCTIONS_CHARS, is_allowed

pytestmark = pytest.mark.unit


def orders() -> str:
    request = po_instructions.request_for(7, language="ru")
    worker = Worker(
        worker_type=request.worker_type,
        agent_type="claude",
        allowed_commands=list(request.commands),
        config={"instructions": request.instructions},
    )
    return instructions.compose(worker)


def test_request_is_one_for_a_product_owner_of_that_person() -> None:
    request = po_instructions.request_for(7)

    assert (request.worker_type, request.owner_id) == ("po", 7)
    assert all(
        is_allowed(request.commands, command)
        for command in ("project.create", "engineering.start", "task.cancel", "respond")
    )


def test_orders_can_be_delivered() -> None:
    assert len(orders()) < MAX_INSTRUCTIONS_CHARS / 2


@pytest.mark.parametrize(("language", "name"), [("ru", "Russian"), ("en-GB", "English"), ("xx", "English")])
def test_language_of_the_chat_is_the_one_in_doubt(language: str, name: str) -> None:
    assert f"in {name}." in po_instructions.instructions(language)


@pytest.mark.parametrize(
    "rule",
    ["Never ask for a token", "Never invent", "Ask before anything else that costs", "sees nothing but"],
)
def test_rule_that_protects_the_person_is_there(rule: str) -> None:
    assert rule in re.sub(r"\s+", " ", orders())


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"orchestrator((?: [a-z]+)+)", re.sub(r"\n +", " ", orders())))

    unknown = {words for words in named if not _exists(words.split())}

    assert len(named) > 10
    assert unknown == set()


def _exists(path: list[str]) -> bool:
    command = get_command(app)
    for name in path:
        children = getattr(command, "commands", None)
        if children is None:
            return True  # what follows a command are its arguments
        if name not in children:
            return False
        command = children[name]
    return True
