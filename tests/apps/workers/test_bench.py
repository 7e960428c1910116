"""The measurement itself works; its bars are judged by `make bench` on a quiet machine."""

import os

import pytest

from apps.workers.channel import Channel
from tests.bench.ingest import as_text, measure

pytestmark = [pytest.mark.service, pytest.mark.django_db(transaction=True)]

#: A measurement wants more than a test does.
ENTRIES = int(os.environ.get("BENCH_INGEST_ENTRIES", "500"))


def test_the_ingest_is_measured(operator: Channel, capsys: pytest.CaptureFixture[str]) -> None:
    measured = measure(operator, entries=ENTRIES)

    with capsys.disabled():
        print(f" ingest {as_text(measured)}")
    assert set(measured) == {"bare", "turns", "results"}
    assert all(figures.entries_per_second > 0 for figures in measured.values())
