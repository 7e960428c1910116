"""Twenty-three secrets of the shapes that people really have; drawn anew for every run."""

import base64
import secrets
import string
from dataclasses import dataclass, field

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Canary:
    """One secret; its name may be told, its value must not."""

    name: str
    value: str = field(repr=False)


def draw_canaries(*, bot_token: str) -> dict[str, Canary]:
    """Return the canaries by name.

    Args:
        bot_token: of a bot that exists: it is shown to Telegram before it is kept.
    """
    shapes = {
        "BOT_TOKEN": bot_token,
        "UNKNOWN_BOT_TOKEN": f"{secrets.randbelow(10**9) + 10**9}:AA{_word(33)}",
        "OPENAI": f"sk-proj-{_word(48)}",
        "ANTHROPIC": f"sk-ant-api03-{_word(40)}",
        "GITHUB": f"ghp_{_word(36)}",
        "AWS": base64.b64encode(secrets.token_bytes(30)).decode(),
        "STRIPE": f"sk_live_{_word(24)}",
        "HEX": secrets.token_hex(32),
        "LONG": secrets.token_urlsafe(600),
        "SHORT": _word(10),
        "PEM": _pem(),
        "LINES": "\n".join(_word(12) for _ in range(4)),
        "QUOTES": f"""{_word(6)}"'{_word(6)}`\\{_word(6)}"'""",
        "UNICODE": f"пароль-{_word(8)}-ключ🔑{_word(6)}",
        "MARKUP": f"<b>{_word(8)}</b>&{_word(6)}&amp;",
        "PERCENT": f"{_word(6)}%20{_word(6)}%s{{{_word(4)}}}$HOME",
        "QUERY": f"a={_word(8)}&b={_word(8)}+/?#",
        "SPACES": f"{_word(5)} {_word(5)}\t{_word(5)}  {_word(5)}",
        "JSON": f'{{"password": "{_word(14)}"}}',
        "SLASH": f"/{_word(13)}",
        "FILE": _word(30),
        "TOO_LONG": "\n".join(_word(48) for _ in range(102)),
        "URL": f"https://user:{_word(16)}@db.example.com:5432/app?sslmode=require",
    }
    return {name: Canary(name, value) for name, value in shapes.items()}


def draw_control() -> Canary:
    """Return the value that is put into every place on purpose, to see that the search finds it there."""
    return Canary("CONTROL", f"control-{_word(24)}")


def _word(length: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(length))


def _pem() -> str:
    lines = [base64.b64encode(secrets.token_bytes(48)).decode() for _ in range(6)]
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----"]) + "\n"
