"""A double of Telegram's Bot API: real HTTP, real rules, and people for tests to play.

::

    with TelegramServer() as telegram:
        ada = telegram.person(name="Ada")
        ada.says("/start")
        ...
        assert ada.sees()[-1].text == "Hello"
        ada.taps("Yes")

Answers and refusals have Telegram's words. ``telegram.faults`` makes it misbehave.
"""

from tests.telegram_server.faults import Fault
from tests.telegram_server.people import Person
from tests.telegram_server.server import TelegramServer
from tests.telegram_server.state import Bot, Shown

__all__ = ["Bot", "Fault", "Person", "Shown", "TelegramServer"]
