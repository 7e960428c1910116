"""The reasons for which an uploaded bundle is refused; each names the file or figure in its details."""

from apps.errors import Invalid


class BundleRefused(Invalid):
    """The bundle is not acceptable."""

    code = "bundle_refused"


class BundleTooLarge(BundleRefused):
    """The bundle is larger than allowed, packed or unpacked."""

    code = "bundle_too_large"


class BundleMalformed(BundleRefused):
    """The file is not an intact git bundle."""

    code = "bundle_malformed"


class ExpectedRefMissing(BundleRefused):
    """The bundle does not contain the expected branch."""

    code = "expected_ref_missing"


class ForeignHistory(BundleRefused):
    """The commits have nothing to do with this repository."""

    code = "foreign_history"


class RewrittenHistory(BundleRefused):
    """The commits do not continue the base: history before it was rewritten."""

    code = "rewritten_history"


class MergeCommits(BundleRefused):
    """The new commits contain a merge."""

    code = "merge_commits"


class NoCommit(BundleRefused):
    """There is no new commit."""

    code = "no_commit"


class TooManyCommits(BundleRefused):
    """There are more new commits than allowed."""

    code = "too_many_commits"


class TooManyFiles(BundleRefused):
    """A commit has more files than allowed."""

    code = "too_many_files"


class FileTooLarge(BundleRefused):
    """A file is larger than allowed."""

    code = "file_too_large"


class UnsafePath(BundleRefused):
    """A path, link or file type would be dangerous to check out."""

    code = "unsafe_path"


class SecretFound(BundleRefused):
    """The new text contains what looks like a secret."""

    code = "secret_found"


class ProtectedPathChanged(BundleRefused):
    """A protected file was changed."""

    code = "protected_path_changed"
