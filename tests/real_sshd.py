"""Debian's own sshd on the loopback address: its keys, its account's home and its port are the test's.

    with real_sshd() as server:
        server.port, server.user, server.first_key, server.replace_host_key()

It lets in the account that runs the tests and no other. Where the package is not installed it is unpacked
into a directory of its own; root's sshd sees its own list of accounts then. Nothing of the machine changes.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.ssh_server import make_key, public_part

_PACKAGES: Final = ("openssh-server", "libwrap0")
_SECONDS: Final = 60
_CONFIGURATION: Final = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {place}/host_key
AuthorizedKeysFile {place}/home/.ssh/authorized_keys
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv HOME={place}/home
"""
#: What root's sshd asks for: an account of its own and a directory; both are seen by it alone.
_ENTER: Final = """\
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow
mount -t tmpfs none /run && mkdir -m 0755 /run/sshd
shift
exec "$@"
"""


class NoSshd(Exception):
    """There is no sshd here, and none can be brought; the message says why."""


class RealSshd:
    """What a test knows of it.

    Attributes:
        port: where it listens.
        user: the account that it lets in.
        first_key: the private key that it lets in from the beginning.

    """

    def __init__(self, place: Path) -> None:
        self._place, self._process = place, None
        self._program, self._libraries = _program(place)
        self.user: str = pwd.getpwuid(os.getuid()).pw_name
        key = make_key()
        self.first_key = key.export_private_key("openssh").decode()
        self.authorized_keys = place / "home" / ".ssh" / "authorized_keys"
        self.authorized_keys.parent.mkdir(parents=True, mode=0o700)
        self.authorized_keys.write_text(f"{public_part(key)}\n")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        (place / "sshd_config").write_text(_CONFIGURATION.format(port=self.port, place=place))
        accounts = Path("/etc/passwd").read_text()
        if "\nsshd:" not in accounts:
            accounts += "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        (place / "passwd").write_text(accounts)
        (place / "shadow").write_text("root:*:19000:0:99999:7:::\n")
        self.replace_host_key()

    _process: "subprocess.Popen[bytes] | None"

    def replace_host_key(self) -> None:
        """Show a new host key from now on."""
        self.stop()
        key = make_key()
        self.host_key = public_part(key)
        path = self._place / "host_key"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(key.export_private_key("openssh"))
        self._start()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_SECONDS)

    def log(self) -> str:
        """Return what it said."""
        return (self._place / "log").read_text(errors="replace")

    def _start(self) -> None:
        command = [str(self._program), "-D", "-e", "-f", str(self._place / "sshd_config")]
        if os.geteuid() == 0:
            command = ["unshare", "--mount", "sh", "-e", "-c", _ENTER, "sh", str(self._place), *command]
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "LD_LIBRARY_PATH": self._libraries}
            )
        until = time.monotonic() + _SECONDS
        while self._process.poll() is None and time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise NoSshd(f"sshd does not start: {self.log().strip()[-500:]}")


def _program(place: Path) -> tuple[Path, str]:
    """Return an sshd and where its libraries are, if not with all others."""
    installed = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if installed:
        return Path(installed), ""
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        raise NoSshd("openssh-server is not installed, and this is no Debian")
    packages = place / "packages"
    packages.mkdir()
    downloading = ("apt-get", "-q", "download", *_PACKAGES)
    done = subprocess.run(downloading, cwd=packages, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, timeout=_SECONDS, check=False)
        done = subprocess.run(downloading, cwd=packages, capture_output=True, text=True, timeout=_SECONDS)
    if done.returncode:
        raise NoSshd(f"openssh-server is not installed and cannot be had: {done.stderr.strip()[-300:]}")
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, place / "unpacked"], timeout=_SECONDS, check=True)
    libraries = {path.parent for path in (place / "unpacked").rglob("lib*.so*")}
    return place / "unpacked" / "usr" / "sbin" / "sshd", ":".join(sorted(map(str, libraries)))


@contextmanager
def real_sshd() -> Iterator[RealSshd]:
    """Run it for the length of a block.

    Raises:
        NoSshd: a test that needs one is to be skipped, with these words.

    """
    place = Path(tempfile.mkdtemp(dir="/tmp", prefix="sshd-"))
    place.chmod(0o711)
    try:
        server = RealSshd(place)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(place)
