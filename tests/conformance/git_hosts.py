"""The git hosts of the conformance suites: in memory, on this disk, GitHub's double and GitHub itself."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from apps.projects.forge import base
from apps.projects.forge.github.adapter import GitHubForge, make_forge
from apps.projects.forge.github.config import DEFAULT_API_URL, GitHubConfig
from apps.projects.forge.github.tokens import StaticToken
from apps.projects.forge.local import LocalForge
from apps.projects.forge.network import network_environment
from tests.fakes_forge import FakeForge
from tests.github_server.server import github_server
from tests.github_server.world import GitHub

ORG, TOKEN = "CODEGEN_GITHUB_TEST_ORG", "CODEGEN_GITHUB_TEST_TOKEN"
APP_ID, APP_KEY = "CODEGEN_GITHUB_TEST_APP_ID", "CODEGEN_GITHUB_TEST_APP_PRIVATE_KEY"
API_URL = "CODEGEN_GITHUB_TEST_API_URL"
HAS_REAL = bool(os.environ.get(ORG) and (os.environ.get(TOKEN) or os.environ.get(APP_KEY)))

DOUBLE = pytest.param("github", marks=pytest.mark.service)
#: Collected only with a credential; tests/conformance/test_real_github.py says when there is none.
REAL = [pytest.param("real", marks=[pytest.mark.e2e, pytest.mark.timeout(900)])] if HAS_REAL else []
_FAKE = pytest.param("fake", marks=pytest.mark.unit)
FORGES = [_FAKE, pytest.param("local", marks=pytest.mark.unit), DOUBLE, *REAL]
HOSTINGS = [_FAKE, DOUBLE, *REAL]


@contextmanager
def open_forge(kind: str, folder: Path) -> Iterator[base.Forge]:
    """Offer a forge of a kind, empty."""
    if kind == "fake":
        yield FakeForge()
    elif kind == "local":
        yield LocalForge(folder / "forge")
    elif kind == "github":
        with double(folder) as (_, forge):
            yield forge
    else:
        with real(folder) as host:
            yield host


def connect(github: GitHub, folder: Path, **config: Any) -> GitHubForge:
    """Return the adapter for a double, with the app's credentials."""
    return make_forge(
        GitHubConfig(
            organisation=github.org,
            app_id=str(github.app.id),
            private_key=github.app.private_pem,
            api_url=github.url,
            **config,
        ),
        redis_url=settings.REDIS_URL,
        mirrors=folder / "mirrors",
    )


@contextmanager
def double(folder: Path) -> Iterator[tuple[GitHub, GitHubForge]]:
    """Run a double and offer it with its adapter."""
    with github_server() as github:
        yield github, connect(github, folder)


@dataclass
class RealGitHub:
    """GitHub itself, with names nobody else has; `clean` deletes what was made."""

    forge: GitHubForge
    prefix: str
    made: dict[str, base.Repository]

    def ensure_repository(self, spec: base.RepositorySpec) -> base.Repository:
        name = f"{self.prefix}-{base.check_name(spec.name)}"
        repository = self.forge.ensure_repository(replace(spec, name=name[:100]))
        self.made[repository.id] = repository
        return repository

    def __getattr__(self, name: str) -> Any:
        return getattr(self.forge, name)

    def clean(self) -> None:
        for repository in self.made.values():
            self.forge.delete_repository(repository)


@contextmanager
def real(folder: Path) -> Iterator[RealGitHub]:
    """Offer the organisation that the environment names for tests."""
    token = os.environ.get(TOKEN, "")
    config = GitHubConfig(
        organisation=os.environ[ORG],
        app_id=os.environ.get(APP_ID, ""),
        private_key=os.environ.get(APP_KEY, ""),
        api_url=os.environ.get(API_URL, DEFAULT_API_URL),
    )
    forge = make_forge(
        config,
        redis_url=settings.REDIS_URL,
        mirrors=folder / "mirrors",
        network=network_environment(os.environ),
        tokens=StaticToken(token) if token else None,
    )
    host = RealGitHub(forge, f"test-{secrets.token_hex(4)}", {})
    try:
        yield host
    finally:
        host.clean()
