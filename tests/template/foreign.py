"""A template of another make, as a git repository: other questions, other names, no manifest of ours."""

import subprocess
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parent.parent / "data"
_TEMPLATE: Final = DATA / "foreign_template"
FILES: Final = {
    str(path.relative_to(_TEMPLATE)): path.read_text(encoding="utf-8")
    for path in sorted(_TEMPLATE.rglob("*"))
    if path.is_file()
}
QUESTIONS: Final = FILES["copier.yml"]
MAPPING_FILE: Final = DATA / "foreign_mapping.yaml"
MAPPING: Final = MAPPING_FILE.read_text(encoding="utf-8")


def git(directory: Path, *arguments: str, ok: tuple[int, ...] = (0,)) -> str:
    """Run git in a directory; returns what it printed."""
    identity = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, capture_output=True, text=True)
    assert done.returncode in ok, done.stderr
    return done.stdout.strip()


def make_repository(directory: Path, files: dict[str, str], *, tag: str) -> Path:
    """Make a repository with one tagged commit."""
    directory.mkdir()
    git(directory, "init", "-q", "-b", "main")
    return commit(directory, files, tag=tag)


def commit(directory: Path, files: dict[str, str], *, tag: str) -> Path:
    """Add a tagged commit."""
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")
    git(directory, "add", "--all")
    git(directory, "commit", "-q", "-m", tag)
    git(directory, "tag", tag)
    return directory
