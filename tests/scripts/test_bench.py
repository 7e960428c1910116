"""The bench says of every bar whether it was met, and fails when one was not."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts import bench
from tests.bench import bench_lists

pytestmark = pytest.mark.unit


def one(name: str, value: float, **more: Any) -> Mapping[str, Mapping[str, Any]]:
    return {name: {"value": value, "unit": "s", **more}}


@pytest.mark.parametrize(
    ("value", "bound", "verdict"),
    [
        (1.0, {"at_most": 1.0}, "met"),
        (1.1, {"at_most": 1.0}, "missed"),
        (150.0, {"at_least": 150.0}, "met"),
        (149.9, {"at_least": 150.0}, "missed"),
        (1.0, {"at_most": 0}, "missed"),
        (1.0, {"at_most": None}, ""),
        (1.0, {"baseline": 0.5}, ""),
    ],
)
def test_bar_is_met_or_missed(value: float, bound: dict[str, Any], verdict: str):
    assert bench.judged({"value": value, "unit": "s", **bound})["verdict"] == verdict


def test_missed_bar_fails_the_run_and_is_named(capsys: pytest.CaptureFixture[str]):
    found, is_good = bench.run(
        {
            "a": lambda: one("quick", 0.2, at_most=0.3),
            "b": lambda: one("slow", 0.4, at_most=0.3),
            "c": lambda: one("seen", 2.0, baseline=1.0),
        }
    )

    printed = capsys.readouterr().out
    assert not is_good
    assert "bar <= 0.3: met" in printed
    assert "bar <= 0.3: missed" in printed
    assert "baseline 1, ratio 2" in printed
    assert "1 of 2 bars met\n  missed: slow" in printed
    assert found["slow"]["verdict"] == "missed"


def test_benchmark_that_breaks_fails_the_run_and_stops_no_other(capsys: pytest.CaptureFixture[str]):
    def broken() -> Mapping[str, Mapping[str, Any]]:
        raise RuntimeError("no servers")

    found, is_good = bench.run({"broken": broken, "a": lambda: one("quick", 0.2, at_most=0.3)})

    assert (list(found), is_good) == (["quick"], False)
    assert "broken could not run: no servers" in capsys.readouterr().err


def test_bars_that_are_met_pass():
    assert bench.run({"a": lambda: one("quick", 0.2, at_most=0.3)})[1]


def test_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]):
    assert bench.main(["nobody"]) == 2
    assert "lists" in capsys.readouterr().err


def test_lists_are_measured_as_owner_and_as_member(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    told = {
        "slowest": {
            "owner": {"list": "task-list", "median_ms": 40.0},
            "member": {"list": "run-list", "median_ms": 30.0},
        },
        "projects": 10_000,
        "events": 100_000,
    }
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho ' lists {json.dumps(told)}'\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))

    found = bench_lists.measure()

    assert [(figure["value"], figure["at_most"]) for figure in found.values()] == [
        (40.0, 150.0),
        (30.0, 150.0),
    ]
    assert all("10000 projects, 100000 events" in name for name in found)
