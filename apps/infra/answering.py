"""Whether a release that runs is well: what is asked depends on what kind of service it is."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.infra import releases
from apps.infra.models import ServiceDeployment, ServiceKind
from apps.infra.probe import ProbeResult, probe
from apps.infra.targets.entrance import Entrance, nobody
from apps.telegram import BotResult, get_me

TELEGRAM_URL = "https://api.telegram.org"
#: A service without an address must have run so long without a restart.
STABLE_SECONDS = 5.0
_ASK_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoke:
    """How a release is asked."""

    ask_seconds: float = 2.0  # how long one step asks before it hands over to the next
    telegram_url: str = TELEGRAM_URL
    stable_seconds: float = STABLE_SECONDS
    entrance: Entrance = nobody  # tells where a project's port leads


@dataclass(frozen=True, kw_only=True, slots=True)
class StabilityResult:
    """How long a service without an address has been running, and whether that is enough."""

    seconds: float
    wanted: float

    @property
    def is_healthy(self) -> bool:
        """Whether it has run long enough."""
        return self.seconds >= self.wanted

    def as_json(self) -> dict[str, Any]:
        """Return the form that evidence carries."""
        return {"stable_seconds": round(self.seconds, 3)}


@dataclass(frozen=True, kw_only=True, slots=True)
class BotAnswer:
    """A bot is well when Telegram knows it and it keeps running."""

    bot: BotResult
    stability: StabilityResult

    @property
    def is_healthy(self) -> bool:
        """Whether both are so; what could not be asked is not."""
        return self.bot.is_healthy and self.stability.is_healthy

    def as_json(self) -> dict[str, Any]:
        """Return the form that evidence carries."""
        return {**self.bot.as_json(), **self.stability.as_json()}


Answer = ProbeResult | StabilityResult | BotAnswer


def ask(row: ServiceDeployment, *, url: str, started_at: datetime, smoke: Smoke) -> Answer:
    """Ask a release that runs.

    Args:
        row: the release.
        url: of a web service's health path.
        started_at: of its present process.
        smoke: how to ask.

    """
    if row.kind == ServiceKind.WEB:
        return _ask_web(url, smoke.ask_seconds)
    lived = (timezone.now() - started_at).total_seconds()
    stability = StabilityResult(seconds=lived, wanted=smoke.stable_seconds)
    if row.kind == ServiceKind.WORKER or not row.token_variable:
        _rest(stability, smoke)
        return stability
    bot = get_me(smoke.telegram_url, releases.token_of(row), timeout_seconds=5.0)
    if not bot.is_refused:
        _rest(stability, smoke)
    return BotAnswer(bot=bot, stability=stability)


def complaint(row: ServiceDeployment, answer: Answer) -> tuple[str, str, bool]:
    """Say why a release is not well: a stable code, a sentence, and whether that is our failure."""
    match answer:
        case ProbeResult():
            last = answer.status or answer.error
            return "smoke_failed", f"{row.health_path} did not answer 200 in time; last: {last}.", False
        case BotAnswer() if answer.bot.status is None:
            text = f"Telegram could not be asked about the bot: {answer.bot.error}."
            return "smoke_impossible", text, True
        case BotAnswer() if not answer.bot.is_healthy:
            return "smoke_impossible", f"Telegram answered {answer.bot.status} about the bot.", True
        case _:
            return "smoke_failed", "The service did not keep running.", False


def _ask_web(url: str, seconds: float) -> ProbeResult:
    until = time.monotonic() + seconds
    while True:
        answer = probe(url)
        if answer.is_healthy or time.monotonic() > until:
            return answer
        time.sleep(_ASK_PAUSE_SECONDS)


def _rest(stability: StabilityResult, smoke: Smoke) -> None:
    """Let time pass before the next look, or it would follow at once."""
    left = stability.wanted - stability.seconds
    time.sleep(min(max(left, 0.0), smoke.ask_seconds))
