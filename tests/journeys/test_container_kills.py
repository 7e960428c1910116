"""Workers in containers die at random moments, of four causes: each ends once and rightly, its work stays.

`make test` strikes once with each cause; `CHAOS=all` (`make chaos`) strikes 200 times (CHAOS_KILLS=N: so
often, CHAOS_SECONDS=N: for so long) and keeps the list. CHAOS_SEED=N draws other moments. The daemon is the
test's own.
"""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.env import ROOT
from orchestrator.installation import BASE_IMAGE, LOCAL_BASE_IMAGE
from tests import docker_engine
from tests.journeys.hunt import CELERY, DAEMON, PERSONAL, Hunt
from tests.journeys.world import running
from tests.own_daemon import own_daemon

IS_CHAOS = os.environ.get("CHAOS") == "all"
KILLS = int(os.environ.get("CHAOS_KILLS") or 200)
SEED = int(os.environ.get("CHAOS_SEED") or 20261122)
#: Of a hundred kills; the rest of the processes of the system are the matter of test_kills.
SHARES = {
    **dict(zip(PERSONAL, (45, 27), strict=True)),
    **dict(zip(DAEMON, (4, 4), strict=True)),
    **dict(zip(CELERY, (8, 6, 6), strict=True)),
}
#: How the agents work, in turn: those that leave their edits uncommitted do so for longer than any snapshot
#: is away.
HABITS = {"edits": 32, "drafts": 50, "aside": 50} if IS_CHAOS else {"edits": 7, "drafts": 7, "aside": 7}
SECONDS = int(os.environ.get("CHAOS_SECONDS") or 400 + KILLS * 18) if IS_CHAOS else 500
#: What crashed calls leave behind is removed when it is ten minutes old.
TIDY_SECONDS = 720 if IS_CHAOS else 60
SETTINGS = {
    "WORKERS_RUNTIME": "docker",
    "WORKERS_TURN_TIMEOUT_SECONDS": "150",
    # So small that it is used up at once, and enough for the wrapper and its agent.
    "WORKERS_MEMORY_MB": "256",
}
#: Of one task: workers, and starts of the checks of one commit.
ATTEMPTS, CHECK_ATTEMPTS = 3, 2
KINDS_LEFT = {"containers", "networks", "volumes", "images", "ACL users", "streams"}
pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.timeout(SECONDS + TIDY_SECONDS + 300)]


@pytest.fixture(scope="module")
def hunt() -> Iterator[Hunt]:
    """All kills done, all that was begun ended; the system still runs."""
    draw = random.Random(SEED)
    plan = _plan(draw)
    base_image, images = _images()
    with own_daemon() as daemon:
        daemon.take_images([base_image])
        # The stack starts meanwhile; no worker is asked for before.
        copying = threading.Thread(target=daemon.take_images, args=(images,))
        copying.start()
        settings = {**SETTINGS, "DOCKER_HOST": daemon.address, "WORKERS_BASE_IMAGE": base_image}
        with running(settings=settings) as world:
            copying.join()
            hunt = Hunt(
                world,
                daemon,
                plan=list(plan),
                draw=draw,
                habits=HABITS,
                tasks_at_once=7 if IS_CHAOS else 2,
                share=0.85 if IS_CHAOS else 1.0,
                say=_say,
            )
            try:
                hunt.run(seconds=SECONDS)
                hunt.look_behind(seconds=TIDY_SECONDS)
            finally:
                _keep(hunt, len(plan))
            assert world.stack.runtime is not None
            installation = world.stack.runtime.installation
        hunt.look_after(installation)
        _keep(hunt, len(plan))
        yield hunt


def _say(words: str) -> None:
    if IS_CHAOS:
        print(words, flush=True)


def _plan(draw: random.Random) -> list[str]:
    if not IS_CHAOS:
        return [*PERSONAL, draw.choice(CELERY), draw.choice(DAEMON)]
    kinds = [kind for kind, share in SHARES.items() for _ in range(round(share * KILLS / 100))]
    draw.shuffle(kinds)
    return kinds


def _images() -> tuple[str, list[str]]:
    """Return the image that workers' images are built on, and those that the journey needs, built."""
    client = docker_engine.client()
    tags = {tag for image in client.images.list() for tag in image.tags}
    client.close()
    configured = os.environ.get("WORKERS_BASE_IMAGE")
    base = next((name for name in (configured, BASE_IMAGE, LOCAL_BASE_IMAGE) if name in tags), None)
    if base is None:
        pytest.skip("there is no image to build the workers' on (scripts/base_image makes one)")
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "orchestrator.settings.lint",
        "WORKERS_BASE_IMAGE": base,
    }
    argv = [sys.executable, "manage.py", "build_worker_image", "base", "rehearsal", "--quiet"]
    built = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return base, [line.split()[1] for line in built.stdout.splitlines()]


def _keep(hunt: Hunt, planned: int) -> None:
    """Write down every kill, also of a hunt that failed."""
    place = os.environ.get("CHAOS_CONTAINERS_FILE")
    path = Path(place) if place else Path(os.environ["VAR_DIR"], "chaos", "containers.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "seed": SEED,
        "planned": planned,
        "kills": hunt.kills,
        "workers": hunt.workers,
        "tasks": hunt.tasks,
        "repeated": hunt.repeated,
        "left": hunt.left,
    }
    path.write_text(json.dumps(content, indent=1))


def test_kills_of_every_cause_were_done(hunt: Hunt) -> None:
    planned = len(_plan(random.Random(SEED)))

    assert len(hunt.kills) >= planned
    assert set(PERSONAL) < {kill["kind"] for kill in hunt.kills}


def test_each_worker_ends_with_the_right_reason_and_its_work_is_kept(hunt: Hunt) -> None:
    wrong = [worker for worker in hunt.workers if worker["problems"]]

    assert wrong == []


def test_each_worker_ends_once_and_is_removed_once(hunt: Hunt) -> None:
    assert hunt.repeated == []


def test_a_task_fails_only_when_all_its_attempts_were_killed(hunt: Hunt) -> None:
    gave_up = [end for end in hunt.tasks if end["status"] != "succeeded"]
    killed = [end for end in gave_up if end["lost"] >= ATTEMPTS or end["lost_checks"] >= CHECK_ATTEMPTS]

    assert gave_up == killed
    assert {end["status"] for end in gave_up} <= {"crashed"}
    assert all(end["failure"]["kind"] == "platform" for end in gave_up)


def test_nothing_is_left_behind(hunt: Hunt) -> None:
    assert {kind for kind, names in hunt.left.items() if not names} == KINDS_LEFT
