"""What a verification's unit is given: the driver, the bundle, and what to prove. No token, no secret."""

import json
import zipfile
from pathlib import Path
from typing import Final

import worker_image.verify
from apps.workers.models import Verification
from apps.workers.runtime.base import ContainerSpec, Network

_DRIVER: Final = "verify.zip"
_REQUEST: Final = "request.json"
_BUNDLE: Final = "repository.bundle"
#: The driver ends before the unit does, so that a check that hangs is told from a unit that was lost.
_REPORT_SECONDS: Final = 20.0
_MEMORY_BYTES: Final = 2 * 1024**3


def container_spec(row: Verification, bundle: Path, directory: Path, *, seconds: float) -> ContainerSpec:
    """Return the unit of a verification's present attempt.

    Args:
        row: what is to be proven.
        bundle: the repository.
        directory: where the other inputs are written; needed until the unit was started.
        seconds: hard deadline of the unit.

    """
    request = {
        "base_sha": row.base_sha,
        "head_sha": row.head_sha,
        "commands": row.commands,
        "protected": row.protected,
        "deadline_seconds": max(1.0, seconds - min(_REPORT_SECONDS, seconds / 2)),
    }
    (directory / _REQUEST).write_text(json.dumps(request))
    write_driver(directory / _DRIVER)
    return ContainerSpec(
        name=row.container_name,
        command=("sh", "-c", f'exec python3 -I "$INPUT_DIR/{_DRIVER}" "$INPUT_DIR"'),
        inputs={
            _DRIVER: directory / _DRIVER,
            _REQUEST: directory / _REQUEST,
            _BUNDLE: bundle,
        },
        labels={"owner": "codegen-orchestrator", "verification": str(row.pk), "project": str(row.project_id)},
        memory_bytes=_MEMORY_BYTES,
        network=Network.EGRESS,
        read_only_root=True,
        deadline_seconds=seconds,
        stop_grace_seconds=2.0,
        on_exit=("workers.reconcile_verification", {"verification_id": str(row.pk)}),
        cache=True,
    )


def write_driver(path: Path) -> None:
    """Pack the driver into one file that any Python runs: it needs nothing but the standard library."""
    package = Path(worker_image.verify.__file__).parent
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("worker_image/__init__.py", "")
        for source in sorted(package.glob("*.py")):
            archive.write(source, f"worker_image/verify/{source.name}")
        archive.writestr("__main__.py", "from worker_image.verify.driver import main\n\nmain()\n")
