"""A Docker daemon of a test's own, which may be killed and restarted: nobody else's containers run on it.

It touches nothing of this machine's network but the bridges that it is asked for: no packet filter, no
routing. So it isolates nothing, and its containers reach only what listens on a bridge's gateway.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

import docker
import psutil
import pytest

_START_SECONDS = 60.0
_STOP_SECONDS = 60.0


class OwnDaemon:
    """One daemon below one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.address = f"unix://{directory}/docker.sock"
        self.volumes = directory / "data" / "volumes"
        self._process: subprocess.Popen[bytes] | None = None
        self._others = _default_bridge()
        # Never "none", and no address pools: either makes a starting daemon delete docker0, whosever it is.
        self._bridge = f"own-{secrets.token_hex(5)}"

    def add_bridge(self) -> None:
        """Make the daemon's default bridge, which nothing uses."""
        for words in (("link", "add", self._bridge, "type", "bridge"), ("link", "set", self._bridge, "up")):
            subprocess.run(["ip", *words], check=True)
        address = f"10.212.{secrets.randbelow(256)}.1/24"
        subprocess.run(["ip", "address", "add", address, "dev", self._bridge], check=True)

    def remove(self) -> None:
        """Delete what a stopped daemon leaves on this machine."""
        self._end_containerd()
        self._end_shims()
        subprocess.run(["ip", "link", "delete", self._bridge], capture_output=True)

    def start(self) -> None:
        """Start it and wait until it answers."""
        (self._directory / "docker.pid").unlink(missing_ok=True)
        (self._directory / "daemon.json").write_text("{}")
        with (self._directory / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--config-file", f"{self._directory}/daemon.json", "--host", self.address),
                    *("--data-root", f"{self._directory}/data", "--exec-root", f"{self._directory}/exec"),
                    *("--pidfile", f"{self._directory}/docker.pid", "--bridge", self._bridge),
                    *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
                    "--live-restore=false",
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"},
                start_new_session=True,
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < until, self.log()
            time.sleep(0.1)
        assert self._others == _default_bridge(), "this daemon took docker0 from another one"

    def end(self, *, gently: bool) -> None:
        """End it, by SIGTERM or as a crash would; in the second case its containers live until the start."""
        assert self._process is not None
        self._process.send_signal(SIGTERM if gently else SIGKILL)
        self._process.wait(_STOP_SECONDS)
        self._end_containerd()

    def stop(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def client(self) -> docker.DockerClient:
        """Return a client of the caller's own."""
        return docker.DockerClient(base_url=self.address, timeout=60, version="auto")

    def take_images(self, tags: Sequence[str]) -> None:
        """Copy images from the daemon that everybody uses."""
        pipe = ["sh", "-c", 'set -e; docker save "$@" | docker --host "$ADDRESS" load --quiet', "sh", *tags]
        environment = {**os.environ, "ADDRESS": self.address}
        copied = subprocess.run(pipe, env=environment, capture_output=True, text=True)
        assert copied.returncode == 0, copied.stderr

    def _end_containerd(self) -> None:
        """End what a killed daemon leaves; unreaped, its pid would pass for a living one."""
        file = self._directory / "exec" / "containerd" / "containerd.pid"
        if file.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(file.read_text()), SIGKILL)
            file.unlink()

    def _end_shims(self) -> None:
        """End the containers that a killed daemon has forgotten, and what looks after each of them."""
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if any("containerd-shim" in word for word in words[:1]) and any(
                word.startswith(f"{self._directory}/") for word in words
            ):
                with contextlib.suppress(psutil.NoSuchProcess):
                    for one in [*process.children(recursive=True), process]:
                        one.kill()

    def log(self) -> str:
        """Return what it said last."""
        return (self._directory / "dockerd.log").read_text(errors="replace")[-3_000:]

    def _answers(self) -> bool:
        # Not through the library, which leaves the socket of a failed connection to the collector, loudly.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(self.address.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(100)
        return False


@contextmanager
def own_daemon() -> Iterator[OwnDaemon]:
    """Run a daemon of this test's own; skips the test where that is impossible."""
    if os.geteuid() != 0 or shutil.which("dockerd") is None or shutil.which("ip") is None:
        pytest.skip("a Docker daemon of one's own needs root, dockerd and ip")
    directory = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp"))
    daemon = OwnDaemon(directory)
    try:
        daemon.add_bridge()
        daemon.start()
        yield daemon
    finally:
        daemon.stop()
        daemon.remove()
        for mount in _mounts_below(directory):
            subprocess.run(["umount", "--lazy", mount], capture_output=True)
        shutil.rmtree(directory)


def _default_bridge() -> str:
    """Return the number of the interface docker0, which is another daemon's; empty if there is none."""
    number = Path("/sys/class/net/docker0/ifindex")
    return number.read_text() if number.exists() else ""


def _mounts_below(directory: Path) -> list[str]:
    places = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted((place for place in places if place.startswith(f"{directory}/")), reverse=True)
