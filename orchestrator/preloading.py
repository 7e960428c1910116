"""What some Celery tasks import late, imported by a worker of their queue before its pool forks.

Late, because most processes never need it; before the fork, because the processes of a pool then share its
memory, and none of them makes the first task wait.
"""

from collections.abc import Container, Iterator
from importlib import import_module

from django.conf import settings

from apps.bot import composition as bot


def preload(queues: Container[str]) -> None:
    """Import what the Celery tasks of these queues will import."""
    for name in late_modules(queues):
        import_module(name)


def late_modules(queues: Container[str]) -> Iterator[str]:
    """Name the modules that the Celery tasks of these queues import late, as the settings have it."""
    if "graph" in queues:
        yield from ("apps.graph.topology", "langgraph.checkpoint.postgres")
    if "scaffold" in queues:
        yield "copier"
        if settings.GITHUB_ORG:
            yield "apps.projects.forge.github.adapter"
    if "bot" in queues and bot.has_bot():
        yield "apps.bot.telegram.request"
