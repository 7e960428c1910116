"""What is understood of the words of test runners."""

from pathlib import Path

import pytest

from worker_image.verify.results import Results, read_results

pytestmark = pytest.mark.unit

JUNIT = (
    '<?xml version="1.0"?><testsuites><testsuite>'
    '<testcase classname="tests.test_a" name="test_one"/>'
    '<testcase classname="tests.test_a.TestGroup" name="test_in[a::b]"><skipped/></testcase>'
    '<testcase classname="tests.test_a" name="test_bad"><failure/></testcase>'
    '<testcase classname="tests.test_a" name="test_bad"/>'
    "</testsuite></testsuites>"
)


def counts(results: Results | None) -> tuple[int, int, int] | None:
    return None if results is None else (results.passed, results.failed, results.skipped)


def test_tests_are_found_by_their_listed_names(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(JUNIT)
    listed = [f"tests/test_a.py::{name}" for name in ("test_one", "TestGroup::test_in[a::b]", "gone")]

    results = read_results(junit, "")

    assert counts(results) == (1, 1, 1)
    assert results is not None
    assert results.of(listed) == {listed[0]: "passed", listed[1]: "skipped"}
    assert results.names_besides(listed) == ["tests.test_a::test_bad"]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("===== 5 passed, 1 skipped, 2 xfailed in 0.12s =====", (5, 0, 3)),
        ("2 failed, 3 passed, 1 error in 62.10s (0:01:02)", (3, 3, 0)),
        ("Ran 6 tests in 0.010s\n\nOK", (6, 0, 0)),
        ("Ran 6 tests in 0.010s\n\nOK (skipped=2)", (4, 0, 2)),
        ("Ran 6 tests in 0.010s\n\nFAILED (failures=1, errors=2, skipped=1)", (2, 3, 1)),
        ("5 passed", None),
        ("", None),
    ],
)
def test_last_words_stand_in_for_a_report(
    tmp_path: Path, log: str, expected: tuple[int, int, int] | None
) -> None:
    assert counts(read_results(tmp_path / "absent.xml", f"words\n{log}\n")) == expected


@pytest.mark.parametrize(
    "content",
    [
        "<testsuite>",
        "",
        '<!DOCTYPE a [<!ENTITY b "c">]><testsuite><testcase name="&b;"/></testsuite>',
        "<testsuite>" + "".join(f'<testcase name="{n}"/>' for n in range(50_001)) + "</testsuite>",
    ],
    ids=["cut", "empty", "entities", "many"],
)
def test_report_that_cannot_be_trusted_is_none(tmp_path: Path, content: str) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(content)

    assert read_results(junit, "") is None


def test_link_in_place_of_a_report_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real.xml").write_text(JUNIT)
    (tmp_path / "junit.xml").symlink_to("real.xml")

    assert read_results(tmp_path / "junit.xml", "") is None
