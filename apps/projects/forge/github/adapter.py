"""`GitHubForge`: every verb of both halves of the port, on one organisation of GitHub."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from apps.projects.forge.github import store
from apps.projects.forge.github.app import App
from apps.projects.forge.github.checks import CheckVerbs
from apps.projects.forge.github.client import Client, limited_send
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.deployments import DeploymentVerbs
from apps.projects.forge.github.limits import Limits
from apps.projects.forge.github.merging import MergeVerbs
from apps.projects.forge.github.remembered import RememberedAnswers
from apps.projects.forge.github.repositories import RepositoryVerbs
from apps.projects.forge.github.secrets import SecretVerbs
from apps.projects.forge.github.tokens import SharedTokens, Tokens
from apps.projects.forge.github.transport import Transport
from apps.projects.forge.github.workflows import WorkflowVerbs


class GitHubForge(RepositoryVerbs, MergeVerbs, CheckVerbs, SecretVerbs, WorkflowVerbs, DeploymentVerbs):
    """Both `Forge` and `Hosting`; see `make_forge`."""

    @property
    def limits(self) -> Limits:
        """The counters that this forge shares with all others of its app."""
        return self._client.limits


def make_forge(
    config: GitHubConfig,
    *,
    redis_url: str,
    mirrors: Path,
    network: Mapping[str, str] | None = None,
    tokens: Tokens | None = None,
) -> GitHubForge:
    """Return the adapter; it connects to nothing before its first verb.

    Args:
        config: the host, the organisation and the app.
        redis_url: of the server that all processes share.
        mirrors: directory of the cached repositories, made when it is first needed.
        network: variables that git needs to reach the host.
        tokens: instead of those of the app's installation.

    """
    redis = store.connect(redis_url)
    transport = Transport(config.api_url)
    limits = Limits(
        redis,
        name=config.name,
        max_concurrent=config.max_concurrent,
        hourly_budget=config.hourly_budget,
    )
    app = App(config, partial(limited_send, transport, limits))
    client = Client(
        config=config,
        transport=transport,
        limits=limits,
        tokens=tokens or SharedTokens(app, redis, name=config.name),
        remembered=RememberedAnswers(redis, name=config.name),
    )
    return GitHubForge(client, mirrors=mirrors, network=network)
