"""Recognises well-known shapes of secrets in text; pure. What is found is named, never shown."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_PREFIX: Final = rb"(?<![A-Za-z0-9_-])"
_RULES: Final[dict[str, re.Pattern[bytes]]] = {
    "private_key": re.compile(
        rb"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"
        rb"(?:\s|\\[nr]){1,8}[A-Za-z0-9+/=:-]{16}"
    ),
    "aws_access_key": re.compile(_PREFIX + rb"(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    "github_token": re.compile(_PREFIX + rb"gh[pousr]_[A-Za-z0-9]{36}"),
    "github_fine_grained_token": re.compile(_PREFIX + rb"github_pat_[A-Za-z0-9_]{60}"),
    "gitlab_token": re.compile(_PREFIX + rb"glpat-[A-Za-z0-9_-]{20}"),
    "anthropic_key": re.compile(_PREFIX + rb"sk-ant-[A-Za-z0-9_-]{24}"),
    "openai_key": re.compile(
        _PREFIX + rb"sk-(?:(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40}|[A-Za-z0-9]{48}(?![A-Za-z0-9_-]))"
    ),
    "telegram_bot_token": re.compile(rb"(?<![0-9A-Za-z])[0-9]{8,10}:AA[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    "slack_token": re.compile(_PREFIX + rb"xox[abprs]-[A-Za-z0-9-]{20}"),
    "google_api_key": re.compile(_PREFIX + rb"AIza[A-Za-z0-9_-]{35}"),
    "stripe_key": re.compile(_PREFIX + rb"[sr]k_live_[A-Za-z0-9]{20}"),
    "url_password": re.compile(
        rb"(?:postgres(?:ql)?|rediss?|amqp|mysql)://[^\s:/@'\"{}$<]{1,64}:[^\s:/@'\"{}$<]{12,128}@"
    ),
}
#: Values that documentation uses.
_EXAMPLES: Final = (b"EXAMPLE", b"XXXXXX", b"xxxxxx", b"000000")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A place that looks like a secret."""

    rule: str
    line: int  # counted from one
    fingerprint: str  # equal values have equal ones; the value cannot be read from it


def find_secrets(content: bytes) -> Iterator[Finding]:
    """Yield what looks like a secret, in the order of the rules."""
    for rule, shape in _RULES.items():
        for match in shape.finditer(content):
            if not any(example in match[0] for example in _EXAMPLES):
                yield Finding(
                    rule=rule,
                    line=content.count(b"\n", 0, match.start()) + 1,
                    fingerprint=hashlib.sha256(match[0]).hexdigest(),
                )


def new_secrets(content: bytes, before: bytes) -> list[Finding]:
    """Return what looks like a secret and was not in the text before."""
    known = {finding.fingerprint for finding in find_secrets(before)}
    return [finding for finding in find_secrets(content) if finding.fingerprint not in known]
