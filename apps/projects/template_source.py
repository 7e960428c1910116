"""Where the template of new projects comes from when it is not ours: a git repository, or a path."""

import base64
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from apps.errors import OrchestratorError, Unavailable
from apps.projects.git import Git, GitFailed, GitLimits
from apps.projects.objects import create_bare
from apps.projects.template_errors import TemplateUnusable
from apps.projects.template_mapping import TemplateMapping, load_mapping

REF_LENGTH: Final = 40
_REF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*")
_SHA = re.compile(r"[0-9a-f]{40}")
_ADDRESS = re.compile(r"(https|file)://\S+")
_ABSENT = re.compile(r"couldn't find remote ref|not our ref|no such remote ref|unadvertised object")
_LIMITS: Final = GitLimits(timeout_seconds=60, cpu_seconds=60)
_SETTINGS: Final = ("protocol.https.allow=always", "http.lowSpeedLimit=1000", "http.lowSpeedTime=30")


class TemplateSourceInvalid(TemplateUnusable):
    """SCAFFOLD_TEMPLATE names nothing that can be used."""

    code = "template_source_invalid"


class TemplateRefMissing(TemplateUnusable):
    """The template has no such tag or commit: correct SCAFFOLD_TEMPLATE_REF."""

    code = "template_ref_missing"


class TemplateSourceUnavailable(Unavailable):
    """The template's repository does not answer."""

    code = "template_source_unavailable"


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateSource:
    """A template and how its questions are answered.

    Attributes:
        location: address of a git repository (https or file), or a path: of a git repository or a directory;
            may hold a name and a password, which git is given by its environment alone.
        ref: tag or full commit; a branch would be another template tomorrow. Empty for a plain directory.
        mapping: from our answers to its own.
        cache: where its files are kept by location and ref; may be deleted at any time.
        network: variables that git needs to reach other hosts: proxies, certificates.

    """

    location: str = field(repr=False)
    ref: str
    cache: Path
    mapping: TemplateMapping = field(default_factory=TemplateMapping)
    network: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """Return what a project remembers of it."""
        return self.ref or "unversioned"

    @property
    def public_name(self) -> str:
        """Return what may stand in a project: no path of this machine, no credentials."""
        if _ADDRESS.fullmatch(self.location) and not self.location.startswith("file:"):
            return re.sub(r"[?#].*", "", self._address)
        return f"template:{Path(self.location).name.removesuffix('.git')}"

    @property
    def _address(self) -> str:
        """The location without a name and a password; those may hold any character but a slash."""
        return re.sub(r"(?<=://)[^/]*@", "", self.location, count=1)

    def files(self) -> Path:
        """Return the directory of its files, fetched when they are not here yet.

        Raises:
            TemplateSourceInvalid: the location is nothing, or the ref is missing or not needed.
            TemplateRefMissing: there is neither a tag nor a commit of that name.
            TemplateSourceUnavailable: the repository does not answer.

        """
        if self.check():
            return Path(self.location)
        name = hashlib.sha256(f"{self.location}\n{self.ref}".encode()).hexdigest()[:32]
        kept = self.cache / name
        if not kept.is_dir():
            self._fetch(kept)
        return kept

    def check(self) -> bool:
        """Tell whether it is a plain directory, without versions; nothing is fetched.

        Raises:
            TemplateSourceInvalid: the location is nothing, or the ref is missing or not needed.

        """
        if not _ADDRESS.fullmatch(self.location):
            path = Path(self.location)
            if not path.is_dir():
                raise TemplateSourceInvalid("SCAFFOLD_TEMPLATE is neither an address nor a directory")
            if not (path / ".git").exists() and not (path / "HEAD").is_file():
                if self.ref:
                    raise TemplateSourceInvalid(
                        "SCAFFOLD_TEMPLATE_REF is set, but the directory is no git repository"
                    )
                return True
        if not self.ref or len(self.ref) > REF_LENGTH or not _REF.fullmatch(self.ref) or ".." in self.ref:
            raise TemplateSourceInvalid("SCAFFOLD_TEMPLATE_REF has to name a tag or a full commit")
        return False

    def _fetch(self, kept: Path) -> None:
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".fetch-", dir=self.cache))
        try:
            repository = create_bare(scratch / "repository.git")
            git = Git(repository=repository.repository, limits=_LIMITS, settings=_SETTINGS, durable=False)
            self._fetch_ref(git)
            files = scratch / "files"
            files.mkdir()
            place = {"GIT_WORK_TREE": str(files)}
            git.run("read-tree", "FETCH_HEAD", environment=place)
            git.run("checkout-index", "--all", environment=place)
            _refuse_links_outside(files)
            with contextlib.suppress(OSError):  # somebody else was quicker
                os.rename(files, kept)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _fetch_ref(self, git: Git) -> None:
        wanted = self.ref if _SHA.fullmatch(self.ref) else f"refs/tags/{self.ref}"
        environment = {**self.network, "GIT_ALLOW_PROTOCOL": "file:https", **self._credential()}
        try:
            git.run("fetch", "--quiet", "--no-tags", self._address, wanted, environment=environment)
        except GitFailed as error:
            if _ABSENT.search(error.message):
                raise TemplateRefMissing(
                    f"The template has no tag or commit {self.ref} (a branch is not taken): "
                    "correct SCAFFOLD_TEMPLATE_REF",
                    details={"ref": self.ref},
                ) from error
            raise TemplateSourceUnavailable(
                f"The template's repository does not answer: {error.message}"
            ) from error
        except OrchestratorError as error:
            raise TemplateSourceUnavailable(f"The template could not be fetched: {error.message}") from error

    def _credential(self) -> dict[str, str]:
        parts = urlsplit(self.location)
        if parts.scheme != "https" or not parts.username:
            return {}
        words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        origin = f"https://{parts.netloc.rpartition('@')[2]}/"
        return {
            "GIT_CONFIG_COUNT": "1",
            # Only below this address: a redirect to another host does not take it along.
            "GIT_CONFIG_KEY_0": f"http.{origin}.extraheader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {base64.b64encode(words.encode()).decode()}",
        }


def _refuse_links_outside(files: Path) -> None:
    """Copier follows links: one that leads elsewhere would put files of this machine into a project."""
    root = os.path.realpath(files)
    for path in files.rglob("*"):
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
            raise TemplateSourceInvalid(f"The template has a link that leads out of it: {path.name}")
        if path.is_symlink() and not path.exists():
            raise TemplateSourceInvalid(f"The template has a link that leads nowhere: {path.name}")


def configured_template(
    *, location: str, ref: str, table: str, var_dir: Path, network: Mapping[str, str]
) -> TemplateSource | None:
    """Return the template that settings of these values name; None for ours.

    Args:
        location: SCAFFOLD_TEMPLATE.
        ref: SCAFFOLD_TEMPLATE_REF.
        table: SCAFFOLD_TEMPLATE_MAP.
        var_dir: below which fetched templates are kept.
        network: see `TemplateSource`.

    Raises:
        TemplateSourceInvalid: a ref or a table is given, but no location.
        TemplateMappingInvalid: the table cannot be used.

    """
    if location:
        return TemplateSource(
            location=location,
            ref=ref,
            cache=var_dir / "templates",
            mapping=load_mapping(table),
            network=network,
        )
    if ref or table:
        lonely = "SCAFFOLD_TEMPLATE_REF" if ref else "SCAFFOLD_TEMPLATE_MAP"
        raise TemplateSourceInvalid(f"{lonely} is set without SCAFFOLD_TEMPLATE")
    return None
