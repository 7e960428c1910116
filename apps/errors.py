"""Errors, which answer one question: whose move is it.

::

    OrchestratorError
    ├── Invalid       yours: the request itself must change
    ├── NotFound      nobody's: what you named is gone or was never there
    ├── Conflict      yours: look again, somebody moved first
    └── Unavailable   ours: wait, the same request may work later

Leaves sit beside the code that raises them; their docstring is the default
message and ``code`` is the stable word a client may branch on.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class OrchestratorError(Exception):
    """Something could not be done."""

    code: ClassVar[str] = "error"

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        doc = (type(self).__doc__ or "").strip().splitlines()
        self.message = message or (doc[0] if doc else type(self).__name__)
        self.error_code = code or self.code
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(self.message)


class Invalid(OrchestratorError):
    """The request cannot be carried out as it stands."""

    code = "invalid"


class NotFound(OrchestratorError):
    """There is nothing of that name."""

    code = "not_found"


class Conflict(OrchestratorError):
    """The thing has moved on since you looked."""

    code = "conflict"


class Unavailable(OrchestratorError):
    """Something we depend on does not answer; the same request may work later."""

    code = "unavailable"
