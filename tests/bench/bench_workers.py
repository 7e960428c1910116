"""From a request to the agent's process in a hardened container, beside a bare `docker run` of the same."""

import json
import secrets
import shutil
import subprocess
import sys
from typing import Any

from orchestrator.env import ROOT
from tests.journeys.world import running

_BURST_BAR_SECONDS = 12.0
#: Of the median: cold, and of a bare start as well; from a spare.
_COLD_BAR_SECONDS, _COLD_BAR_RATIO, _SPARE_BAR_SECONDS = 1.2, 3.0, 0.4
_NEW_SETTINGS = {
    "WORKERS_RUNTIME": "docker",
    "WORKERS_IMAGE_PREFIX": "codegen-test-worker",
    "WORKERS_MAX_CONCURRENT": "20",
}


def measure() -> dict[str, dict[str, object]]:
    """Start a stack of its own with a Docker daemon; without one nothing is measured."""
    if not _has_daemon():
        print("  worker starts: no Docker daemon, nothing measured")
        return {}
    cold, warm = _figures({}), _figures({"WORKERS_WARM_POOL": "1"}, burst=0)
    return {
        **{
            f"request to agent, {how}, {part}": {
                "value": found["agent"][part],
                "unit": "s",
                "baseline": found["bare"][part],
                "at_most": _bar(how, part, found["bare"][part]),
            }
            for how, found in (("cold", cold), ("from a spare", warm))
            for part in ("p50", "p95")
        },
        "burst of 20 workers, all ready": {
            "value": cold["burst"],
            "unit": "s",
            "at_most": _BURST_BAR_SECONDS,
        },
        "image builds during these starts": {"value": cold["builds"], "unit": "", "at_most": 0},
    }


def _bar(how: str, part: str, bare: float) -> float | None:
    if part != "p50":
        return None
    return min(_COLD_BAR_SECONDS, _COLD_BAR_RATIO * bare) if how == "cold" else _SPARE_BAR_SECONDS


def _figures(settings: dict[str, str], *, burst: int = 20) -> dict[str, Any]:
    own = {**_NEW_SETTINGS, "WORKERS_INSTALLATION": f"t{secrets.token_hex(5)}", **settings}
    with running(settings=own) as world:
        script = f"from tests.bench import worker_starts; worker_starts.main(burst={burst})"
        ended = subprocess.run(
            [sys.executable, "-m", "manage", "shell", "--no-imports", "--command", script],
            env=world.stack.child_env(),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise RuntimeError(f"{ended.stderr[-2_000:]}\n{world.logs()}")
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def _has_daemon() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True).returncode == 0
