"""Worker tokens."""

from rest_framework.authentication import BaseAuthentication


class WorkerTokenAuthentication(BaseAuthentication):
    """Authenticates a worker by its token."""
