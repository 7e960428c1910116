"""The files of the base image: their identity, and the archive in which the daemon gets them."""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import worker_image
from apps.errors import Invalid
from apps.workers.image_recipe import BASE_DOCKERFILE, digest

_PACKAGE: Final = Path(worker_image.__file__).resolve().parent
_CERTIFICATES: Final = "worker_image/extra-ca/"
#: What the first stage is made of; our own code is not, so that it may change without a new installation.
_COMMON: Final = (BASE_DOCKERFILE, "worker_image/requirements.txt", "worker_image/tools.txt")
_MAX_CERTIFICATE_BYTES: Final = 1024**2


class CertificateRefused(Invalid):
    """A file among the extra certificates is not one."""

    code = "certificate_refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Everything that goes into the base image.

    Attributes:
        base_image: what it is built on.
        base_id: the daemon's identity of it; empty if the daemon does not have it yet.
        files: path in the build's context → content.

    """

    base_image: str
    files: Mapping[str, bytes]
    base_id: str = ""

    @property
    def common_hash(self) -> str:
        """The hash of what is installed."""
        names = [name for name in self.files if name in _COMMON or name.startswith(_CERTIFICATES)]
        base = [self.base_image, self.base_id] if self.base_id else [self.base_image]
        return digest([*base, self._digests(names)])

    @property
    def base_hash(self) -> str:
        """The hash of that and of our own code."""
        return digest([self.common_hash, self._digests(self.files)])

    def archive(self) -> bytes:
        """Return the build's context."""
        return archive(self.files)

    def _digests(self, names: Iterable[str]) -> list[tuple[str, str]]:
        return [(name, hashlib.sha256(self.files[name]).hexdigest()) for name in sorted(names)]


def read_sources(base_image: str, certificates: Path | None) -> Sources:
    """Read the worker's package and the extra certificates.

    Args:
        base_image: name of the image to build on.
        certificates: directory of ``*.crt`` files; None or a missing one: there are none.

    Raises:
        CertificateRefused: one is not a PEM certificate.

    """
    files = {
        f"worker_image/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in sorted(_PACKAGE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }
    # Certificates that lie in the package belong to whoever builds by hand.
    files = {name: content for name, content in files.items() if not name.endswith(".crt")}
    return Sources(base_image=base_image, files={**files, **_read_certificates(certificates)})


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return files as a tar archive that is the same for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            tar.addfile(entry, io.BytesIO(files[name]))
    return buffer.getvalue()


def _read_certificates(directory: Path | None) -> dict[str, bytes]:
    if directory is None or not directory.is_dir():
        return {}
    found = {}
    for path in sorted(directory.rglob("*.crt")):
        content = path.read_bytes()[: _MAX_CERTIFICATE_BYTES + 1]
        if b"-----BEGIN CERTIFICATE-----" not in content or len(content) > _MAX_CERTIFICATE_BYTES:
            raise CertificateRefused(f"{path} is not a PEM certificate", details={"file": path.name})
        found[f"{_CERTIFICATES}{path.name}"] = content
    return found
