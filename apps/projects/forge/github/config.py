"""What the adapter must know: the host, the organisation and the app's credentials."""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apps.projects.forge.hosting import ForgeCredentialInvalid

DEFAULT_API_URL: Final = "https://api.github.com"


@dataclass(frozen=True, kw_only=True, slots=True)
class GitHubConfig:
    """One organisation on one host, and the app that acts in it; nothing is checked before it is used."""

    organisation: str
    app_id: str = ""
    private_key: str = field(default="", repr=False)  # PEM, or the PEM in base64
    private_key_path: str = ""
    api_url: str = DEFAULT_API_URL
    hourly_budget: int = 4_500
    max_concurrent: int = 100

    @property
    def git_url(self) -> str:
        """Return the address that repositories are cloned below, without a slash at the end."""
        parts = urlsplit(self.api_url)
        host = parts.netloc
        if self.api_url.rstrip("/") == DEFAULT_API_URL:
            host = "github.com"
        return f"{parts.scheme}://{host}"

    @property
    def name(self) -> str:
        """Return a short word for keys that several processes share: another app or host, another word."""
        identity = f"{self.api_url}\n{self.organisation.lower()}\n{self.app_id}"
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    @property
    def pem(self) -> str:
        """Return the app's private key.

        Raises:
            ForgeCredentialInvalid: the app's id or its key is missing, or cannot be used.

        """
        if not self.app_id:
            raise ForgeCredentialInvalid("The GitHub app's id is not set: set GITHUB_APP_ID")
        return read_private_key(value=self.private_key, path=self.private_key_path)

    def repository_url(self, name: str) -> str:
        """Return what git clones from; it carries no credential."""
        return f"{self.git_url}/{self.organisation}/{name}.git"


@lru_cache(maxsize=4)
def read_private_key(*, value: str, path: str) -> str:
    """Return the app's private key as PEM.

    Args:
        value: the PEM, also with its line ends escaped, or the PEM in base64; wins over the path.
        path: of a file that holds the PEM.

    Raises:
        ForgeCredentialInvalid: there is none, the file cannot be read, or it is no RSA key.

    """
    text = _decoded(value.strip()) if value.strip() else _file(path)
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ForgeCredentialInvalid(
            "The GitHub app's private key cannot be read: download a new one from the app's page and set "
            "GITHUB_APP_PRIVATE_KEY_PATH, or GITHUB_APP_PRIVATE_KEY to the PEM or its base64"
        ) from error
    if not isinstance(key, RSAPrivateKey):
        raise ForgeCredentialInvalid("The GitHub app's private key is not an RSA key, as GitHub's are")
    return text


def _decoded(value: str) -> str:
    if value.startswith("-----BEGIN"):
        return value.replace("\\n", "\n")
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def _file(path: str) -> str:
    if not path:
        raise ForgeCredentialInvalid(
            "The GitHub app's private key is not set: "
            "set GITHUB_APP_PRIVATE_KEY_PATH or GITHUB_APP_PRIVATE_KEY"
        )
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise ForgeCredentialInvalid(
            f"The GitHub app's private key cannot be read from GITHUB_APP_PRIVATE_KEY_PATH: {reason}"
        ) from error
