"""Where settings become objects of this app."""

from functools import cache

from django.conf import settings

from apps.infra.targets.base import DeployTarget
from apps.infra.targets.local import LocalTarget
from apps.units import toolchain
from apps.units.environment import base_environment
from apps.units.supervisor import Units


@cache
def get_target() -> DeployTarget:
    """Return the deploy target of this installation."""
    tools = toolchain.prepare(settings.TOOLS_DIR)
    return LocalTarget(
        units=Units(settings.UNITS_DIR),
        releases=settings.DEPLOYMENTS_DIR,
        data=settings.DATA_DIR,
        environment=base_environment(tools, outer=settings.UNITS_OUTER_ENVIRONMENT),
    )
