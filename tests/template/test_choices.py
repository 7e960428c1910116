"""A project may be made of the modules that the template has."""

import pytest

from apps.projects import templating
from apps.projects.models import Module

pytestmark = pytest.mark.unit


def test_projects_may_choose_every_module_of_the_template() -> None:
    assert tuple(Module.values) == templating.known_modules()
