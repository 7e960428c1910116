"""Calls the configured address about what happened, as well or as badly as a test wants it."""

import contextlib
import hashlib
import hmac
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.github_server import repositories
from tests.github_server.state import Repository

Receiver = Callable[[dict[str, str], bytes], int]


@dataclass
class Delivery:
    """One call, whatever became of it."""

    event: str
    id: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    status: int | None = None  # None: it was lost, or nobody answered
    seconds: float = 0.0
    answer: dict[str, Any] = field(default_factory=dict)  # empty: it was no JSON

    @property
    def payload(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)
        return value


class Webhooks:
    """The app's webhook.

    Attributes:
        url: where deliveries go; nothing is sent without it, or without a receiver.
        receiver: takes headers and body and returns a status, instead of the URL.
        secret: signs the bodies.
        events: what is sent; None is everything.
        is_lost: deliveries are made and never arrive.
        is_doubled: each is sent twice under one id, as redelivery does.
        is_repeated: each is sent twice under two ids, as two hooks would.
        is_forged: the signature is another secret's.
        delay_seconds: how late each comes.

    """

    def __init__(self, github: Any) -> None:
        self._github = github
        self.url = ""
        self.receiver: Receiver | None = None
        self.secret = "hook-secret-of-the-double"
        self.events: set[str] | None = None
        self.is_lost = self.is_doubled = self.is_repeated = self.is_forged = False
        self.delay_seconds = 0.0
        self.deliveries: list[Delivery] = []
        self._threads: list[threading.Thread] = []

    def send(self, event: str, payload: dict[str, Any], repository: Repository) -> None:
        """Deliver an event in the background."""
        if not (self.url or self.receiver) or (self.events is not None and event not in self.events):
            return
        shown = repositories.show(self._github.base_url, repository)
        whole = {
            **payload,
            "repository": shown,
            "organization": {"login": self._github.org},
            "installation": {"id": self._github.app.installation_id},
            "sender": {"login": f"{self._github.app.slug}[bot]", "type": "Bot"},
        }
        first = self.make(event, whole)
        sent = [first]
        if self.is_doubled:
            sent.append(Delivery(event, first.id, first.headers, first.body))
        if self.is_repeated:
            sent.append(self.make(event, whole))
        self.deliveries += sent
        if not self.is_lost:
            self._spread(sent)

    def make(self, event: str, payload: dict[str, Any]) -> Delivery:
        """Return a signed delivery, to be sent or to be tampered with."""
        body, identity = json.dumps(payload).encode(), str(uuid.uuid4())
        secret = "of somebody else" if self.is_forged else self.secret
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/0000000",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": identity,
            "X-GitHub-Hook-ID": "4001",
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-GitHub-Hook-Installation-Target-ID": str(self._github.app.id),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        }
        return Delivery(event, identity, headers, body)

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Send a delivery once more under its id and wait for the answer."""
        again = Delivery(delivery.event, delivery.id, delivery.headers, delivery.body)
        self.deliveries.append(again)
        self._deliver(again)
        return again

    def wait(self, seconds: float = 10.0) -> None:
        """Wait until everything that was sent has arrived or failed."""
        until = time.monotonic() + seconds
        for thread in list(self._threads):
            thread.join(max(0.0, until - time.monotonic()))

    def _spread(self, deliveries: list[Delivery]) -> None:
        def work() -> None:
            time.sleep(self.delay_seconds)
            for delivery in deliveries:
                self._deliver(delivery)

        thread = threading.Thread(target=work, name="webhook", daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _deliver(self, delivery: Delivery) -> None:
        begun = time.monotonic()
        delivery.status, words = self._call(delivery)
        with contextlib.suppress(ValueError):
            delivery.answer = json.loads(words)
        delivery.seconds = time.monotonic() - begun

    def _call(self, delivery: Delivery) -> tuple[int | None, bytes]:
        if self.receiver is not None:
            return self.receiver(delivery.headers, delivery.body), b""
        request = urllib.request.Request(self.url, delivery.body, delivery.headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        except OSError:
            return None, b""
