"""Bots that projects may be given, so that nobody has to make one: tokens of the installation's settings."""

from collections.abc import Sequence
from typing import Final

from django.conf import settings

from apps.projects.models import ProjectSecret
from apps.projects.secrets_digest import digest_of
from apps.projects.secrets_formats import format_problem

BOT_TOKEN: Final = "telegram_bot_token"  # the name of a format


def free_tokens() -> Sequence[str]:
    """Return the tokens of the pool that no project has, in their order."""
    tokens = [token for token in settings.TELEGRAM_BOT_TOKENS_POOL if not format_problem(token, BOT_TOKEN)]
    digests = {token: digest_of(token) for token in tokens}
    taken = set(
        ProjectSecret.objects.filter(format=BOT_TOKEN, digest__in=digests.values()).values_list(
            "digest", flat=True
        )
    )
    return [token for token, digest in digests.items() if digest not in taken]
