"""The Celery application: queues are privilege boundaries."""

import gc
import os
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import (
    after_task_publish,
    beat_init,
    celeryd_after_setup,
    heartbeat_sent,
    setup_logging,
    worker_process_init,
    worker_ready,
)
from kombu import Queue

from apps import alive
from apps.workers import bootsteps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings.base")
# Django's checks load the web's URLs and the admin, and Celery does nothing with what they find; `migrate`,
# which every start of the system runs or has run, refuses by them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")

QUEUES = (
    *("scaffold", "build", "workers", "graph", "provision"),
    *("servers", "bot", "hooks", "periodic", "ingest"),
)

_consumes = threading.Event()

app = Celery("orchestrator")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.task_queues = [Queue(name) for name in QUEUES]
app.conf.task_routes = {
    "projects.*": {"queue": "scaffold"},
    # Reads repositories.
    "documents.*": {"queue": "scaffold"},
    # Steps of builds, not builds: these are processes of their own.
    "workers.reconcile_image": {"queue": "build"},
    "workers.collect_images": {"queue": "build"},
    "workers.*": {"queue": "workers"},
    "graph.*": {"queue": "graph"},
    # Playbooks take long: nothing waits behind them.
    "infra.reconcile_provisioning": {"queue": "provision"},
    "infra.drill_backups": {"queue": "provision"},
    "infra.*": {"queue": "servers"},
    "bot.*": {"queue": "bot"},
    "hooks.*": {"queue": "hooks"},
    "periodic.*": {"queue": "periodic"},
    "ingest.*": {"queue": "ingest"},
}
app.autodiscover_tasks()
app.autodiscover_tasks(["apps.infra"], related_name="provisioning_tasks")
app.autodiscover_tasks(["apps.infra"], related_name="server_tasks")
bootsteps.install(app)
# Binds the sender's request id to every log line of the Celery task.
app.steps["worker"].add("django_structlog.celery.steps:DjangoStructLogInitStep")


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Let the settings' LOGGING stand; Celery would replace it."""


# Sent when it is known which queues a worker has, and before it takes anything from them.
@celeryd_after_setup.connect
def take_no_set_ups_with_a_foreign_configuration(instance: Any, **_: Any) -> None:
    """Leave set-ups alone where Ansible would not obey our configuration; other queues are not affected."""
    from apps.infra import starting

    starting.refuse_foreign_configuration(instance.app.amqp.queues)


@celeryd_after_setup.connect
def import_before_the_pool_forks(instance: Any, **_: Any) -> None:
    """Import what only the Celery tasks of this worker's queues need."""
    from orchestrator import preloading

    preloading.preload(instance.app.amqp.queues)


@worker_process_init.connect
@worker_ready.connect
def leave_the_start_out_of_collections(**_: Any) -> None:
    """Freeze what importing the system made: it lives as long as the process.

    A full garbage collection that walks it cost 0.2 to 1.1 s per 210 steps of a flow, frozen 0.02 s.
    """
    gc.freeze()


@worker_ready.connect
def touch_ready_file(**_: Any) -> None:
    """Tell the supervisor that this process consumes its queues."""
    name, var_dir = os.environ.get("STACK_NAME"), os.environ.get("VAR_DIR")
    if name and var_dir:
        ready = Path(var_dir) / "run" / "ready"
        ready.mkdir(parents=True, exist_ok=True)
        (ready / name).touch()


@worker_ready.connect
def live_while_the_broker_is_told(**_: Any) -> None:
    """From now on every heartbeat is a sign of life: the loop turns, and the broker takes what it says."""
    _consumes.set()


# Celery looks for receivers when it makes its heart, which is before it is ready.
@heartbeat_sent.connect
def renew_by_a_heartbeat(**_: Any) -> None:
    """Give a sign of life, once this process consumes its queues."""
    if _consumes.is_set():
        alive.renew()


@beat_init.connect
def live_while_something_is_sent(**_: Any) -> None:
    """Beat lives while the broker takes what is due; there is something every few seconds."""
    after_task_publish.connect(renew)


def renew(**_: Any) -> None:
    """Give a sign of life."""
    alive.renew()
