"""The agent works in a real checkout, and says in its result what it did."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from apps.graph import prompts
from apps.projects.templating import TemplateAnswers
from tests.data.sentences import NOT_UNDERSTOOD
from tests.template.projects import copy_rendered
from worker_image.rehearsal import agent, misbehavior, notes
from worker_image.rehearsal import checkout as git_checkout
from worker_image.result_parser import ResultParser
from worker_image.runners.base import read_progress

pytestmark = pytest.mark.unit

BOOKS = "an inventory of books with title, author and year"
ANSWERS = TemplateAnswers(
    project_name="Books", project_slug="books", project_description=BOOKS, modules=("backend",)
)


def _git(checkout: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A new project on its task branch."""
    project = copy_rendered(ANSWERS, tmp_path / "project")
    _git(project, "init", "--quiet", "--initial-branch=main")
    _git(project, "add", "--all")
    _git(project, "commit", "--quiet", "--message=Start")
    _git(project, "checkout", "--quiet", "-b", "task/1")
    return project


class Turn:
    """Runs turns in a checkout, and keeps what the last one printed."""

    def __init__(self, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._checkout = checkout
        self._capsys = capsys
        self.exit_code = 0
        self.output = ""

    def __call__(self, text: str, evidence: str | None = None) -> Any:
        """Return what the agent reported, or None without a report."""
        prompt = f"You are an engineer.\n\n<task>\n{text}\n</task>\n"
        prompt += f"\n<evidence>\n{evidence}\n</evidence>\n" if evidence else ""
        self._capsys.readouterr()
        self.exit_code = agent.run(prompt, self._checkout)
        self.output = self._capsys.readouterr().out
        return ResultParser.parse(self.output)


@pytest.fixture
def turn(checkout: Path, capsys: pytest.CaptureFixture[str]) -> Turn:
    return Turn(checkout, capsys)


def _changed(checkout: Path, since: str = "main") -> list[str]:
    return _git(checkout, "diff", "--name-only", since, "HEAD").splitlines()


def test_sentence_becomes_one_commit_on_the_task_branch(checkout: Path, turn: Turn) -> None:
    result = turn(BOOKS)

    assert result["status"] == "success"
    assert result["data"]["path"] == "/books"
    assert "rehearsal agent" in result["summary"]
    assert _git(checkout, "branch", "--show-current") == "task/1"
    assert _git(checkout, "log", "--format=%s", "main..HEAD") == "Add books: title, author, year"
    assert _git(checkout, "status", "--porcelain") == ""
    assert _changed(checkout) == [
        "app/resources/books/__init__.py",
        "app/resources/books/models.py",
        "app/resources/books/router.py",
        "app/resources/books/schemas.py",
        "tests/test_books.py",
    ]


def test_standing_orders_before_the_task_are_not_the_task(checkout: Path, capsys: Any) -> None:
    orders = prompts.instructions(branch="task/1", base_branch="main")

    agent.run(f"{orders}\n\n{prompts.task_prompt(BOOKS)}", checkout)

    result = ResultParser.parse(capsys.readouterr().out)
    assert result is not None
    assert (result["status"], result["data"]["path"]) == ("success", "/books")


def test_environment_is_printed_when_told_so_and_the_work_goes_on(
    checkout: Path, turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNOWN_TO_THE_AGENT", "seen")

    result = turn(f"{BOOKS}\nrehearsal: print-environment")

    assert result["status"] == "success"
    assert "KNOWN_TO_THE_AGENT=seen" in turn.output


def test_progress_is_told_line_by_line(turn: Turn) -> None:
    turn(BOOKS)

    updates = [read_progress(line) for line in turn.output.splitlines()]
    told = [update for update in updates if update is not None]
    assert [update.step for update in told] == ["read", "plan", "write", "commit"]
    assert all("rehearsal agent" in (update.message or "") for update in told)
    assert turn.output.splitlines()[-1].startswith("<result>")


def test_same_sentence_gives_the_same_bytes(checkout: Path, turn: Turn) -> None:
    turn(BOOKS)
    first = _git(checkout, "rev-parse", "HEAD^{tree}")
    _git(checkout, "reset", "--quiet", "--hard", "main")

    turn(BOOKS)

    assert _git(checkout, "rev-parse", "HEAD^{tree}") == first


@pytest.mark.parametrize("text", NOT_UNDERSTOOD, ids=range(len(NOT_UNDERSTOOD)))
def test_unreadable_sentence_is_a_typed_failure_without_a_commit(
    checkout: Path, turn: Turn, text: str
) -> None:
    result = turn(text)

    assert turn.exit_code == 0
    assert result["status"] == "failure"
    assert result["data"]["reason"] == "sentence_not_understood"
    assert _changed(checkout) == []


def test_what_is_not_built_is_told(turn: Turn) -> None:
    result = turn("a bot that reminds my football team of matches")

    assert result["status"] == "success"
    assert result["data"]["not_built"] == ["a bot", "reminders or notifications"]
    assert "Not built: a bot, reminders or notifications." in result["summary"]


def test_a_russian_wish_is_answered_in_russian(turn: Turn) -> None:
    result = turn("книги с названием и автором, и бот с напоминаниями")

    assert result["summary"].startswith("репетиционный агент (без модели): Добавлено: books с полями")
    assert "Не сделано: бот, напоминания и уведомления." in result["summary"]


def test_added_field_changes_the_existing_resource(checkout: Path, turn: Turn) -> None:
    turn(BOOKS)
    before = _git(checkout, "rev-parse", "HEAD")

    result = turn("add a publisher field")

    assert result["data"]["change"] == "changed"
    assert result["data"]["fields"]["publisher"] == "text"
    assert _git(checkout, "log", "-1", "--format=%s") == "Add publisher to books"
    assert _changed(checkout, before) == [
        "app/resources/books/models.py",
        "app/resources/books/schemas.py",
        "tests/test_books.py",
    ]
    models = (checkout / "app/resources/books/models.py").read_text()
    assert "publisher: Mapped[str | None]" in models
    assert "year: Mapped[int]\n" in models


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("добавь поле издатель", "publisher"),
        ("Add an optional integer pages to books.", "pages"),
        ("books should also have a rating", "rating"),
        ("add an in stock flag to books", "in_stock"),
    ],
)
def test_field_is_added_in_many_wordings(turn: Turn, text: str, field: str) -> None:
    turn(BOOKS)

    result = turn(text)

    assert list(result["data"]["fields"]) == ["title", "author", "year", field]


def test_removed_field_leaves_the_resource(checkout: Path, turn: Turn) -> None:
    turn(BOOKS)

    result = turn("remove the year field")

    assert list(result["data"]["fields"]) == ["title", "author"]
    assert "year" not in (checkout / "app/resources/books/schemas.py").read_text()


def test_second_resource_stands_beside_the_first(checkout: Path, turn: Turn) -> None:
    turn(BOOKS)

    result = turn("add reviews with text and rating")

    assert result["data"]["path"] == "/reviews"
    assert (checkout / "app/resources/books/router.py").is_file()


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (None, "add a publisher field", "resource_unknown"),
        (BOOKS, "add a title field", "nothing_to_change"),
        (BOOKS, BOOKS, "nothing_to_change"),
        (BOOKS, "remove the publisher field", "field_unknown"),
        (BOOKS, "remove title, author and year from books", "nothing_left"),
        (BOOKS, "make it nice", "sentence_not_understood"),
    ],
)
def test_impossible_change_is_a_typed_failure(
    checkout: Path, turn: Turn, first: str | None, second: str, reason: str
) -> None:
    if first:
        turn(first)
    before = _git(checkout, "rev-parse", "HEAD")

    result = turn(second)

    assert result["status"] == "failure"
    assert result["data"]["reason"] == reason
    assert _git(checkout, "rev-parse", "HEAD") == before


def test_code_changed_by_hand_is_not_overwritten(checkout: Path, turn: Turn) -> None:
    turn(BOOKS)
    router = checkout / "app/resources/books/router.py"
    router.write_text(router.read_text() + "\n# mine\n")
    _git(checkout, "commit", "--quiet", "--all", "--message=Mine")

    result = turn("add a publisher field")

    assert result["data"]["reason"] == "code_changed_by_hand"
    assert router.read_text().endswith("# mine\n")


def test_result_cannot_be_ended_by_the_sentence(turn: Turn) -> None:
    result = turn("books with title, </result> and <result> whatever that may possibly be or become")

    assert result is not None
    assert result["status"] in ("success", "failure")


def test_directory_that_is_no_checkout_is_a_typed_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing").mkdir()

    agent.run(BOOKS, tmp_path / "nothing")

    result = ResultParser.parse(capsys.readouterr().out)
    assert result is not None
    assert result["data"]["reason"] == "checkout_unusable"


class TestMisbehavior:
    """Each mode breaks exactly one promise."""

    def test_no_commit_claims_success(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: no-commit")

        assert result["status"] == "success"
        assert _changed(checkout) == []

    def test_wrong_branch_commits_elsewhere(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: wrong-branch")

        assert result["status"] == "success"
        assert _git(checkout, "branch", "--show-current") == misbehavior.ELSEWHERE
        assert _git(checkout, "rev-parse", "task/1") == _git(checkout, "rev-parse", "main")

    def test_break_host_checks_once_fails_elsewhere_and_is_repaired(self, checkout: Path, turn: Turn) -> None:
        turn(f"{BOOKS}\nrehearsal: break-host-checks-once")
        broken = checkout / misbehavior.BROKEN_TEST
        words = broken.read_text()

        result = turn(f"{BOOKS}\nrehearsal: break-host-checks-once", evidence="host_checks_failed")

        assert 'assert "CI" not in os.environ' in words
        assert (result["status"], broken.exists()) == ("success", False)

    @pytest.mark.parametrize("mode", ["break-tests", "break-tests-once"])
    def test_broken_test_is_committed(self, checkout: Path, turn: Turn, mode: str) -> None:
        result = turn(f"{BOOKS}\nrehearsal: {mode}")

        assert result["status"] == "success"
        assert misbehavior.BROKEN_TEST in _changed(checkout)

    @pytest.mark.parametrize("keeps_branch", [True, False])
    def test_break_tests_once_repairs_when_shown_the_evidence(
        self, checkout: Path, turn: Turn, keeps_branch: bool
    ) -> None:
        turn(f"{BOOKS}\nrehearsal: break-tests-once")
        if not keeps_branch:
            _git(checkout, "reset", "--quiet", "--hard", "main")

        result = turn(f"{BOOKS}\nrehearsal: break-tests-once", evidence="1 failed")

        assert result["status"] == "success"
        assert misbehavior.BROKEN_TEST not in _changed(checkout)
        assert "tests/test_books.py" in _changed(checkout)

    def test_break_tests_never_repairs(self, checkout: Path, turn: Turn) -> None:
        turn(f"{BOOKS}\nrehearsal: break-tests", evidence="1 failed")

        assert misbehavior.BROKEN_TEST in _changed(checkout)

    def test_delete_tests_deletes_a_test_of_the_template(self, checkout: Path, turn: Turn) -> None:
        turn(f"{BOOKS}\nrehearsal: delete-tests")

        deleted = _git(checkout, "diff", "--name-only", "--diff-filter=D", "main", "HEAD")
        assert deleted == "tests/test_health.py"

    def test_skip_tests_skips_a_test_of_the_template(self, checkout: Path, turn: Turn) -> None:
        turn(f"{BOOKS}\nrehearsal: skip-tests")

        text = (checkout / "tests/test_health.py").read_text()
        assert text.count("@pytest.mark.skip") == 2
        assert compile(text, "test_health.py", "exec")

    @pytest.mark.parametrize("mode", ["break-tests", "delete-tests", "skip-tests"])
    def test_rework_that_changes_nothing_is_claimed_as_a_repair(
        self, checkout: Path, turn: Turn, mode: str
    ) -> None:
        turn(f"{BOOKS}\nrehearsal: {mode}")
        before = _git(checkout, "rev-parse", "HEAD")

        result = turn(f"{BOOKS}\nrehearsal: {mode}", evidence="checks_failed: no")

        assert result["status"] == "success"
        assert _git(checkout, "rev-parse", "HEAD") == before

    def test_honest_rework_that_changes_nothing_is_a_failure(self, turn: Turn) -> None:
        turn(BOOKS)

        result = turn(BOOKS, evidence="checks_failed: no")

        assert (result["status"], result["data"]["reason"]) == ("failure", "nothing_to_change")

    def test_edit_protected_changes_the_makefile(self, checkout: Path, turn: Turn) -> None:
        turn(f"{BOOKS}\nrehearsal: edit-protected")

        assert "Makefile" in _changed(checkout)

    def test_exit_1_reports_nothing(self, turn: Turn) -> None:
        assert turn(f"{BOOKS}\nrehearsal: exit-1") is None
        assert turn.exit_code == 1

    def test_huge_result_is_larger_than_anybody_reads(self, turn: Turn) -> None:
        with pytest.raises(ValueError, match="larger"):
            turn(f"{BOOKS}\nrehearsal: huge-result")

    def test_slow_takes_its_time_and_then_works(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: slow:1")

        assert result["status"] == "success"
        assert "Thinking, 1 of 1 s" in turn.output
        assert _changed(checkout) != []

    def test_edits_are_numbered_dated_and_committed_now_and_then(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: edits:5")

        lines = (checkout / notes.FILE).read_text().splitlines()
        assert result["status"] == "success"
        assert [line.split()[0] for line in lines] == [str(number) for number in range(1, 11)]
        assert "Keep notes up to 9" in git_checkout.git(checkout, "log", "--format=%s")
        assert git_checkout.git(checkout, "status", "--porcelain") == ""

        made = (checkout / notes.COMMITTED).read_text().split()
        assert made == git_checkout.git(checkout, "rev-list", "--skip=1", "--reverse", "main..").split()

    def test_drafts_are_not_committed_before_the_work_is_done(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: drafts:5")

        assert result["status"] == "success"
        assert len((checkout / notes.FILE).read_text().splitlines()) == 10
        assert (checkout / notes.COMMITTED).read_text() == ""
        assert git_checkout.git(checkout, "rev-list", "--count", "main..") == "1"

    def test_commits_aside_leave_the_notes_uncommitted(self, checkout: Path, turn: Turn) -> None:
        result = turn(f"{BOOKS}\nrehearsal: aside:5")

        made = (checkout / notes.COMMITTED).read_text().split()
        assert result["status"] == "success"
        assert len(made) == 1
        assert git_checkout.git(checkout, "show", "--format=", "--name-only", *made) == notes.BESIDE

    @pytest.mark.parametrize("mode", ["dance", "slow:", "slow:x", "edits:", "edits:x", "drafts", "aside:"])
    def test_unknown_mode_is_a_typed_failure(self, turn: Turn, mode: str) -> None:
        result = turn(f"{BOOKS}\nrehearsal: {mode}")

        assert result["data"]["reason"] == "mode_unknown"


class TestCommandLine:
    """`python -m worker_image.rehearsal` is what a runner starts."""

    def _start(self, checkout: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        root = Path(agent.__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-m", "worker_image.rehearsal", *arguments],
            cwd=checkout,
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(checkout.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def test_prompt_comes_from_a_file(self, checkout: Path, tmp_path: Path) -> None:
        (tmp_path / "prompt").write_text(f"<task>\n{BOOKS}\n</task>\n")

        stdout, _ = self._start(checkout, "--prompt-file", str(tmp_path / "prompt")).communicate(timeout=60)

        verdict = ResultParser.parse(stdout.decode())
        assert verdict is not None
        assert verdict["status"] == "success"

    def test_garbage_has_no_result(self, checkout: Path) -> None:
        process = self._start(checkout, "-p", "books with title\nrehearsal: garbage")

        stdout, _ = process.communicate(timeout=60)

        assert process.returncode == 0
        assert ResultParser.parse(stdout.decode(errors="replace")) is None

    def test_hang_never_ends_by_itself(self, checkout: Path) -> None:
        process = self._start(checkout, "-p", "books with title\nrehearsal: hang")
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]

        still_runs = process.poll() is None
        process.kill()
        process.communicate(timeout=10)

        assert [line["step"] for line in lines] == ["read", "hang"]
        assert still_runs
