"""Looks at the app and its installation as an operator would: for ``manage.py doctor``, without limits."""

from collections.abc import Iterator
from dataclasses import dataclass

from apps.errors import OrchestratorError
from apps.projects.forge.github.app import REQUIRED_PERMISSIONS, App, lacking_of
from apps.projects.forge.github.config import GitHubConfig
from apps.projects.forge.github.transport import Transport


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """What one look found."""

    name: str
    is_ok: bool
    text: str
    repair: str = ""


def examine(config: GitHubConfig) -> Iterator[Examined]:
    """Yield what is found out about the app, then its installation, then what it is granted.

    What an earlier look needs is not looked at after it failed; the errors' own words say what to do.
    """
    app = App(config, Transport(config.api_url).send)
    try:
        yield Examined(name="github app", is_ok=True, text=f"{app.read()} at {config.api_url}")
    except OrchestratorError as error:
        yield _refused("github app", error)
        return
    try:
        installation = app.installation()
        yield Examined(name="github organisation", is_ok=True, text=f"installed in {config.organisation}")
        lacking = lacking_of(REQUIRED_PERMISSIONS, app.granted(installation))
    except OrchestratorError as error:
        yield _refused("github organisation", error)
        return
    yield Examined(
        name="github permissions",
        is_ok=not lacking,
        text=f"lacking {', '.join(lacking)}" if lacking else "all that are needed",
        repair="grant them on the app's page (Permissions & events), then accept them in the organisation",
    )


def _refused(name: str, error: OrchestratorError) -> Examined:
    problem, _, repair = error.message.partition(": ")
    return Examined(name=name, is_ok=False, text=problem, repair=repair)
