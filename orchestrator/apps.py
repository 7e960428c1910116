"""The composition root as a Django application: checks, management commands, templates."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register

from orchestrator.logging import remember_password_of, remember_secret


class LateAdminConfig(SimpleAdminConfig):
    """The admin, whose pages are loaded by the URLs that lead to them: only the web process has any."""

    def ready(self) -> None:
        """Register the checks of Django's own configuration, which look at pages that are loaded."""
        register(check_dependencies, Tags.admin)
        register(check_admin_pages, Tags.admin)


def check_admin_pages(**options: Any) -> list[CheckMessage]:
    """Check every page of the admin, as Django does."""
    admin.autodiscover()
    return list(check_admin_app(**options))


class OrchestratorConfig(AppConfig):
    """Registers what belongs to no single app."""

    name = "orchestrator"
    label = "orchestrator"
    verbose_name = "Orchestrator"

    def ready(self) -> None:
        """Register the checks, the periodic entries, the Celery application, and what logs must hide."""
        from orchestrator import celery, checks, notices, schedule

        _remember_secrets()

        # In every thread of every process, else a web thread would send to an application of no settings.
        celery.app.set_default()

        checks.register_all()
        schedule.connect()
        notices.connect()


def _remember_secrets() -> None:
    """Mask the settings' own secrets in every later log line."""
    keys = (settings.ANTHROPIC_API_KEY, settings.OPENAI_API_KEY, settings.FACTORY_API_KEY)
    githubs = (settings.GITHUB_APP_PRIVATE_KEY, settings.GITHUB_WEBHOOK_SECRET)
    bots = (settings.TELEGRAM_BOT_TOKEN, *settings.TELEGRAM_BOT_TOKENS_POOL)
    accounts = (settings.TIME4VPS_PASSWORD,)
    for secret in (settings.SECRET_KEY, *settings.ENCRYPTION_KEYS, *keys, *githubs, *bots, *accounts):
        remember_secret(secret)
    servers = (settings.DATABASE_URL, settings.REDIS_URL, settings.CHANNEL_REDIS_URL)
    for url in (*servers, settings.SCAFFOLD_TEMPLATE):
        remember_password_of(url)
