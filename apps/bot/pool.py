"""Bots that projects may be given, so that nobody has to make one: tokens of the installation's settings."""

from collections.abc import Sequence
from typing import Final

from django.conf import settings
from django.db.models import QuerySet

from apps.infra.models import ServiceDeployment
from apps.projects import services as projects
from apps.projects.models import ProjectSecret, ProjectStatus
from apps.projects.secrets_digest import digest_of
from apps.projects.secrets_formats import is_bot_token

BOT_TOKEN: Final = "telegram_bot_token"  # the name of a format


def free_tokens() -> Sequence[str]:
    """Return the tokens of the pool that no project has, in their order."""
    tokens = [
        token
        for token in settings.TELEGRAM_BOT_TOKENS_POOL
        if is_bot_token(token) and not projects.is_own_bot(token)
    ]
    digests = {token: digest_of(token) for token in tokens}
    taken = _with_bot(list(digests.values())).exclude(pk__in=_given_up().values("pk"))
    held = set(taken.values_list("digest", flat=True))
    return [token for token, digest in digests.items() if digest not in held]


def release(token: str) -> None:
    """Take a bot back from a project that was put away and of which nothing runs any more."""
    _given_up().filter(digest=digest_of(token)).delete()


def _with_bot(digests: Sequence[str]) -> QuerySet[ProjectSecret]:
    return ProjectSecret.objects.filter(digest__in=digests)


def _given_up() -> QuerySet[ProjectSecret]:
    """Return the bots of archived projects of which no release is left that may still listen."""
    running = ServiceDeployment.objects.exclude(status__in=ServiceDeployment.final_statuses())
    away = ProjectSecret.objects.filter(format=BOT_TOKEN, project__status=ProjectStatus.ARCHIVED)
    return away.exclude(project_id__in=running.values("project_id"))
