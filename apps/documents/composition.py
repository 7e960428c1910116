"""Chooses who writes summaries; the only module of this app that reads settings."""

from collections.abc import Callable
from typing import Final

from django.conf import settings
from django.core.checks import CheckMessage, Error

from apps.documents.language_models import ClaudeSummariser, OpenAISummariser, Summariser

_PROVIDERS: Final[dict[str, tuple[Callable[..., Summariser], str, str]]] = {
    "anthropic": (ClaudeSummariser, "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "openai": (OpenAISummariser, "OPENAI_API_KEY", "OPENAI_BASE_URL"),
}


def get_summariser() -> Summariser | None:
    """Return the language model that the settings name; None: documents are summarised by their own words."""
    if problem_of_settings() or not settings.DOCUMENTS_SUMMARY_MODEL:
        return None
    provider, _, name = settings.DOCUMENTS_SUMMARY_MODEL.partition("/")
    maker, key, url = _PROVIDERS[provider]
    address = {"url": getattr(settings, url)} if getattr(settings, url) else {}
    return maker(name=name, key=getattr(settings, key), **address)


def problem_of_settings() -> str:
    """Return what is wrong with the settings of summaries; empty: nothing."""
    if not settings.DOCUMENTS_SUMMARY_MODEL:
        return ""
    provider, _, name = settings.DOCUMENTS_SUMMARY_MODEL.partition("/")
    if provider not in _PROVIDERS or not name:
        known = " or ".join(f"{one}/MODEL" for one in _PROVIDERS)
        return f"DOCUMENTS_SUMMARY_MODEL is {settings.DOCUMENTS_SUMMARY_MODEL!r}; it must be {known}."
    key = _PROVIDERS[provider][1]
    return "" if getattr(settings, key) else f"DOCUMENTS_SUMMARY_MODEL needs {key}, which is empty."


def check_settings(**_: object) -> list[CheckMessage]:
    """Refuse to start with settings of summaries that cannot be used."""
    problem = problem_of_settings()
    return (
        [Error(problem, hint="Correct it in .env, or leave it empty.", id="documents.E001")]
        if problem
        else []
    )
