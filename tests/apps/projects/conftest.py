"""Fixtures of the projects app's tests."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection


@pytest.fixture
def run_together() -> Callable[[Callable[[], Any], int], list[Any]]:
    """Call a function in several threads at the same instant; returns what each answered or raised."""

    def run(function: Callable[[], Any], count: int) -> list[Any]:
        barrier, answers = threading.Barrier(count), []

        def call() -> None:
            barrier.wait()
            try:
                answers.append(function())
            except Exception as error:
                answers.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=call) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return answers

    return run
