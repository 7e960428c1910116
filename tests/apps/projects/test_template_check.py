"""An operator is told what new projects are made from, or what is wrong with it."""

from pathlib import Path

import pytest

from apps.errors import OrchestratorError
from apps.projects import templating
from apps.projects.checks import check_forge
from apps.projects.template_check import examine_template
from orchestrator import doctor
from orchestrator.stack import CommandFailed
from orchestrator.stack.prepare import check_settings
from tests.template import foreign

pytestmark = pytest.mark.unit


@pytest.fixture
def values(tmp_path: Path) -> dict[str, str]:
    return {
        "SCAFFOLD_TEMPLATE": str(foreign.make_repository(tmp_path / "theirs", foreign.FILES, tag="0.3.5")),
        "SCAFFOLD_TEMPLATE_REF": "0.3.5",
        "SCAFFOLD_TEMPLATE_MAP": str(foreign.MAPPING_FILE),
    }


def test_our_own_template_is_named_with_its_version(tmp_path: Path) -> None:
    text = examine_template({}, var_dir=tmp_path, outer={})

    assert text == f"ours, version {templating.template_version()}"


def test_foreign_template_is_fetched_and_named(values: dict[str, str], tmp_path: Path) -> None:
    text = examine_template(values, var_dir=tmp_path / "var", outer={})

    assert text == "template:theirs, version 0.3.5"
    assert any((tmp_path / "var" / "templates").iterdir())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SCAFFOLD_TEMPLATE_REF", "main", "no tag or commit main"),
        ("SCAFFOLD_TEMPLATE", "", "SCAFFOLD_TEMPLATE_REF is set without SCAFFOLD_TEMPLATE"),
        ("SCAFFOLD_TEMPLATE_MAP", '{"answers": {"a": {"form": "name"}}}', "answers.a.form"),
    ],
)
def test_what_is_wrong_is_told(
    values: dict[str, str], tmp_path: Path, name: str, value: str, words: str
) -> None:
    with pytest.raises(OrchestratorError, match=words):
        examine_template(values | {name: value}, var_dir=tmp_path / "var", outer={})


def _lines_of_the_doctor() -> list[str]:
    return [finding.line() for finding in doctor.examine() if finding.name == "template"]


def test_doctor_tells_of_a_template_that_the_settings_name(
    values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VAR_DIR", str(tmp_path / "var"))
    good = _lines_of_the_doctor()
    monkeypatch.setenv("SCAFFOLD_TEMPLATE_REF", "main")

    bad = _lines_of_the_doctor()

    assert good == ["ok   template: template:theirs, version 0.3.5"]
    assert len(bad) == 1
    assert bad[0].startswith(
        "RED  template: The template has no tag or commit main (a branch is not taken): "
    )


def test_stack_does_not_start_with_a_wrong_table(values: dict[str, str], tmp_path: Path) -> None:
    check_settings(values, var_dir=tmp_path, root=tmp_path)
    wrong = values | {"SCAFFOLD_TEMPLATE_MAP": '{"answers": {"a": {"form": "name"}}}'}

    with pytest.raises(CommandFailed, match=r"SCAFFOLD_TEMPLATE_MAP is wrong at answers\.a\.form"):
        check_settings(wrong, var_dir=tmp_path, root=tmp_path)


def test_git_host_that_nobody_knows_is_refused_at_start(settings) -> None:
    settings.PROJECTS_FORGE = "gitlab"

    (found,) = check_forge()

    assert "known are local, github" in found.msg
