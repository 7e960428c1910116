"""Which agent a worker runs: what was asked for, what is configured, what is usable, else the rehearsal."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.workers import engine
from apps.workers.agents_choice import choose_agent
from apps.workers.models import AgentConfig

pytestmark = [pytest.mark.service, pytest.mark.django_db]
without_codex = pytest.mark.skipif(
    shutil.which("codex", path="/usr/local/bin:/usr/bin:/bin") is not None,
    reason="this machine has codex where every worker finds it",
)


@pytest.fixture
def tools(settings: Any) -> Iterator[Path]:
    """The directory that is first on a worker's PATH, open to every uid."""
    # Not tmp_path: only root may pass its parents.
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    directory.chmod(0o755)
    settings.TOOLS_DIR = directory
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def no_keys(settings: Any) -> None:
    settings.WORKERS_DEFAULT_AGENT = "auto"
    settings.ANTHROPIC_API_KEY = settings.FACTORY_API_KEY = settings.OPENAI_API_KEY = ""


def install(directory: Path, command: str, mode: int = 0o755) -> None:
    program = directory / command
    program.write_text("#!/bin/sh\n")
    program.chmod(mode)


def test_agent_that_was_asked_for_is_taken_as_it_is(tools: Path) -> None:
    AgentConfig.objects.create(name="other", agent_type="factory")

    choice = choose_agent("codex")

    assert (choice.agent_type, choice.auth_mode, choice.model) == ("codex", "api_key", "")


def test_agent_that_was_asked_for_brings_its_configuration(tools: Path) -> None:
    AgentConfig.objects.create(name="other", agent_type="factory", model="no")
    AgentConfig.objects.create(name="its", agent_type="codex", model="best-1", system_prompt="Be brief.")

    choice = choose_agent("codex")

    assert (choice.agent_type, choice.model, choice.system_prompt) == ("codex", "best-1", "Be brief.")


def test_agent_of_the_settings_is_taken(tools: Path, settings: Any) -> None:
    settings.WORKERS_DEFAULT_AGENT = "factory"

    assert choose_agent(None).agent_type == "factory"


def test_active_configuration_comes_before_a_usable_key(tools: Path, settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-test-1234567890"
    install(tools, "codex")
    AgentConfig.objects.create(name="off", agent_type="claude", is_active=False)
    AgentConfig.objects.create(name="on", agent_type="factory")

    assert choose_agent(None).agent_type == "factory"


@without_codex
def test_key_without_its_program_is_not_usable(tools: Path, settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-test-1234567890"

    choice = choose_agent(None)

    assert (choice.agent_type, choice.auth_mode) == ("rehearsal", "none")


def test_key_with_its_program_is_usable(tools: Path, settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-test-1234567890"
    install(tools, "codex")

    choice = choose_agent(None)

    assert (choice.agent_type, choice.auth_mode) == ("codex", "api_key")


def test_key_that_another_process_holds_is_usable(tools: Path, settings: Any) -> None:
    settings.SECRETS_ELSEWHERE = ["OPENAI_API_KEY"]
    install(tools, "codex")

    assert choose_agent(None).agent_type == "codex"


@without_codex
def test_program_that_only_we_can_find_is_not_installed(
    tools: Path, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OPENAI_API_KEY = "sk-test-1234567890"
    install(tmp_path, "codex")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert choose_agent(None).agent_type == "rehearsal"


@without_codex
def test_program_that_workers_may_not_run_is_not_installed(tools: Path, settings: Any) -> None:
    settings.OPENAI_API_KEY = "sk-test-1234567890"
    # As root we could run it all the same; a worker has another uid.
    install(tools, "codex", mode=0o700 if os.geteuid() == 0 else 0o600)

    assert choose_agent(None).agent_type == "rehearsal"


def test_nothing_usable_leaves_the_rehearsal(tools: Path) -> None:
    install(tools, "claude")

    assert choose_agent(None).agent_type == "rehearsal"


@pytest.fixture
def containers(settings: Any) -> Iterator[None]:
    """Workers are containers; nothing asks a daemon for it."""
    settings.WORKERS_RUNTIME = "docker"
    engine.runtime_name.cache_clear()
    yield
    engine.runtime_name.cache_clear()


def test_key_alone_is_enough_where_images_bring_the_agents(
    tools: Path, settings: Any, containers: None
) -> None:
    settings.OPENAI_API_KEY = "sk-1"

    choice = choose_agent(None)

    assert choice.agent_type == "codex"
