"""What a verification's unit is given: the driver, the bundle, and what to prove. No token, no secret."""

import json
import zipfile
from pathlib import Path
from typing import Final

import worker_image.verify
from apps.workers.models import Verification
from apps.workers.runtime.base import ContainerSpec, HostMount, Network
from worker_image.verify import packages
from worker_image.verify.spec import BUNDLE_NAME, SPEC_NAME

_DRIVER: Final = "verify.zip"
_PACKAGES: Final = "/opt/packages"
_MEMORY_BYTES: Final = 2 * 1024**3
#: Shares of the whole time that single commands may take; what is left over ends at the unit's deadline.
_SHARES: Final = {"clone_seconds": 0.2, "setup_seconds": 0.5, "tests_seconds": 0.2, "check_seconds": 0.6}
#: From the request to end to the end: the driver kills what runs and writes what it knows.
_REPORT_SECONDS: Final = 10.0
_START: Final = """\
import runpy

runpy.run_module("worker_image.verify", run_name="__main__", alter_sys=True)
"""


def container_spec(
    row: Verification, bundle: Path, directory: Path, *, seconds: float, package_cache: Path | None = None
) -> ContainerSpec:
    """Return the unit of a verification's present attempt.

    Args:
        row: what is to be proven.
        bundle: the repository.
        directory: where the other inputs are written; needed until the unit was started.
        seconds: hard deadline of the unit.
        package_cache: of the installers, filled by trusted code only; it is laid beside the unit, read-only.

    """
    request = {
        "base_sha": row.base_sha,
        "head_sha": row.head_sha,
        "commands": row.commands,
        "protected": row.protected,
        "allow_removed_tests": row.allow_removed_tests,
        "limits": {name: max(1.0, share * seconds) for name, share in _SHARES.items()},
    }
    (directory / SPEC_NAME).write_text(json.dumps(request))
    write_driver(directory / _DRIVER)
    mount = HostMount(source=package_cache, target=_PACKAGES, read_only=True) if package_cache else None
    return ContainerSpec(
        name=row.container_name,
        command=("sh", "-c", f'exec python3 -I "$INPUT_DIR/{_DRIVER}" --spec {SPEC_NAME}'),
        inputs={
            _DRIVER: directory / _DRIVER,
            SPEC_NAME: directory / SPEC_NAME,
            BUNDLE_NAME: bundle,
        },
        labels={"owner": "codegen-orchestrator", "verification": str(row.pk), "project": str(row.project_id)},
        memory_bytes=_MEMORY_BYTES,
        network=Network.EGRESS,
        read_only_root=True,
        deadline_seconds=seconds,
        stop_grace_seconds=_REPORT_SECONDS,
        on_exit=("workers.reconcile_verification", {"verification_id": str(row.pk)}),
        cache=True,
        mounts=(mount,) if mount else (),
        environment={packages.VARIABLE: _PACKAGES} if mount else {},
    )


def write_driver(path: Path) -> None:
    """Pack the driver into one file that any Python runs: it needs nothing but the standard library."""
    package = Path(worker_image.verify.__file__).parent
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("worker_image/__init__.py", "")
        for source in sorted(package.glob("*.py")):
            archive.write(source, f"worker_image/verify/{source.name}")
        archive.writestr("__main__.py", _START)
