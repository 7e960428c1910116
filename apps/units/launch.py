"""The starter's side of a start: fill the unit's directory, hand the plan to a new shim.

Every step may be the last one of a starter that is killed. Until the shim has
written ``process.json`` nothing has run, and the next start wipes what was
prepared and begins again; from then on every start adopts.
"""

import os
import resource
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from apps.units import cache, layout
from apps.units.plan import Plan
from apps.units.spec import UnitInvalid, UnitSpec, UnitsUnavailable

#: A shim needs about 30 ms; a machine this slow cannot be worked with.
_HANDOVER_SECONDS = 20.0

_SOURCES = str(Path(__file__).resolve().parents[2])

#: ``-c`` and an import instead of a script's path: scripts are compiled anew at every start.
_BOOT = (
    "import sys; sys.path.append(sys.argv[4]); from apps.units import shim; "
    "shim.main(int(sys.argv[2]), int(sys.argv[3]))"
)


def prepare(directory: Path, spec: UnitSpec, uid: int | None, shared_cache: Path) -> Plan:
    """Fill a unit's directory, whatever an earlier attempt has left there, and return what the shim is to do.

    The directory is the control plane's; the unit's uid may pass through it,
    read ``input`` and own ``work``, ``home``, ``tmp`` and ``cache`` below it.

    Raises:
        UnitInvalid: an input or the work directory does not exist.
    """
    _wipe(directory)
    _grant(directory, None, uid, 0o710)
    _grant(directory / layout.INPUT, None, uid, 0o750)
    for name in (layout.WORK, layout.HOME, layout.TMP):
        _grant(directory / name, uid, uid, 0o700)
    _copy_inputs(directory / layout.INPUT, spec, uid)
    work = directory / layout.WORK if spec.workdir is None else spec.workdir.absolute()
    if not work.is_dir():
        raise UnitInvalid("workdir is not a directory", details={"workdir": str(work)})
    environment = {
        "HOME": str(directory / layout.HOME),
        "TMPDIR": str(directory / layout.TMP),
        "INPUT_DIR": str(directory / layout.INPUT),
        **spec.env,
    }
    if spec.cache:
        environment |= cache.prepare(shared_cache, directory / layout.CACHE, uid)
    cookie = secrets.token_hex(16)
    environment[layout.COOKIE] = cookie
    layout.write_json(str(directory), layout.SPEC, _kept(spec, work))
    return Plan(
        directory=str(directory),
        work=str(work),
        argv=spec.argv,
        environment=environment,
        uid=uid,
        timeout_seconds=spec.timeout_seconds,
        stop_grace_seconds=spec.stop_grace_seconds,
        log_limit_bytes=spec.log_limit_bytes,
        limits=_limits(spec, uid),
        cookie=cookie,
    )


def hand_over(plan: Plan, name: str, locks: tuple[int, int]) -> None:
    """Start a shim that holds these locks and runs the plan; return when the command runs.

    Raises:
        UnitsUnavailable: the shim could not be started or did not answer; asking again is safe.
    """
    complaints = os.path.join(plan.directory, layout.SHIM_ERRORS)
    argv = [sys.executable, "-I", "-S", "-c", _BOOT, name, *map(str, locks), _SOURCES]
    with open(complaints, "wb") as errors:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={},
                cwd=plan.directory,
                pass_fds=locks,
                start_new_session=True,
            )
        except OSError as error:
            raise UnitsUnavailable(f"cannot start a supervisor: {error}") from error
    with process:
        try:
            answer, _ = process.communicate(plan.dump(), timeout=_HANDOVER_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise UnitsUnavailable(f"the supervisor of {name} did not answer") from error
    if answer != b"ok":
        tail = Path(complaints).read_text(errors="replace")[-500:]
        raise UnitsUnavailable(f"the supervisor of {name} did not start", details={"errors": tail})


def _wipe(directory: Path) -> None:
    for entry in os.scandir(directory):
        if entry.name in (layout.LOCK, layout.SHIM_LOCK):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _grant(directory: Path, owner: int | None, group: int | None, mode: int) -> None:
    """Make a directory; without uids of their own, units are we and need nothing granted."""
    directory.mkdir(exist_ok=True)
    if group is not None:
        os.chown(directory, -1 if owner is None else owner, group)
    directory.chmod(mode if group is not None else 0o700)


def _copy_inputs(target: Path, spec: UnitSpec, uid: int | None) -> None:
    for name, source in spec.inputs.items():
        copy = target / name
        try:
            shutil.copyfile(source, copy)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise UnitInvalid("an input is not a file", details={"inputs": name}) from error
        if uid is not None:
            os.chown(copy, -1, uid)
        copy.chmod(0o440)


def _limits(spec: UnitSpec, uid: int | None) -> dict[int, int]:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: spec.limits.open_files,
        resource.RLIMIT_FSIZE: spec.limits.file_size_bytes,
    }
    if uid is not None:
        limits[resource.RLIMIT_NPROC] = spec.limits.processes
    return limits


def _kept(spec: UnitSpec, work: Path) -> layout.Document:
    """Return what is remembered of a spec: everything but its command and environment."""
    return {
        "name": spec.name,
        "account": spec.account or spec.name,
        "work": str(work),
        "stop_grace_seconds": spec.stop_grace_seconds,
        "on_exit": None if spec.on_exit is None else [spec.on_exit[0], dict(spec.on_exit[1])],
        "labels": dict(spec.labels),
    }
