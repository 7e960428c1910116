"""A running system whose projects live on a GitHub of ours, with that GitHub's runner and webhooks."""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.units.environment import PASSED_THROUGH
from orchestrator.env import ROOT
from orchestrator.envfile import read_env_file
from tests.github_server import git_store
from tests.github_server.server import github_server
from tests.github_server.state import Pull, Repository
from tests.github_server.visitor import Visitor
from tests.github_server.world import GitHub
from tests.journeys.world import World, running

WEBHOOK_SECRET = "hook-secret-of-the-journey"
#: Instead of fifteen: a lost webhook is a test and not a coffee break.
POLL_SECONDS = 2


class GitHubWorld:
    """The system and its GitHub, side by side."""

    def __init__(self, world: World, github: GitHub) -> None:
        self.world, self.github = world, github

    def start_project(self, name: str) -> dict[str, Any]:
        body = {"name": name, "description": "", "modules": ["backend"]}
        created: dict[str, Any] = self.world.api.post("/api/projects/", body, create=True)
        return created

    def repository(self, project_id: str) -> Repository:
        """Return the project's repository as the host holds it."""
        slug = self.world.api.get(f"/api/projects/{project_id}/")["slug"]
        found = self.github.find(self.github.org, slug)
        assert found is not None, f"the host has no repository {slug}"
        return found

    def changes(self, task_id: str) -> list[dict[str, Any]]:
        """Return what a task proposed, oldest first."""
        return list(self.world.api.list(f"/api/tasks/{task_id}/changes/"))[::-1]

    def heads(self, project_id: str) -> dict[str, str]:
        """Return the branches of the project's repository with their commits."""
        return git_store.heads(self.repository(project_id).path)

    def close_as_person(self, project_id: str, number: int) -> None:
        """Close a pull request as somebody in the organisation does."""
        path = f"/repos/{self.repository(project_id).full_name}/pulls/{number}"
        person = Visitor(self.github, self.github.person_token())
        person.call("PATCH", path, {"state": "closed"}).raise_for_status()

    def pull(self, project_id: str, number: int) -> Pull:
        return next(pull for pull in self.repository(project_id).pulls if pull.number == number)


@contextmanager
def running_on_github(*, settings: Mapping[str, str] | None = None) -> Iterator[GitHubWorld]:
    """Start a GitHub and a stack that uses it; remove both at the end.

    Args:
        settings: environment variables of the stack besides those of every journey.

    """
    with github_server() as github, _runner_environment() as runner:
        github.stage.runner_environment = runner
        github.webhooks.secret = WEBHOOK_SECRET
        with running(settings={**_settings(github), **(settings or {})}) as world:
            github.webhooks.url = f"{world.stack.web_url}/webhooks/github"
            yield GitHubWorld(world, github)
            github.webhooks.url = ""


def _settings(github: GitHub) -> dict[str, str]:
    return {
        "PROJECTS_FORGE": "github",
        "PROJECTS_POLL_SECONDS": str(POLL_SECONDS),
        "GITHUB_ORG": github.org,
        "GITHUB_APP_ID": str(github.app.id),
        "GITHUB_APP_PRIVATE_KEY": base64.b64encode(github.app.private_pem.encode()).decode(),
        "GITHUB_API_BASE_URL": github.url,
        "GITHUB_WEBHOOK_SECRET": WEBHOOK_SECRET,
    }


@contextmanager
def _runner_environment() -> Iterator[dict[str, str]]:
    """Offer what a hosted runner brings along: uv, package indexes, and a cache that is warm."""
    place = Path(tempfile.mkdtemp(prefix="runner-", dir="/tmp"))
    place.chmod(0o711)
    try:
        cache = place / "cache"
        if (ROOT / "var" / "cache").is_dir():
            shutil.copytree(ROOT / "var" / "cache", cache, symlinks=True, copy_function=os.link)
        (place / "bin").mkdir()
        uv = shutil.which("uv", path=f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}")
        if uv is not None:
            (place / "bin" / "uv").symlink_to(uv)
        passed = {**os.environ, **read_env_file(ROOT / "var" / "installers.env")}
        yield {
            **{name: passed[name] for name in sorted(PASSED_THROUGH & passed.keys())},
            "PATH": f"{place / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "UV_CACHE_DIR": str(cache / "uv"),
            "UV_LINK_MODE": "copy",
            "UV_PYTHON_DOWNLOADS": "never",
        }
    finally:
        shutil.rmtree(place, ignore_errors=True)
