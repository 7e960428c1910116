"""Which CLI commands a worker may use. The server decides with this; inside a worker it is a courtesy."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

PROFILES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "PRODUCT_OWNER": ("*",),
        "DEVELOPER": ("project.get", "project.list", "engineering.status", "respond"),
        "DEVOPS": ("project.get", "deploy.*", "infra.*", "respond"),
    }
)
"""Named lists of allowed commands."""


def is_allowed(allowed: Iterable[str], command: str) -> bool:
    """Tell whether a dotted command is covered by a list of permissions.

    `*` covers everything, `group.*` everything inside the group, anything else only itself.
    An empty list allows nothing.
    """
    return bool(command) and any(_covers(pattern, command) for pattern in allowed)


def _covers(pattern: str, command: str) -> bool:
    if pattern == "*":
        return True
    if pattern.endswith(".*"):
        return len(pattern) > 2 and command.startswith(pattern[:-1])
    return pattern == command
