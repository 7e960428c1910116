"""Series 1 and 2 of the plan's agent tests (P1.10): Claude Code and Factory Droid as their workers find them.

What both series ask of the `orchestrator` command is asked of Codex, too.
"""

import pytest

from tests.milestone.site import Site
from tests.real_clis import PACKAGES

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(900)]

AGENTS = {"claude": "dan", "factory": "fay", "codex": "cody"}
ORDERS = "Answer as a friend would."


@pytest.fixture(scope="module")
def workers(building: Site) -> dict[str, str]:
    """One worker of each agent: agent → id."""
    return {
        agent: building.worker(person, agent_type=agent, capabilities=["git", "curl"], instructions=ORDERS)
        for agent, person in AGENTS.items()
    }


def test_claude_cli_installed(building: Site, workers: dict[str, str]) -> None:
    assert building.shell(workers["claude"], "command -v claude").strip()
    assert PACKAGES["@anthropic-ai/claude-code"] in building.shell(workers["claude"], "claude --version")


def test_factory_droid_installed(building: Site, workers: dict[str, str]) -> None:
    assert building.shell(workers["factory"], "command -v droid").strip()
    assert PACKAGES["@factory/cli-linux-x64"] in building.shell(workers["factory"], "droid --version")


def test_codex_installed(building: Site, workers: dict[str, str]) -> None:
    assert PACKAGES["@openai/codex"] in building.shell(workers["codex"], "codex --version")


def test_claude_session_mounted(building: Site) -> None:
    lent = building.session_dir / "claude"
    lent.mkdir(mode=0o755)
    (lent / "from-the-host.txt").write_text("a session of this machine")
    for path in (building.session_dir, lent):
        path.chmod(0o755)

    worker = building.worker("sam", agent_type="claude", host_session_dir=str(lent))

    assert building.shell(worker, "cat /home/worker/.claude/from-the-host.txt") == "a session of this machine"
    assert building.exec(worker, "printenv", "ANTHROPIC_API_KEY").exit_code == 1


def test_claude_instructions_injected(building: Site, workers: dict[str, str]) -> None:
    assert ORDERS in building.shell(workers["claude"], "cat /workspace/CLAUDE.md")


def test_factory_api_key_set(building: Site, workers: dict[str, str]) -> None:
    assert building.model.key in building.run_by_agent(workers["factory"], "printenv FACTORY_API_KEY")
    assert building.model.key not in building.run_by_agent(workers["factory"], "printenv ANTHROPIC_API_KEY")


def test_factory_agents_md_injected(building: Site, workers: dict[str, str]) -> None:
    assert ORDERS in building.shell(workers["factory"], "cat /workspace/AGENTS.md")
    assert building.exec(workers["factory"], "test", "-e", "/workspace/CLAUDE.md").exit_code == 1


@pytest.mark.parametrize("agent", AGENTS)
def test_orchestrator_cli_installed(building: Site, workers: dict[str, str], agent: str) -> None:
    assert building.shell(workers[agent], "command -v orchestrator").strip()
    assert "project" in building.shell(workers[agent], "orchestrator --help")


@pytest.mark.parametrize("agent", AGENTS)
def test_orchestrator_cli_create_project_valid(building: Site, workers: dict[str, str], agent: str) -> None:
    said = building.cli(workers[agent], f"project create --name 'by {agent}' --no-scaffold")

    assert (said["exit_code"], said["success"]) == (0, True)
    assert f"by {agent}" in building.projects_of(AGENTS[agent])


@pytest.mark.parametrize("agent", AGENTS)
def test_orchestrator_cli_create_project_invalid(building: Site, workers: dict[str, str], agent: str) -> None:
    before = building.projects_of(AGENTS[agent])

    said = building.cli(workers[agent], "project create --name '' --no-scaffold")
    words = building.run_by_agent(workers[agent], "orchestrator project create --name '' 2>&1 >/dev/null")

    assert (said["exit_code"], said["success"]) == (1, False)
    assert "name" in said["details"]
    assert said["message"] in words
    assert building.projects_of(AGENTS[agent]) == before


@pytest.mark.parametrize("agent", AGENTS)
def test_orchestrator_cli_list_projects(building: Site, workers: dict[str, str], agent: str) -> None:
    building.cli(workers[agent], f"project create --name 'listed {agent}' --no-scaffold")

    said = building.cli(workers[agent], "project list")

    assert f"listed {agent}" in [project["name"] for project in said["data"]]


@pytest.mark.parametrize("agent", AGENTS)
def test_agent_speaks_through_the_whole_system(building: Site, workers: dict[str, str], agent: str) -> None:
    turn = building.turn(workers[agent], "my number is 41")

    assert (turn["status"], turn["result"]["text"]) == ("succeeded", "I keep it in mind."), turn


@pytest.mark.parametrize("agent", AGENTS)
def test_agent_remembers_what_was_said_before(building: Site, workers: dict[str, str], agent: str) -> None:
    building.turn(workers[agent], "my number is 41")

    turn = building.turn(workers[agent], "what did I say")

    assert turn["status"] == "succeeded", turn
    assert "my number is 41" in turn["result"]["text"]
