"""Runs on a server, by its own Python (3.9 or newer): jobs that outlive the connection which began them.

    python3 on_server.py begin NAME < a line of JSON, then the release's tree as a tar
    python3 on_server.py inspect NAME | logs NAME BYTES | end NAME | discard RELEASE | port NUMBER | list

Every job has a directory. Its lock file is held by all that runs in it, so it says "alive";
``exit.json`` says how it ended; neither means that nobody knows. A job's variables are handed
on in memory and never written. Nothing of ours is imported: this file is copied to the server.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

HOME = Path(os.environ.get("CODEGEN_HOME") or Path.home() / ".codegen")
JOBS, RELEASES, DATA = HOME / "jobs", HOME / "releases", HOME / "data"
MARK = "CODEGEN_JOB"
LOG_BYTES = 262_144
GRACE_SECONDS, END_SECONDS = 3.0, 10.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_BLOCK = 65_536


class Refused(Exception):
    """What was asked for cannot be done; the text is for people."""


def named(word: str) -> str:
    """Return a word that may be part of a path."""
    if not _NAME.fullmatch(word):
        raise Refused("this is not a name")
    return word


def begin(name: str) -> dict[str, Any]:
    """Start a job, or adopt the one of that name whatever became of it."""
    wanted: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    tree = HOME / f"incoming-{os.getpid()}.tar"
    try:
        if wanted["tree_sha256"]:
            _receive(sys.stdin.buffer, tree, wanted["tree_sha256"])
        with _one_at_a_time():
            if not (JOBS / name).exists():
                _prepare(wanted, tree)
                _start(name, wanted)
    finally:
        tree.unlink(missing_ok=True)
    return inspect(name)


def _receive(source: IO[bytes], target: Path, sha256: str) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != sha256:
        raise Refused("the release's files did not arrive as they were sent")


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (HOME / "begin.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(wanted: dict[str, Any], tree: Path) -> None:
    place = RELEASES / named(wanted["release"])
    if wanted["tree_sha256"]:
        # Nothing has run here yet, so whatever lies there is from an attempt that was lost.
        discard(place.name)
        place.mkdir(parents=True)
        words = ["tar", "--extract", "--file", str(tree), "--directory", str(place)]
        # As in the commit: what an image is built of has to be readable for whoever runs in it.
        words += ["--no-same-owner", "--preserve-permissions"]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    place.mkdir(parents=True, exist_ok=True)


def _start(name: str, wanted: dict[str, Any]) -> None:
    directory = JOBS / name
    directory.mkdir(parents=True)
    lock = os.open(directory / "alive", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    facts = {"deployment": wanted["deployment"], "started": time.time()}
    _write(directory / "job.json", facts)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SSH_")}
    keeper = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), "keep", name],
        env={**environment, MARK: str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(lock,),
        start_new_session=True,
    )
    assert keeper.stdin is not None
    keeper.stdin.write(json.dumps({**wanted, "lock": lock}).encode())
    keeper.stdin.close()
    os.close(lock)


def keep(name: str) -> None:
    """Be the parent of a job until its end, and write down how it ended."""
    wanted: dict[str, Any] = json.load(sys.stdin)
    environment = {**os.environ, **wanted["environment"]}
    if wanted["data"]:
        kept = DATA / named(wanted["project"]) / named(wanted["service"])
        kept.mkdir(parents=True, exist_ok=True)
        environment["DATA_DIR"] = str(kept)
        environment.update({key: str(kept).join(parts) for key, parts in wanted["data_variables"].items()})
    child = subprocess.Popen(
        ["/bin/sh", "-c", wanted["script"]],
        env={**environment, MARK: str(JOBS / name)},
        cwd=RELEASES / wanted["release"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(wanted["lock"],),
    )
    assert child.stdout is not None
    log = threading.Thread(target=_copy_output, args=(child.stdout, JOBS / name / "log"), daemon=True)
    log.start()
    try:
        child.wait(wanted["seconds"])
    except subprocess.TimeoutExpired:
        _end_processes(JOBS / name, but=os.getpid())
    # What it left behind may hold its output open for good.
    log.join(1.0)
    _write(JOBS / name / "exit.json", {"code": child.wait(), "finished": time.time()})


def _copy_output(source: IO[bytes], target: Path) -> None:
    """Keep the end of what a job says."""
    with target.open("ab", buffering=0) as log:
        while said := os.read(source.fileno(), _BLOCK):
            log.write(said)
            _bound(log)


def _bound(log: IO[bytes]) -> None:
    if log.tell() <= 2 * LOG_BYTES:
        return
    content = Path(log.name).read_bytes()[-LOG_BYTES:]
    log.truncate(0)
    log.write(content)


def inspect(name: str) -> dict[str, Any]:
    """Say what is observed of a job."""
    directory = JOBS / name
    if not directory.exists():
        return {"phase": "none"}
    # In this order: who ends between the two looks has written how before it let go.
    is_alive = _is_locked(directory / "alive")
    facts = _read(directory / "job.json")
    known = {"deployment": facts.get("deployment", ""), "started": facts.get("started", 0.0)}
    ended = _read(directory / "exit.json")
    if ended:
        return {**known, "phase": "exited", **ended}
    return {**known, "phase": "running" if is_alive else "lost"}


def _is_locked(path: Path) -> bool:
    try:
        with path.open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def logs(name: str, length: str) -> dict[str, Any]:
    """Return the end of a job's output."""
    try:
        with (JOBS / name / "log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - int(length)))
            return {"text": file.read(int(length)).decode(errors="replace")}
    except FileNotFoundError:
        return {"text": ""}


def end(name: str) -> dict[str, Any]:
    """Stop a job and forget it; nothing of it runs afterwards."""
    with _one_at_a_time():
        if (JOBS / name).exists():
            _end_processes(JOBS / name)
            _remove(JOBS / name)
    return {}


def _end_processes(directory: Path, *, but: int = 0) -> None:
    began = time.monotonic()
    while found := [pid for pid in _processes(directory) if pid != but]:
        lasted = time.monotonic() - began
        if lasted > END_SECONDS:
            raise Refused("what runs there resists")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM if lasted < GRACE_SECONDS else signal.SIGKILL)
        time.sleep(0.05)


def _processes(directory: Path) -> list[int]:
    """Return everything that bears the mark of a job and runs."""
    mark, found = f"{MARK}={directory}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # A dead process that nobody has asked about has no variables any more.
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def discard(release: str) -> dict[str, Any]:
    """Delete the files of a release."""
    _remove(RELEASES / release)
    return {}


def _remove(place: Path) -> None:
    # Not a recursive function of ours: a release may leave trees too deep for one.
    for words in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if not os.path.lexists(place):
            return
        subprocess.run([*words, "--", str(place)], stderr=subprocess.DEVNULL, check=False)
    if os.path.lexists(place):
        raise Refused(f"{place.name} cannot be deleted")


def port(number: str) -> dict[str, Any]:
    """Say whether nobody listens on a port, at whatever address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As a server would: a connection in TIME_WAIT does not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", int(number)))
        except OSError:
            return {"free": False}
    return {"free": True}


def list_jobs() -> dict[str, Any]:
    """Return every job and its deployment."""
    return {"jobs": {path.name: _read(path / "job.json").get("deployment", "") for path in JOBS.iterdir()}}


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content


def _write(path: Path, content: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content))
    new.replace(path)


def main(verb: str, words: list[str]) -> int:
    """Do what the command line says; returns the exit code."""
    os.umask(0o077)
    JOBS.mkdir(parents=True, exist_ok=True)
    verbs: dict[str, Callable[..., Any]] = {
        **{"begin": begin, "inspect": inspect, "logs": logs, "end": end, "discard": discard},
        **{"port": port, "list": list_jobs, "keep": keep},
    }
    try:
        answer = verbs[verb](*map(named, words))
    except (Refused, OSError, subprocess.SubprocessError) as error:
        text = error.strerror or "" if isinstance(error, OSError) else str(error)
        answer = {"refused": text or type(error).__name__}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
