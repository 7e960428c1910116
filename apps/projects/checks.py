"""System checks of this app's settings: what would only fail the next scaffold is refused at start."""

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from apps.check_tags import SETTINGS
from apps.errors import OrchestratorError
from apps.projects import composition, templating


def check_template(**_: Any) -> list[CheckMessage]:
    """Refuse a template that cannot be what the settings say; nothing is fetched."""
    try:
        source = composition.get_template()
        if source is not None:
            source.check()
            source.mapping.check(templating.known_modules())
    except OrchestratorError as error:
        return [Error(error.message, id="projects.E001")]
    return []


def check_forge(**_: Any) -> list[CheckMessage]:
    """Refuse a git host that there is no adapter of."""
    try:
        composition.default_forge()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="projects.E002")]
    return []


def register_all() -> None:
    """Register every check of this module."""
    register(check_template, SETTINGS)
    register(check_forge, SETTINGS)
