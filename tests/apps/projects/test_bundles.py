"""Good bundles pass; every hostile one is refused with its own code and leaves nothing behind."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apps.projects import bundle_errors as errors
from apps.projects import bundles, objects
from apps.projects.bundle_header import read_header
from apps.projects.forge import base
from apps.projects.forge.local import LocalForge
from apps.projects.git import DiskFull, Git
from tests.fakes_forge import MOMENT, GitSource

pytestmark = pytest.mark.unit

PROTECTED = ("project.yaml", "Makefile", "pyproject.toml", "tests/conftest.py", ".github/**")
BASE_FILES: dict[str, Any] = {
    "project.yaml": b"version: 1\n",
    "Makefile": b"check:\n",
    "app/main.py": b"print('hello')\n",
    "AGENTS.md": b"Read me\n",
    "CLAUDE.md": ("120000", b"AGENTS.md"),
}
# Assembled here, so that no scanner takes this file for a leak.
TOKENS = {
    "github_token": "gh" + "p_" + "a1B2" * 9,
    "anthropic_key": "sk-" + "ant-api03-" + "aB3_" * 10,
    "openai_key": "sk-" + "proj-" + "aB3d" * 12,
    "telegram_bot_token": "1234567890" + ":AA" + "b" * 33,
    "aws_access_key": "AKI" + "A" + "QWERTYUIOPASDFGH",
    "private_key": "-----BEGIN " + "OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXktdjEAAAAA",
}


class Desk:
    """A project's repository, a worker's copy of it and what the worker sends."""

    def __init__(self, root: Path) -> None:
        self.mirror = GitSource(root / "mirror.git")
        self.base = self.mirror.commit_files(BASE_FILES)
        self.mirror.branch("main", self.base)
        self.work = GitSource(root / "work.git", alternates=self.mirror.path)
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        self.file = root / "work.bundle"

    def commit(self, changes: dict[str, Any], *parents: str, message: str = "Work\n") -> str:
        kept = {path: content for path, content in {**BASE_FILES, **changes}.items() if content is not None}
        return self.work.commit(self.work.files(kept), *(parents or (self.base,)), message=message)

    def send(self, head: str, *, branch: str = "task/1", since: str | None = None) -> None:
        self.work.branch(branch, head)
        span = [f"refs/heads/{branch}", f"^{since or self.base}"]
        self.work.git.run("bundle", "create", "--quiet", str(self.file), *span)

    def take(self, **options: Any) -> bundles.BundleReport:
        settings = {
            "mirror": self.mirror.path,
            "base_sha": self.base,
            "branch": "task/1",
            "protected": PROTECTED,
            "scratch": self.scratch,
        }
        with bundles.imported_bundle(self.file, **{**settings, **options}) as imported:
            assert objects.has_commit(Git(repository=imported.repository), imported.report.head_sha)
            return imported.report

    def refused(self, error: type[errors.BundleRefused], **options: Any) -> dict[str, Any]:
        """Send it in, and check that it is refused for this reason and leaves nothing behind."""
        before = snapshot(self.mirror.path)
        with pytest.raises(errors.BundleRefused) as refusal:
            self.take(**options)
        assert type(refusal.value) is error, refusal.value.message
        assert list(self.scratch.iterdir()) == []
        assert snapshot(self.mirror.path) == before
        return refusal.value.details


def snapshot(path: Path) -> dict[str, int]:
    return {str(file.relative_to(path)): file.stat().st_size for file in path.rglob("*") if file.is_file()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_good_bundle_is_reported(desk: Desk) -> None:
    first = desk.commit({"app/books.py": b"a\nb\n"}, message="Add books\n\nWith text\n")
    head = desk.commit({"app/books.py": b"a\nc\n", "app/main.py": None}, first, message="Change\x1b[31m it\n")
    desk.send(head)

    report = desk.take()

    assert [commit.sha for commit in report.commits] == [first, head]
    assert [commit.subject for commit in report.commits] == ["Add books", "Change[31m it"]
    assert (report.paths, report.files_changed) == (("app/books.py", "app/main.py"), 2)
    assert (report.additions, report.deletions) == (2, 1)
    assert (report.base_sha, report.head_sha, report.size) == (desk.base, head, desk.file.stat().st_size)
    assert list(desk.scratch.iterdir()) == []


def test_imported_commits_can_be_pushed_and_merged(desk: Desk, tmp_path: Path) -> None:
    forge = LocalForge(tmp_path / "forge")
    repository = forge.ensure_repository(base.RepositorySpec(project_id="p", name="books"))
    forge.push(repository, source=desk.mirror.path, sha=desk.base, branch="main", expected=None)
    head = desk.commit({"app/books.py": b"pass\n"})
    desk.send(head)

    with bundles.imported_bundle(
        desk.file, mirror=forge.mirror(repository), base_sha=desk.base, branch="task/1"
    ) as imported:
        forge.push(repository, source=imported.repository, sha=head, branch="task/1", expected=None)
    spec = base.MergeSpec(
        request_id="r",
        source_sha=head,
        into="main",
        expected_base=desk.base,
        message="Add",
        authored_at=MOMENT,
    )
    merged = forge.merge(repository, spec)

    assert forge.read_file(repository, sha=merged.sha, path="app/books.py", limit=10) == b"pass\n"


def test_error_of_the_caller_passes_and_cleans_up(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}))
    options: dict[str, Any] = {"mirror": desk.mirror.path, "base_sha": desk.base, "branch": "task/1"}

    with (
        pytest.raises(OSError, match="mine"),
        bundles.imported_bundle(desk.file, scratch=desk.scratch, **options),
    ):
        raise OSError("mine")

    assert list(desk.scratch.iterdir()) == []


def test_bundle_without_prerequisites_passes(desk: Desk) -> None:
    head = desk.commit({"a": b"a"})
    desk.work.branch("task/1", head)
    desk.work.git.run("bundle", "create", "--quiet", str(desk.file), "refs/heads/task/1")

    report = desk.take()

    assert report.head_sha == head


def test_other_refs_are_ignored(desk: Desk) -> None:
    head = desk.commit({"a": b"a"})
    dirty = desk.commit({"Makefile": b"evil"}, head)
    desk.work.git.run("update-ref", "refs/worker/dirty", dirty)
    desk.work.branch("task/1", head)
    span = ["refs/heads/task/1", "refs/worker/dirty", f"^{desk.base}"]
    desk.work.git.run("bundle", "create", "--quiet", str(desk.file), *span)

    report = desk.take()

    assert (report.head_sha, report.paths) == (head, ("a",))


def test_wrong_branch_is_refused_and_named(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}), branch="other")

    details = desk.refused(errors.ExpectedRefMissing)

    assert details == {"expected": "refs/heads/task/1", "found": ["refs/heads/other"]}


def test_history_of_another_repository_is_refused(desk: Desk) -> None:
    other = desk.work.commit_files({"other": b"other"})
    desk.send(desk.work.commit_files({"other": b"more"}, other), since=other)

    details = desk.refused(errors.ForeignHistory)

    assert details == {"commit": other}


def test_unrelated_root_is_refused(desk: Desk) -> None:
    desk.send(desk.work.commit_files({"other": b"other"}))

    details = desk.refused(errors.ForeignHistory)

    assert details["base"] == desk.base


def test_rewritten_history_is_refused(desk: Desk) -> None:
    newer = desk.mirror.commit_files({**BASE_FILES, "newer": b""}, desk.base)
    desk.send(desk.commit({"a": b"a"}))

    details = desk.refused(errors.RewrittenHistory, base_sha=newer)

    assert details["base"] == newer


def test_merge_commit_is_refused(desk: Desk) -> None:
    sides = [desk.commit({name: b""}) for name in ("a", "b")]
    merge = desk.commit({"a": b"", "b": b""}, *sides)
    desk.send(merge)

    details = desk.refused(errors.MergeCommits)

    assert details == {"commit": merge}


def test_head_that_is_the_base_is_no_commit(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}))
    content = desk.file.read_bytes()
    header = content.index(b"\n\n")
    ref = f"{desk.base} refs/heads/task/1".encode()
    desk.file.write_bytes(b"# v2 git bundle\n-" + desk.base.encode() + b" \n" + ref + content[header:])

    details = desk.refused(errors.NoCommit)

    assert details == {}


def test_too_many_commits_are_refused(desk: Desk) -> None:
    head = desk.base
    for number in range(4):
        head = desk.commit({"a": str(number).encode()}, head)
    desk.send(head)

    details = desk.refused(errors.TooManyCommits, limits=bundles.BundleLimits(max_commits=3))

    assert details == {"limit": 3}


def test_oversized_file_is_refused_before_it_is_read(desk: Desk) -> None:
    desk.send(desk.commit({"a": os.urandom(20_000)}))

    details = desk.refused(errors.BundleTooLarge, limits=bundles.BundleLimits(max_bytes=10_000))

    assert details["limit"] == 10_000


def test_pack_that_unpacks_to_too_much_is_refused(desk: Desk) -> None:
    desk.send(desk.commit({f"a{n}": bytes([n]) * 900_000 for n in range(4)}))
    assert desk.file.stat().st_size < 20_000

    details = desk.refused(
        errors.BundleTooLarge,
        limits=bundles.BundleLimits(max_unpacked_bytes=2_000_000, max_file_bytes=1_000_000),
    )

    assert details["unpacked"] > 3_600_000


def test_huge_file_in_a_small_pack_is_refused(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"\0" * 30_000_000}))
    assert desk.file.stat().st_size < 100_000

    details = desk.refused(errors.FileTooLarge)

    assert (details["file"], details["size"]) == ("a", 30_000_000)


def test_pack_that_claims_too_many_objects_is_refused(desk: Desk) -> None:
    desk.send(desk.commit({f"f{n}": str(n).encode() for n in range(20)}))

    details = desk.refused(errors.BundleTooLarge, limits=bundles.BundleLimits(max_objects=10))

    assert details["limit"] == 10


def test_processor_limit_refuses_the_bundle(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"\0" * 30_000_000}))

    details = desk.refused(errors.BundleTooLarge, limits=bundles.BundleLimits(cpu_seconds=0))

    assert details["command"] == "index-pack"


def test_ten_million_paths_in_a_tiny_pack_are_refused(desk: Desk) -> None:
    names = [bytes([97 + n]) for n in range(10)]
    tree = desk.work.tree([("100644", desk.work.blob(b""), name) for name in names])
    for _ in range(6):
        tree = desk.work.tree([("40000", tree, name) for name in names])
    desk.send(desk.work.commit(tree, desk.base))
    assert desk.file.stat().st_size < 2_000

    details = desk.refused(errors.TooManyFiles)

    assert details["limit"] == 20_000


def test_more_files_than_allowed_in_an_earlier_commit_are_refused(desk: Desk) -> None:
    many = desk.commit({f"f{n}": b"" for n in range(30)})
    desk.send(desk.commit({}, many))

    details = desk.refused(errors.TooManyFiles, limits=bundles.BundleLimits(max_paths=20))

    assert details["commit"] == many


def test_submodule_is_refused(desk: Desk) -> None:
    desk.send(desk.work.commit(desk.work.tree([("160000", desk.base, b"module")]), desk.base))

    details = desk.refused(errors.UnsafePath)

    assert details == {"file": "module", "rule": "gitlink"}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("link", b"/etc/passwd"),
        ("link", b"../outside"),
        ("deep/link", b"../../outside"),
        ("link", b"app/../../outside"),
        ("link", b".git/config"),
        ("link", b"app/.GIT/config"),
        ("link", b""),
        ("link", b"a" * 2_000),
    ],
)
def test_symlink_that_leaves_the_project_is_refused(desk: Desk, path: str, target: bytes) -> None:
    desk.send(desk.commit({path: ("120000", target)}))

    details = desk.refused(errors.UnsafePath)

    assert details == {"file": path, "rule": "symlink"}


@pytest.mark.parametrize(("path", "target"), [("link", b"app/main.py"), ("deep/er/link", b"../../app")])
def test_symlink_inside_the_project_passes(desk: Desk, path: str, target: bytes) -> None:
    desk.send(desk.commit({path: ("120000", target)}))

    report = desk.take()

    assert report.paths == (path,)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("git~1", None),
        (".git ", None),
        (".g\u200cit", None),
        ("a\\b", "characters"),
        ("new\nline", "characters"),
        ("x" * 251, "length"),
        ("/".join("a" * 60), "length"),
        ("a:b/.git::$INDEX", "git_directory"),
    ],
)
def test_dangerous_name_is_refused(desk: Desk, name: str, rule: str | None) -> None:
    desk.send(desk.commit({name: b"x"}))

    before = snapshot(desk.mirror.path)
    with pytest.raises((errors.UnsafePath, errors.BundleMalformed)) as refused:
        desk.take()

    # git refuses some itself; what it lets pass is ours.
    assert refused.value.details.get("rule", rule) == (rule or refused.value.details.get("rule"))
    assert snapshot(desk.mirror.path) == before


@pytest.mark.parametrize(
    "entry",
    [
        ("100644", b".git"),
        ("100644", b".."),
        ("100644", b"."),
        ("100644", b"a/b"),
        ("100666", b"a"),
        ("104755", b"a"),
        ("0100644", b"a"),
    ],
)
def test_tree_that_no_git_would_write_is_refused(desk: Desk, entry: tuple[str, bytes]) -> None:
    mode, name = entry
    desk.send(desk.work.commit(desk.work.tree([(mode, desk.work.blob(b"x"), name)]), desk.base))

    details = desk.refused(errors.BundleMalformed)

    assert details["command"] == "index-pack"


def test_name_that_is_not_text_is_refused(desk: Desk) -> None:
    desk.send(desk.work.commit(desk.work.tree([("100644", desk.work.blob(b"x"), b"\xff\xfe")]), desk.base))

    details = desk.refused(errors.UnsafePath)

    assert details["rule"] == "characters"


@pytest.mark.parametrize(
    "pair", [("docs/A.md", "docs/a.md"), ("Docs/x", "docs/y"), ("caf\u00e9", "cafe\u0301")]
)
def test_names_that_collide_are_refused(desk: Desk, pair: tuple[str, str]) -> None:
    desk.send(desk.commit(dict.fromkeys(pair, b"x")))

    details = desk.refused(errors.UnsafePath)

    assert details["rule"] == "case_collision"


@pytest.mark.parametrize("rule", sorted(TOKENS))
def test_secret_is_refused_without_showing_it(desk: Desk, rule: str) -> None:
    desk.send(desk.commit({"app/settings.py": f"first\nKEY = '{TOKENS[rule]}'\n".encode()}))

    details = desk.refused(errors.SecretFound)

    assert (details["file"], details["rule"], details["line"]) == ("app/settings.py", rule, 2)
    assert TOKENS[rule] not in str(details)


def test_secret_that_a_later_commit_removes_is_refused(desk: Desk) -> None:
    leak = desk.commit({"a": TOKENS["github_token"].encode()})
    desk.send(desk.commit({"a": b"clean"}, leak))

    details = desk.refused(errors.SecretFound)

    assert details["commit"] == leak


def test_secret_in_a_commit_message_is_refused(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}, message=f"Use {TOKENS['github_token']}\n"))

    details = desk.refused(errors.SecretFound)

    assert details["file"] == "(commit message)"


def test_secret_that_was_there_before_is_not_the_agents(desk: Desk) -> None:
    token = TOKENS["github_token"].encode()
    old = desk.mirror.commit_files({**BASE_FILES, "a": token}, desk.base)
    head = desk.work.commit_files({**BASE_FILES, "a": token + b"\nmore\n"}, old)
    desk.send(head, since=old)

    report = desk.take(base_sha=old)

    assert report.paths == ("a",)


@pytest.mark.parametrize(
    ("changes", "file", "pattern"),
    [
        ({"Makefile": b"check: ; true\n"}, "Makefile", "Makefile"),
        ({"Makefile": None}, "Makefile", "Makefile"),
        ({"Makefile": ("100755", b"check:\n")}, "Makefile", "Makefile"),
        ({"GNUmakefile": b"check: ; true\n"}, "GNUmakefile", "GNUmakefile"),
        ({"pytest.ini": b"[pytest]\n"}, "pytest.ini", "pytest.ini"),
        ({".github/workflows/ci.yml": b"on: push\n"}, ".github/workflows/ci.yml", ".github/**"),
        ({".github": ("120000", b"app")}, ".github", ".github/**"),
        ({"tests": ("120000", b"app")}, "tests", "tests/conftest.py"),
        ({"TESTS/conftest.py": b""}, "TESTS/conftest.py", "tests/conftest.py"),
    ],
)
def test_protected_file_is_refused_unless_allowed(
    desk: Desk, changes: dict[str, Any], file: str, pattern: str
) -> None:
    desk.send(desk.commit(changes))

    details = desk.refused(errors.ProtectedPathChanged)

    assert details == {"file": file, "pattern": pattern}
    assert desk.take(allow_protected=True).paths == (file,)


def test_protected_file_that_was_put_back_passes(desk: Desk) -> None:
    touched = desk.commit({"Makefile": b"oops"})
    desk.send(desk.commit({"a": b"a"}, touched))

    report = desk.take()

    assert report.paths == ("a",)


def cut(content: bytes) -> bytes:
    return content[:-30]


def flip(content: bytes) -> bytes:
    return content[:-40] + bytes([content[-40] ^ 0xFF]) + content[-39:]


def forge_checksum(content: bytes) -> bytes:
    return content[:-20] + b"\0" * 20


def more(content: bytes) -> bytes:
    return content + b"garbage"


def empty(content: bytes) -> bytes:
    return b""


def no_pack(content: bytes) -> bytes:
    return content[: content.index(b"PACK")]


def version_four(content: bytes) -> bytes:
    return content.replace(b"# v2", b"# v4", 1)


def filtered(content: bytes) -> bytes:
    return content.replace(b"# v2 git bundle\n", b"# v3 git bundle\n@filter=blob:none\n", 1)


def unknown_head(content: bytes) -> bytes:
    start = content.index(b" refs/heads/") - 40
    return content[:start] + b"1" * 40 + content[start + 40 :]


@pytest.mark.parametrize(
    "damage", [cut, flip, forge_checksum, more, empty, no_pack, version_four, filtered, unknown_head]
)
def test_damaged_bundle_is_malformed(desk: Desk, damage: Callable[[bytes], bytes]) -> None:
    desk.send(desk.commit({"a": os.urandom(500)}))
    desk.file.write_bytes(damage(desk.file.read_bytes()))

    details = desk.refused(errors.BundleMalformed)

    assert details


def test_pack_without_a_file_it_needs_is_malformed(desk: Desk) -> None:
    missing = desk.work.tree([("100644", "1" * 40, b"a")])
    commit = desk.work.commit(missing, desk.base)
    pack = desk.work.git.run("pack-objects", "--stdout", "-q", stdin=f"{commit}\n{missing}\n".encode()).output
    header = f"# v2 git bundle\n-{desk.base} \n{commit} refs/heads/task/1\n\n"
    desk.file.write_bytes(header.encode() + pack)

    details = desk.refused(errors.BundleMalformed)

    assert details["command"] == "index-pack"


def test_base_that_the_mirror_lacks_says_nothing_about_the_bundle(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}))

    with pytest.raises(bundles.BaseNotFound):
        desk.take(base_sha="1" * 40)

    assert list(desk.scratch.iterdir()) == []


def test_full_disk_says_nothing_about_the_bundle(desk: Desk) -> None:
    desk.send(desk.commit({"a": b"a"}))

    with pytest.raises(DiskFull) as refused, bundles._as_refusals():
        raise OSError(28, "No space left on device")

    assert refused.value.error_code == "disk_full"


def test_bundle_for_verification_has_the_commit_and_its_base(desk: Desk, tmp_path: Path) -> None:
    head = desk.commit({"a": b"a"})
    before = snapshot(desk.work.path)

    info = bundles.make_bundle(
        desk.work.path, sha=head, destination=tmp_path / "v.bundle", branch="verify", base_sha=desk.base
    )
    Git().run("clone", "--quiet", "-b", "verify", str(tmp_path / "v.bundle"), str(tmp_path / "clone"))

    clone = Git(repository=tmp_path / "clone" / ".git")
    assert clone.text("rev-parse", "HEAD") == head == info.head_sha
    assert clone.text("rev-parse", "origin/base") == desk.base
    assert snapshot(desk.work.path) == before


def test_bundle_of_an_absent_commit_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(bundles.BundleCommitNotFound):
        bundles.make_bundle(desk.work.path, sha="1" * 40, destination=tmp_path / "v.bundle")

    assert not (tmp_path / "v.bundle").exists()


def test_bundle_made_for_a_release_has_the_form_we_accept(desk: Desk, tmp_path: Path) -> None:
    bundles.make_bundle(desk.mirror.path, sha=desk.base, destination=tmp_path / "r.bundle")

    with (tmp_path / "r.bundle").open("rb") as stream:
        header = read_header(stream)

    assert header.refs == {"refs/heads/main": desk.base, "HEAD": desk.base}
