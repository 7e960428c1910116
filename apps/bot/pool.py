"""Bots that projects may be given, so that nobody has to make one: tokens of the installation's settings."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from apps import telegram
from apps.bot import troubles
from apps.bot.models import Trouble
from apps.infra.models import ServiceDeployment
from apps.projects import services as projects
from apps.projects.models import ProjectSecret, ProjectStatus
from apps.projects.secrets_digest import digest_of
from apps.projects.secrets_formats import is_bot_token
from apps.telegram import BotResult

BOT_TOKEN: Final = "telegram_bot_token"  # the name of a format
#: A refusal takes no time; silence takes this long, once.
_MOST_ASKED: Final = 20
_ASK_SECONDS: Final = 5.0
#: Before the digest, the key of a trouble.
_REFUSED: Final = "pool_token_refused:"
_REFUSED_FOR: Final = timedelta(hours=1)


def ask(*, healthy: int) -> Iterator[tuple[str, BotResult]]:
    """Ask Telegram about free bots in their order; one that it refuses is left alone for an hour.

    An operator is told which one that is. Nobody is asked any more once Telegram is silent.

    Args:
        healthy: so many that Telegram knows are enough.

    """
    for token in free_tokens()[:_MOST_ASKED]:
        bot = telegram.get_me(settings.TELEGRAM_API_BASE_URL, token, timeout_seconds=_ASK_SECONDS)
        if bot.is_refused:
            _note_refusal(token)
        elif bot.is_healthy:
            healthy -= 1
            troubles.resolve(_trouble_of(token))
        yield token, bot
        if bot.status is None or not healthy:
            return


def free_tokens() -> Sequence[str]:
    """Return the tokens, in their order, that no project has and that Telegram did not refuse lately."""
    tokens = [
        token
        for token in settings.TELEGRAM_BOT_TOKENS_POOL
        if is_bot_token(token) and not projects.is_own_bot(token)
    ]
    digests = {token: digest_of(token) for token in tokens}
    taken = _with_bot(list(digests.values())).exclude(pk__in=_given_up().values("pk"))
    held = {*taken.values_list("digest", flat=True), *_refused(list(digests.values()))}
    return [token for token, digest in digests.items() if digest not in held]


def release(token: str) -> None:
    """Take a bot back from a project that was put away and of which nothing runs any more."""
    _given_up().filter(digest=digest_of(token)).delete()


def _note_refusal(token: str) -> None:
    place = settings.TELEGRAM_BOT_TOKENS_POOL.index(token) + 1
    troubles.report(
        key=_trouble_of(token),
        code="pool_token_refused",
        message=(
            f"A bot of the pool is refused: Telegram knows no bot with token no. {place} of"
            " TELEGRAM_BOT_TOKENS_POOL. Take it out, or get a new one from @BotFather (/token)."
        ),
    )


def _refused(digests: Sequence[str]) -> Iterator[str]:
    """Return the digests of the tokens that were refused within the hour."""
    keys = [f"{_REFUSED}{digest}" for digest in digests]
    since = timezone.now() - _REFUSED_FOR
    rows = Trouble.objects.filter(key__in=keys, resolved_at=None, last_at__gt=since)
    return (key.removeprefix(_REFUSED) for key in rows.values_list("key", flat=True))


def _trouble_of(token: str) -> str:
    return f"{_REFUSED}{digest_of(token)}"


def _with_bot(digests: Sequence[str]) -> QuerySet[ProjectSecret]:
    return ProjectSecret.objects.filter(digest__in=digests)


def _given_up() -> QuerySet[ProjectSecret]:
    """Return the bots of archived projects of which no release is left that may still listen."""
    running = ServiceDeployment.objects.exclude(status__in=ServiceDeployment.final_statuses())
    away = ProjectSecret.objects.filter(format=BOT_TOKEN, project__status=ProjectStatus.ARCHIVED)
    return away.exclude(project_id__in=running.values("project_id"))
