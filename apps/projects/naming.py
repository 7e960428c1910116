"""Names that derive from what a person typed; pure."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final
from uuid import UUID

SLUG_CHARACTERS: Final = 40

_CYRILLIC: Final = (
    "а=a б=b в=v г=g д=d е=e ё=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=kh ц=ts "
    "ч=ch ш=sh щ=shch ъ= ы=y ь= э=e ю=yu я=ya і=i ї=yi є=ye ґ=g"
)
_TABLE: Final = {ord(pair[0]): pair[2:] for pair in _CYRILLIC.split(" ")}


def slugify(name: str) -> str:
    """Return lower-case Latin words joined by hyphens, at most 40 characters; empty when nothing is left."""
    latin = unicodedata.normalize("NFC", name).casefold().translate(_TABLE)
    plain = unicodedata.normalize("NFKD", latin).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    slug = "-".join(words)
    if slug and not slug[0].isalpha():
        slug = f"project-{slug}"
    return _cut(slug, SLUG_CHARACTERS)


def slug_candidates(name: str, *, project_id: UUID) -> Iterator[str]:
    """Yield slugs for a project, the nicest first; the later ones carry more and more of its id."""
    base = slugify(name) or f"project-{project_id.hex[:8]}"
    yield base
    for length in (6, 12, 24):
        suffix = project_id.hex[:length]
        yield f"{_cut(base, SLUG_CHARACTERS - length - 1)}-{suffix}"


def _cut(slug: str, characters: int) -> str:
    """Return as many whole words as fit; a word that is too long by itself is cut."""
    if len(slug) <= characters:
        return slug.strip("-")
    whole, _, _ = slug[: characters + 1].rpartition("-")
    return (whole or slug[:characters]).strip("-")
