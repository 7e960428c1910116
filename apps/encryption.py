"""Secrets at rest: a text column encrypted with rotatable Fernet keys."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models

from apps.errors import OrchestratorError

if TYPE_CHECKING:
    TextField = models.TextField[str, str]
else:
    TextField = models.TextField


class UndecryptableSecret(OrchestratorError):
    """A stored secret cannot be decrypted with any of ENCRYPTION_KEYS."""

    code = "undecryptable_secret"


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """Return the cipher of the configured keys; the first encrypts, all decrypt."""
    return _cipher(tuple(settings.ENCRYPTION_KEYS))


class EncryptedTextField(TextField):
    """A text that is ciphertext in the database and plaintext only in memory.

    A wrong key raises instead of handing out the ciphertext as if it were the
    value. No lookups: equal plaintexts have different ciphertexts.
    """

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt on the way in."""
        if value is None:
            return None
        return cipher().encrypt(str(value).encode()).decode("ascii")

    def from_db_value(self, value: str | None, _expression: Any, _connection: Any) -> str | None:
        """Decrypt on the way out.

        Raises:
            UndecryptableSecret: none of the keys fits.

        """
        if value is None:
            return None
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken as error:
            raise UndecryptableSecret() from error
