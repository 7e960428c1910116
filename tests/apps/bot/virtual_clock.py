"""Time that passes when a test wants it to."""

from datetime import datetime, timedelta

from django.utils import timezone

from apps.bot.delivering import Clock, deliver_chat
from apps.bot.models import Chat
from apps.bot.telegram import TelegramClient


class VirtualClock:
    """Begins now; ``sleep`` takes no time."""

    def __init__(self) -> None:
        self.began = self.now_is = timezone.now()

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self.now_is, sleep=self.pass_by)

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return (self.now_is - self.began).total_seconds()

    def pass_by(self, seconds: float) -> None:
        self.now_is += timedelta(seconds=seconds)

    def at(self, moment: datetime) -> None:
        self.now_is = moment


def deliver_all(
    chat: Chat, client: TelegramClient, time: VirtualClock, *, within_seconds: float = 600.0
) -> float:
    """Deliver until nothing waits or the time is over; returns how many seconds passed."""
    until = time.passed + within_seconds
    while (wait := deliver_chat(chat_id=chat.pk, client=client, clock=time.clock)) is not None:
        if time.passed + wait > until:
            break
        time.pass_by(wait + 0.001)
    return time.passed
