"""``manage.py demo``, for the list of commands; manage.py runs it before Django is set up."""

from typing_extensions import override

from orchestrator import demo
from orchestrator.management.handed_over import HandedOver


class Command(HandedOver):
    """Runs the whole chain on one sentence."""

    help = "Build, check and deploy what a sentence asks for, with its live card."

    @override
    def program(self, words: list[str]) -> int:
        return demo.main(words)
