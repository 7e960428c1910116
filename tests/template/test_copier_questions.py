"""The template refuses bad answers by itself too, when it is used without the control plane."""

from pathlib import Path

import copier
import pytest

from apps.projects.templating import TEMPLATE_DIRECTORY

pytestmark = pytest.mark.unit

ANSWERS = {"project_name": "Books", "project_slug": "books", "modules": ["backend"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("modules", ["spaceship"]),
        ("modules", []),
        ("project_name", ""),
        ("project_name", "x" * 101),
        ("project_name", "bell\x07"),
        ("project_slug", "../escape"),
        ("project_slug", "books\n"),
        ("project_description", "nul \x00"),
    ],
)
def test_bad_answer_is_refused_by_name(tmp_path: Path, field: str, value: object) -> None:
    answers = ANSWERS | {field: value}

    with pytest.raises(ValueError, match=field):
        copier.run_copy(str(TEMPLATE_DIRECTORY), tmp_path / "p", data=answers, defaults=True, quiet=True)

    assert not (tmp_path / "p" / "project.yaml").exists()
