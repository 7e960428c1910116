"""A whole round of looks: how long it takes, how many are open at once, how much memory it needs.

`HEALTH_SERVERS=1000` (which the bench sets) makes it the size of the bar: 60 s.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from apps.infra import health
from apps.infra.models import Server, ServerMetric, SshIdentity
from apps.periodic.recording import Run
from orchestrator.env import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.django_db]

SERVERS = int(os.environ.get("HEALTH_SERVERS", "40"))
CONNECTIONS = 50 if SERVERS >= 1_000 else 8
LISTENERS = 20


@pytest.fixture
def farm() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    argv = [sys.executable, "-m", "tests.bench.ssh_farm", str(LISTENERS)]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout
        yield process, json.loads(process.stdout.readline())
        process.kill()


def plant(farm: dict[str, Any]) -> None:
    servers = Server.objects.bulk_create(
        Server(
            name=f"farm-{number}",
            kind="ssh",
            host="127.0.0.1",
            ssh_port=farm["ports"][number % LISTENERS],
            admin_user="root",
            host_key=farm["host_key"],
            status="active",
            port_range_start=20_000,
            port_range_end=20_999,
        )
        for number in range(SERVERS)
    )
    SshIdentity.objects.bulk_create(
        SshIdentity(server=server, purpose="admin", status="installed", private_key=farm["identity"])
        for server in servers
    )


def check() -> tuple[Run, float]:
    run, began = Run("health_check"), time.monotonic()
    health.check_servers(run)
    return run, time.monotonic() - began


def test_round_looks_at_everybody_over_few_connections_and_leaves_no_memory_behind(farm, settings):
    process, where = farm
    settings.SERVERS_HEALTH_CONNECTIONS, settings.SERVERS_HEALTH_SECONDS = CONNECTIONS, 60.0
    plant(where)

    first, seconds = check()
    before = psutil.Process().memory_info().rss
    second, _ = check()
    grown = (psutil.Process().memory_info().rss - before) / 1_048_576
    process.stdin.close()
    most = json.loads(process.stdout.readline())["most"]

    print("health", json.dumps({"servers": SERVERS, "seconds": seconds, "grown_mb": grown, "open": most}))
    assert (first.counts["seen"], second.counts["seen"], first.failed) == (SERVERS, SERVERS, 0)
    assert ServerMetric.objects.count() == 2 * SERVERS
    assert most <= CONNECTIONS
    assert grown < 30
