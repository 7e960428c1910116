"""What the playbooks may not do, read from their files."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from apps.infra.ansible import PLAYBOOKS

pytestmark = pytest.mark.unit

ROLES = sorted(path.name for path in (PLAYBOOKS / "roles").iterdir())
FILES = sorted(PLAYBOOKS.rglob("*.yml"))


def tasks_of(path: Path) -> list[dict[str, Any]]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    plays = [play for play in content if "hosts" in play]
    parts = [play[part] for play in plays for part in ("pre_tasks", "tasks") if part in play]
    return [task for part in parts for task in part] if plays else content


BOOKS = ("setup.yml", "recovery.yml")


def test_every_role_is_used_and_every_used_role_is_there() -> None:
    used = {
        task["ansible.builtin.include_role"]["name"]
        for book in BOOKS
        for task in tasks_of(PLAYBOOKS / book)
        if "ansible.builtin.include_role" in task
    }

    assert used == set(ROLES)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_tasks_are_named_and_use_what_comes_with_ansible(path: Path) -> None:
    tasks = tasks_of(path)

    for task in tasks:
        modules = [key for key in task if "." in key]
        assert task.get("name"), task
        assert len(modules) == 1, task
        assert modules[0].startswith("ansible.builtin."), task


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLAYBOOKS)))
def test_nothing_is_run_from_the_network_and_no_failure_is_passed_over(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert not any(word in text for word in ("curl ", "wget ", "ignore_errors", "get_url"))
    assert "| sh" not in text
    assert "| bash" not in text


@pytest.mark.parametrize("book", BOOKS)
def test_whatever_a_container_goes_without_is_named(book: str) -> None:
    play = yaml.safe_load((PLAYBOOKS / book).read_text(encoding="utf-8"))[0]
    left = {
        task["ansible.builtin.include_role"]["name"]
        for task in play["tasks"]
        if "not_in_containers" in str(task.get("when", ""))
    }

    assert left == set(play["vars"]["not_in_containers"])
