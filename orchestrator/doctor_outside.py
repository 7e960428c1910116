"""What ``manage.py doctor`` asks those outside: the git host, Telegram, the template's repository."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestrator.findings import Finding

if TYPE_CHECKING:
    from apps.errors import OrchestratorError
    from apps.projects.forge.github.config import GitHubConfig
    from apps.projects.forge.github.examination import Examined

TIMEOUT_SECONDS = 3.0
_TEMPLATE = ("SCAFFOLD_TEMPLATE_REF", "SCAFFOLD_TEMPLATE_MAP", "SCAFFOLD_TEMPLATE")


def examine(values: Mapping[str, str], var_dir: Path) -> Iterator[Finding]:
    """Yield the finding of every check.

    Args:
        values: the settings, as variables.
        var_dir: the state directory.

    """
    yield from _github(values)
    yield _telegram(values)
    yield from _template(values, var_dir)


def _github(values: Mapping[str, str]) -> Iterator[Finding]:
    """Ask GitHub about the app, where the settings name one or make projects there."""
    is_used = values.get("PROJECTS_FORGE") == "github"
    if not is_used and not values.get("GITHUB_APP_ID"):
        return
    from apps.projects.forge.github.config import DEFAULT_API_URL, GitHubConfig
    from apps.projects.forge.github.examination import examine as examine_github

    config = GitHubConfig(
        organisation=values.get("GITHUB_ORG", ""),
        app_id=values.get("GITHUB_APP_ID", ""),
        private_key=values.get("GITHUB_APP_PRIVATE_KEY", ""),
        private_key_path=values.get("GITHUB_APP_PRIVATE_KEY_PATH", ""),
        api_url=values.get("GITHUB_API_BASE_URL") or DEFAULT_API_URL,
    )
    lacking = _unset(config) or _unreadable(config)
    found = [lacking] if lacking else (_found(one, config) for one in examine_github(config))
    yield from (replace(finding, is_optional=not is_used) for finding in found)
    yield Finding(
        name="github webhook",
        is_ok=bool(values.get("GITHUB_WEBHOOK_SECRET")),
        is_optional=True,
        text="its deliveries are taken"
        if values.get("GITHUB_WEBHOOK_SECRET")
        else "off: polling alone tells",
        repair="set GITHUB_WEBHOOK_SECRET here and in the app, whose webhook goes to /webhooks/github",
    )


def _found(one: "Examined", config: "GitHubConfig") -> Finding:
    repair = one.repair or f"see that this machine reaches {config.api_url}"
    return Finding(name=one.name, is_ok=one.is_ok, text=one.text, repair=repair)


def _unset(config: "GitHubConfig") -> Finding | None:
    """Name every setting that is missing, at once."""
    needed = {
        "GITHUB_ORG": config.organisation,
        "GITHUB_APP_ID": config.app_id,
        "GITHUB_APP_PRIVATE_KEY_PATH": config.private_key or config.private_key_path,
    }
    missing = [name for name, value in needed.items() if not value]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    repair = 'set them in .env; README, "Where projects live", says where each comes from'
    return Finding(name="github app", is_ok=False, text=f"{', '.join(missing)} {verb} not set", repair=repair)


def _unreadable(config: "GitHubConfig") -> Finding | None:
    """Name the file of the key: here, and only here, a path may be told."""
    path = config.private_key_path
    if config.private_key:
        return None
    try:
        Path(path).read_bytes()
    except OSError as error:
        return Finding(
            name="github app",
            is_ok=False,
            text=f"the private key {path} cannot be read: {error.strerror}",
            repair="put the key that the app's page offers there, or correct GITHUB_APP_PRIVATE_KEY_PATH",
        )
    return None


def _telegram(values: Mapping[str, str]) -> Finding:
    """Ask Telegram whose the token is."""
    name, token = "telegram", values.get("TELEGRAM_BOT_TOKEN", "")
    mode = values.get("TELEGRAM_MODE", "polling")
    if not token:
        return Finding(name=name, is_ok=True, text="no bot: TELEGRAM_BOT_TOKEN is not set")
    if mode not in ("polling", "webhook"):
        repair = "set TELEGRAM_MODE to polling or webhook"
        return Finding(name=name, is_ok=False, text=f"TELEGRAM_MODE is {mode[:20]}", repair=repair)
    if mode == "webhook" and not values.get("TELEGRAM_WEBHOOK_URL", "").startswith("https://"):
        repair = "set TELEGRAM_WEBHOOK_URL to this installation's public address, https://HOST"
        return Finding(name=name, is_ok=False, text="there is no address for its webhook", repair=repair)
    from apps.telegram import get_me

    base_url = values.get("TELEGRAM_API_BASE_URL") or "https://api.telegram.org"
    found = get_me(base_url, token, timeout_seconds=TIMEOUT_SECONDS)
    if found.is_healthy:
        return Finding(name=name, is_ok=True, text=f"the bot is @{found.username}, by {mode}")
    return Finding(
        name=name,
        is_ok=False,
        # What does not answer at this moment may do so later: messages wait that long.
        is_optional=not found.is_refused,
        text="Telegram knows no bot with this token"
        if found.is_refused
        else f"Telegram does not answer at {_public(base_url)}",
        repair="set TELEGRAM_BOT_TOKEN to a token from @BotFather"
        if found.is_refused
        else "see that this machine reaches it, or set TELEGRAM_API_BASE_URL to a server that it reaches",
    )


def _template(values: Mapping[str, str], var_dir: Path) -> Iterator[Finding]:
    """Fetch the template that the settings name, as the next new project would."""
    if not any(values.get(f"SCAFFOLD_TEMPLATE{end}") for end in ("", "_REF", "_MAP")):
        return
    from apps.errors import OrchestratorError
    from apps.projects.template_check import examine_template

    try:
        text = examine_template(values, var_dir=var_dir, outer=os.environ)
    except OrchestratorError as error:
        yield Finding(
            name="template", is_ok=False, text=error.message, repair=_template_repair(error, values)
        )
    else:
        yield Finding(name="template", is_ok=True, text=text)


def _template_repair(error: "OrchestratorError", values: Mapping[str, str]) -> str:
    """Name the one setting that is wrong: the error's words name it, longer names first."""
    named = next((name for name in _TEMPLATE if name in error.message), "SCAFFOLD_TEMPLATE")
    value = values.get(named, "")
    if not value:
        return f"set {named} in .env"
    # A table may be the setting's own text, and an address may hold a password.
    shown = "" if value.lstrip().startswith("{") else f" (now {_public(value)})"
    return f"correct {named} in .env{shown}"


def _public(value: str) -> str:
    """Return an address without a name and a password; anything else as it is."""
    parts = urlsplit(value)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.netloc else value
