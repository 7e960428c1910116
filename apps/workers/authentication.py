"""Worker tokens: ``Authorization: Worker <token>``, good for one living worker."""

import hmac

from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from apps.workers.credentials import digest
from apps.workers.models import Worker, WorkerStatus
from worker_image.contract import AUTHORIZATION_SCHEME, SNAPSHOTS_PATH

_MAX_TOKEN_CHARACTERS = 200
_ALIVE = frozenset({WorkerStatus.STARTING, WorkerStatus.RUNNING, WorkerStatus.PAUSED})
#: A worker that was told to stop may still hand over its work, and do nothing else.
_ALIVE_FOR_SNAPSHOTS = _ALIVE | {WorkerStatus.CANCELING}


class WorkerTokenAuthentication(BaseAuthentication):
    """Authenticates a worker: ``request.user`` is its owner, ``request.auth`` its row."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, Worker] | None:
        """Return the owner and the worker, or None for another scheme.

        Raises:
            AuthenticationFailed: the token is malformed, unknown, or of a worker that has ended.

        """
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != AUTHORIZATION_SCHEME.lower().encode():
            return None
        if len(words) != 2 or len(words[1]) > _MAX_TOKEN_CHARACTERS:
            raise AuthenticationFailed("The worker token is malformed.")
        known_as = digest(words[1].decode("latin-1"))
        statuses = _ALIVE_FOR_SNAPSHOTS if request.path_info == SNAPSHOTS_PATH else _ALIVE
        worker = Worker.objects.filter(token_sha256=known_as, status__in=statuses).first()
        if worker is None or not hmac.compare_digest(worker.token_sha256, known_as):
            raise AuthenticationFailed("The worker token is not valid.")
        owner = get_user_model().objects.filter(pk=worker.owner_id, is_active=True).first()
        if owner is None:
            raise AuthenticationFailed("The worker's owner may not act.")
        return owner, worker

    def authenticate_header(self, _request: Request) -> str:
        """Return the challenge of a 401."""
        return AUTHORIZATION_SCHEME
