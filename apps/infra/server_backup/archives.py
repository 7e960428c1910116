"""Archives of projects: made, tried, put in place."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apps.infra.server_backup.projects import Project, Refused, docker, note_of
from apps.infra.server_backup.trees import digest_of, entries, pack, sha256_of

#: Archives leave so much of the disk alone.
_SPARE_SHARE = 0.1


def archive(project: Project) -> dict[str, Any]:
    """Archive a project; the archive appears whole or not at all."""
    roots = project.roots()
    if not roots:
        return {"outcome": "nothing"}
    project.archives.mkdir(mode=0o700, parents=True, exist_ok=True)
    needed = sum(seen.st_size for name, root in roots.items() for _, _, seen in entries(root, name))
    while not _has_room(project.archives, needed) and len(project.complete()) > 1:
        project.complete()[0].unlink()
    _see_room(project.archives, needed)
    target = _new_name(project)
    descriptor, partial = tempfile.mkstemp(dir=project.archives, prefix=".partial-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            with project.frozen():
                note = pack(roots, file)
            file.flush()
            os.fsync(file.fileno())
        note |= {"made_at": int(time.time()), "sha256": sha256_of(Path(partial))}
        note["bytes"] = Path(partial).stat().st_size
        _write(note_of(target), note)
        os.rename(partial, target)
    finally:
        Path(partial).unlink(missing_ok=True)
    forget_old(project)
    return {"outcome": "archived", "archive": target.name, "files": note["files"], "bytes": note["bytes"]}


def forget_old(project: Project) -> None:
    """Remove all but the newest archives, and what belongs to none."""
    kept = project.complete()[-project.keep :]
    wanted = {*kept, *map(note_of, kept)}
    for path in project.archives.iterdir():
        if path not in wanted:
            _remove(path)


def drill(project: Project) -> dict[str, Any]:
    """Unpack the newest archive elsewhere and compare all of it with what was archived.

    A project that is younger than the last night is archived first.
    """
    began = time.monotonic()
    if not project.complete() and archive(project)["outcome"] == "nothing":
        return {"outcome": "nothing"}
    archives = project.complete()
    note = json.loads(note_of(archives[-1]).read_text())
    told = {"archive": archives[-1].name, **{key: note[key] for key in ("made_at", "bytes", "files")}}
    scratch = Path(tempfile.mkdtemp(dir=project.archives, prefix=".drill-"))
    try:
        with opened(archives[-1], note) as tar:
            _see_room(scratch, sum(member.size for member in tar))
            tar.extractall(scratch)
        tree = hashlib.sha256(b"".join(digest_of(scratch / root, root) for root in note["roots"]))
    finally:
        _remove(scratch)
    outcome = "restored" if tree.hexdigest() == note["tree"] else "mismatch"
    return {**told, "outcome": outcome, "seconds": round(time.monotonic() - began, 3)}


def restore(project: Project, name: str | None) -> dict[str, Any]:
    """Put an archive in place; what is there now is archived before."""
    known = {path.name: path for path in project.complete()}
    chosen = name or max(known, default="")
    if chosen not in known:
        raise Refused(f"There is no archive {chosen} of {project.name}.")
    note = json.loads(note_of(known[chosen]).read_text())
    project.keep += 1
    before = archive(project)
    with project.stopped(), opened(known[chosen], note) as tar:
        for root in note["roots"]:
            _refill(_place_of(project, root), tar, root)
    return {"outcome": "restored", "archive": chosen, "before": before.get("archive", "")}


def _place_of(project: Project, root: str) -> Path:
    volume = root.partition("/")[2]
    if root in project.places:
        place = project.places[root]
        if place.is_symlink():
            raise Refused(f"{place} leads elsewhere.")
        place.mkdir(parents=True, exist_ok=True)
        return place
    label = f"com.docker.compose.project={project.name}"
    if volume not in docker("volume", "ls", "--quiet"):
        docker("volume", "create", "--label", label, volume)
    return Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume)[0])


def _refill(place: Path, tar: tarfile.TarFile, root: str) -> None:
    for child in place.iterdir():
        _remove(child)
    below = [member for member in tar if member.name == root or member.name.startswith(f"{root}/")]
    for member in below:
        member.name = member.name[len(root) :].strip("/") or "."
    tar.extractall(place, below)


@contextmanager
def opened(path: Path, note: dict[str, Any]) -> Iterator[tarfile.TarFile]:
    """Open an archive that is what it should be."""
    if sha256_of(path) != note["sha256"]:
        raise Refused(f"{path.name} is not as it was written.")
    with tarfile.open(path, mode="r:gz") as tar:
        # It is our own, and lies where only root can write; newer Pythons would change owners otherwise.
        tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        yield tar


def _new_name(project: Project) -> Path:
    while True:
        path = project.archives / time.strftime("%Y%m%dT%H%M%SZ.tar.gz", time.gmtime())
        if not path.exists():
            return path
        time.sleep(0.1)


def _has_room(place: Path, needed: int) -> bool:
    disk = shutil.disk_usage(place)
    return disk.free - needed >= disk.total * _SPARE_SHARE


def _see_room(place: Path, needed: int) -> None:
    if not _has_room(place, needed):
        raise Refused(f"No room: {needed >> 20} MB are needed.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # The one of Python 3.11 has an end at some hundred directories in each other.
        subprocess.run(["rm", "-rf", "--", path], stdin=subprocess.DEVNULL, check=True)
    else:
        path.unlink()


def _write(path: Path, content: Any) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
