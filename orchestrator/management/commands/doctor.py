"""``manage.py doctor``, for the list of commands; manage.py runs it before Django is set up."""

from typing_extensions import override

from orchestrator import doctor
from orchestrator.management.handed_over import HandedOver


class Command(HandedOver):
    """Says what is missing and how to repair it."""

    help = "Look at this machine and the settings; one line per finding, with its repair."

    @override
    def program(self, words: list[str]) -> int:
        return doctor.main(words)
