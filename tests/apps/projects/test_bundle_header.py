"""The header is read as git writes it, and nothing else is."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.projects.bundle_errors import BundleMalformed
from apps.projects.bundle_header import read_header

pytestmark = pytest.mark.unit

SHA = st.text("0123456789abcdef", min_size=40, max_size=40)
NAME = st.from_regex(r"refs/[A-Za-z0-9][A-Za-z0-9._/-]{0,40}", fullmatch=True)
PACK = b"PACK" + (2).to_bytes(4, "big") + (7).to_bytes(4, "big")


def write(version: int, prerequisites: list[str], refs: dict[str, str]) -> bytes:
    lines = [f"# v{version} git bundle", *(["@object-format=sha1"] if version == 3 else [])]
    lines += [f"-{sha} a comment" for sha in prerequisites]
    lines += [f"{sha} {name}" for name, sha in refs.items()]
    return "\n".join([*lines, "", ""]).encode()


@given(st.sampled_from([2, 3]), st.lists(SHA, max_size=5), st.dictionaries(NAME, SHA, max_size=5))
def test_header_is_read_as_written(version: int, prerequisites: list[str], refs: dict[str, str]) -> None:
    content = write(version, prerequisites, refs)

    stream = io.BytesIO(content + PACK + b"rest")
    header = read_header(stream)

    assert (header.version, header.prerequisites, header.refs) == (version, tuple(prerequisites), refs)
    assert (header.pack_offset, header.pack_objects) == (len(content), 7)
    assert stream.tell() == len(content)


@given(st.binary(max_size=300), st.sampled_from([b"", b"# v2 git bundle\n", b"# v3 git bundle\n"]))
def test_any_bytes_are_read_or_refused(content: bytes, start: bytes) -> None:
    try:
        offset = read_header(io.BytesIO(start + content)).pack_offset
    except BundleMalformed:
        offset = 0

    assert offset <= len(start + content)


@given(st.data())
def test_header_cut_anywhere_is_refused(data: st.DataObject) -> None:
    content = write(2, ["a" * 40], {"refs/heads/main": "b" * 40}) + PACK
    length = data.draw(st.integers(0, len(content) - 1))

    with pytest.raises(BundleMalformed) as refused:
        read_header(io.BytesIO(content[:length]))

    assert refused.value.error_code == "bundle_malformed"


@pytest.mark.parametrize(
    "line",
    [
        b"@filter=blob:none",
        b"@object-format=sha256",
        b"-" + b"A" * 40,
        b"a" * 64 + b" refs/heads/main",
        b"a" * 40 + b" refs/heads/../main\x01",
        b"a" * 40 + b" main",
        b"a" * 40 + b" refs/heads/" + b"x" * 2_000,
        b"a" * 40 + b" refs/heads/main\n" + b"b" * 40 + b" refs/heads/main",
        b"a" * 40 + b" refs/heads/main\n-" + b"b" * 40,
        b"\n".join(b"-" + b"a" * 40 for _ in range(300)),
    ],
)
def test_unexpected_line_is_refused(line: bytes) -> None:
    content = b"# v3 git bundle\n" + line + b"\n\n" + PACK

    with pytest.raises(BundleMalformed) as refused:
        read_header(io.BytesIO(content))

    assert refused.value.details == {"part": "header"}
