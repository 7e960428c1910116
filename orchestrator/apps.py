"""The composition root as a Django application: checks, management commands, templates."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Registers what belongs to no single app."""

    name = "orchestrator"
    label = "orchestrator"
    verbose_name = "Orchestrator"

    def ready(self) -> None:
        """Register the system checks, the periodic entries, and the Celery application."""
        from orchestrator import celery, checks, openapi, schedule

        # In every thread of every process, else a web thread would send to an application of no settings.
        celery.app.set_default()

        checks.register_all()
        schedule.connect()
        openapi.register()
