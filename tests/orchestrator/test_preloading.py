"""What a process imports: heavy libraries only where they are needed, and there before a pool forks."""

import os
import subprocess
import sys

import pytest

from orchestrator import preloading
from orchestrator.celery import QUEUES
from orchestrator.env import ROOT

pytestmark = pytest.mark.unit

#: Of each the time to import it is felt by whoever starts a dozen processes.
HEAVY = (
    *("langgraph", "langchain_core", "langsmith", "copier", "github", "telegram"),
    *("unfold.admin", "drf_spectacular.openapi", "rest_framework.views", "orchestrator.urls"),
)
SYSTEM = """
import sys, django
django.setup()
from orchestrator.celery import app
app.loader.import_default_modules()
print(*sys.modules)
"""


@pytest.fixture(scope="module")
def of_a_celery_process() -> set[str]:
    """What is imported by a process that takes part in Celery, whatever its queues."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "orchestrator.settings.lint"}
    argv = [sys.executable, "-c", SYSTEM]
    return set(subprocess.check_output(argv, cwd=ROOT, env=environment, text=True).split())


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_library_is_imported_late(of_a_celery_process, name):
    assert name not in of_a_celery_process


def test_every_celery_task_is_known_without_the_web(of_a_celery_process):
    loaders = {name for name in of_a_celery_process if name.startswith("apps.")}

    assert {"apps.bot.intake", "apps.bot.chat_tasks", "apps.infra.server_tasks"} <= loaders


def test_queue_s_late_modules_exist_and_belong_to_the_queue(settings):
    settings.GITHUB_ORG, settings.TELEGRAM_BOT_TOKEN = "org", "1:token"

    preloading.preload(QUEUES)

    assert all(name in sys.modules for name in preloading.late_modules(QUEUES))
    assert set(preloading.late_modules({"graph"})) == {"apps.graph.topology", "langgraph.checkpoint.postgres"}
    assert list(preloading.late_modules({"ingest", "periodic"})) == []


def test_without_a_bot_or_a_github_nothing_of_theirs_is_loaded(settings):
    settings.GITHUB_ORG, settings.TELEGRAM_BOT_TOKEN = "", ""

    assert list(preloading.late_modules({"scaffold", "bot"})) == ["copier"]
