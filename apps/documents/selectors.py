"""Finds documents by what they say."""

from dataclasses import dataclass
from typing import Any, Final

from django.contrib.postgres.search import SearchHeadline, SearchQuery, SearchRank
from django.db.models import F, QuerySet

from apps.documents.models import SEARCH_CONFIG, Document

#: Around the words that were found; characters that no markup has a meaning for.
FOUND_BEGIN: Final = "«"
FOUND_END: Final = "»"


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What a person looks for, in the words of a search engine: ``"a phrase"``, ``or``, ``-without``."""

    words: str

    def of(self, rows: QuerySet[Document]) -> QuerySet[Document, Any]:
        """Return the documents that say it, the best first, each with the passage that was found."""
        query = SearchQuery(self.words, search_type="websearch", config=SEARCH_CONFIG)
        passage = SearchHeadline(
            "text",
            query,
            config=SEARCH_CONFIG,
            start_sel=FOUND_BEGIN,
            stop_sel=FOUND_END,
            max_words=40,
            min_words=15,
            max_fragments=2,
            fragment_delimiter=" … ",
        )
        found = rows.filter(search=query).annotate(rank=SearchRank(F("search"), query), passage=passage)
        return found.order_by("-rank", "pk")
