"""The composition root as a Django application: checks, management commands, templates."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    """Registers what belongs to no single app."""

    name = "orchestrator"
    label = "orchestrator"
    verbose_name = "Orchestrator"

    def ready(self) -> None:
        """Register the system checks and the creation of periodic entries."""
        from orchestrator import checks, openapi, schedule

        checks.register_all()
        schedule.connect()
        openapi.register()
