"""The polite ways to end a process, SIGTERM and SIGINT, as one exception that cleans up on its way."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopAsked(BaseException):
    """Somebody sent us a signal to stop; not an ``Exception``, so that nobody on the way takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number
        """What a shell shows for a program that ended by this signal."""


@contextmanager
def stop_signals_raised() -> Iterator[None]:
    """Raise ``StopAsked`` at the first stop signal and ignore all later ones until the block is left."""
    before = {number: signal.signal(number, _raise) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the stopping.
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise StopAsked(number)
