"""A plain client of the double for its own tests: no library of ours, no PyGithub."""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import requests

from tests.github_server.git_store import ENVIRONMENT
from tests.github_server.world import GitHub


class Visitor:
    """Calls the API and git with one token."""

    def __init__(self, github: GitHub, token: str) -> None:
        self.github, self.token = github, token

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> requests.Response:
        url = path if path.startswith("http") else f"{self.github.url}{path}"
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        with requests.Session() as session:
            return session.request(method, url, json=body, params=query, headers=sent, timeout=60)

    def git(self, folder: Path, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run git with the token in its environment."""
        header = f"Authorization: Basic {requests.auth._basic_auth_str('x', self.token).split()[1]}"
        environment = {
            **ENVIRONMENT,
            "GIT_CONFIG_COUNT": "3",
            "GIT_CONFIG_KEY_0": f"http.{self.github.base_url}/.extraheader",
            "GIT_CONFIG_VALUE_0": header,
            "GIT_CONFIG_KEY_1": "user.name",
            "GIT_CONFIG_VALUE_1": "Visitor",
            "GIT_CONFIG_KEY_2": "user.email",
            "GIT_CONFIG_VALUE_2": "visitor@example.org",
            "GIT_TERMINAL_PROMPT": "0",
        }
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=check,
            timeout=120,
        )

    def start(self, folder: Path, name: str, files: Mapping[str, str]) -> str:
        """Make a repository and a checkout of it whose first commit is pushed on main."""
        self.call(
            "POST", f"/orgs/{self.github.org}/repos", {"name": name, "private": True}
        ).raise_for_status()
        folder.mkdir(parents=True)
        self.git(folder, "init", "--quiet", "--initial-branch=main")
        self.git(folder, "remote", "add", "origin", f"{self.github.base_url}/{self.github.org}/{name}.git")
        return self.commit(folder, files, push="main")

    def commit(self, folder: Path, files: Mapping[str, str], *, push: str = "") -> str:
        """Commit files, push the branch if one is named, and return the commit."""
        for path, content in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--allow-empty", "--message", "Work")
        if push:
            self.git(folder, "push", "--quiet", "origin", f"HEAD:refs/heads/{push}")
        return self.git(folder, "rev-parse", "HEAD").stdout.strip()


def app_token(github: GitHub, *, seconds: int = 300, **claims: Any) -> str:
    """Return the app's own credential."""
    now = int(time.time())
    return jwt.encode(
        {"iat": now - 30, "exp": now + seconds, "iss": str(github.app.id), **claims},
        github.app.private_pem,
        algorithm="RS256",
    )


def install(github: GitHub, **body: Any) -> Visitor:
    """Return a client with an installation token of these permissions and repositories."""
    caller = Visitor(github, app_token(github))
    path = f"/app/installations/{github.app.installation_id}/access_tokens"
    answer = caller.call("POST", path, body or None)
    answer.raise_for_status()
    return Visitor(github, answer.json()["token"])
