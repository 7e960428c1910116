"""Hands a release's secrets to the git host; once it has them, their values leave our database."""

import json
import logging
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.errors import Unavailable
from apps.projects import dispatch_errors as ends
from apps.projects.forge.hosting import Hosting
from apps.projects.models import Dispatch, ProjectSecret, SecretSource
from apps.projects.workspace import known_repository
from apps.telegram import get_me

logger = logging.getLogger(__name__)

TOKEN_FORMAT = "telegram_bot_token"


class TelegramUnavailable(Unavailable):
    """Telegram does not answer, so nobody knows whether the bot's token is good."""

    code = "telegram_unavailable"


def hand_over(row: Dispatch, host: Hosting, *, telegram_url: str, now: datetime) -> None:
    """Store everything a run needs with the git host.

    A bot's token is shown to Telegram first: afterwards nobody here can do that.

    Args:
        row: the run.
        host: where it will run.
        telegram_url: of the Bot API.
        now: the present time.

    Raises:
        BotTokenRefused: Telegram knows no such bot; the token is forgotten, so that it is asked for again.
        SecretRefused: the host takes a name or a value not.
        SecretsLost: the host no longer has what only it had.
        Unavailable: the host or Telegram cannot be asked.

    """
    repository = known_repository(row.project)
    secrets = list(ProjectSecret.objects.filter(project_id=row.project_id, key__in=row.secret_keys))
    there = host.list_secrets(repository)
    _check_lost([secret for secret in secrets if not secret.value and secret.key not in there])
    fresh = [secret for secret in secrets if secret.value]
    bots = {secret.key: _ask(secret, telegram_url) for secret in fresh if secret.format == TOKEN_FORMAT}
    access: dict[str, str] = json.loads(row.access)
    host.put_secrets(repository, {**{secret.key: secret.value for secret in fresh}, **access})
    with transaction.atomic():
        for secret in fresh:
            # One that was replaced meanwhile stays here for the next run.
            ProjectSecret.objects.filter(pk=secret.pk, digest=secret.digest).update(value="", stored_at=now)
        Dispatch.objects.filter(pk=row.pk).update(access="{}", prepared_at=now, bots=bots)


def _check_lost(lost: list[ProjectSecret]) -> None:
    if not lost:
        return
    keys = sorted(secret.key for secret in lost)
    given = [secret.pk for secret in lost if secret.source == SecretSource.USER]
    # Without its row the next deployment asks for it.
    ProjectSecret.objects.filter(pk__in=given).exclude(stored_at=None).delete()
    raise ends.SecretsLost(
        f"The git host has lost {', '.join(keys)}; only it had the values. Give them again and deploy again.",
        details={"keys": keys},
    )


def _ask(secret: ProjectSecret, telegram_url: str) -> dict[str, Any]:
    found = get_me(telegram_url, secret.value)
    if found.is_refused:
        ProjectSecret.objects.filter(pk=secret.pk, digest=secret.digest).delete()
        raise ends.BotTokenRefused(details={"key": secret.key})
    if not found.is_healthy:
        raise TelegramUnavailable(details={"status": found.status, "error": found.error})
    return found.as_json()
