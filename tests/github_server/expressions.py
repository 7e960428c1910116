"""The expressions of workflow files: `${{ ... }}` and the conditions of `if`."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?)|'(?P<string>(?:[^']|'')*)'|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!().,\[\]]))"
)
_INSERTED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS_FUNCTIONS = {"success", "failure", "always", "cancelled"}


class ExpressionInvalid(Exception):
    """GitHub could not evaluate this either, or this double does not know it; the words say which."""


@dataclass
class Expression:
    """A parsed expression with what it looks at."""

    tree: tuple[Any, ...]
    contexts: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = list(_tokens(text))
        self.text = text
        self.expression = Expression(())

    def parse(self) -> Expression:
        self.expression.tree = self._any()
        if self.tokens:
            raise ExpressionInvalid(f"Unexpected {self.tokens[0][1]!r} in expression {self.text!r}")
        return self.expression

    def _take(self, *signs: str) -> str | None:
        if self.tokens and self.tokens[0][0] == "sign" and self.tokens[0][1] in signs:
            return self.tokens.pop(0)[1]
        return None

    def _expect(self, sign: str) -> None:
        if self._take(sign) is None:
            raise ExpressionInvalid(f"{sign!r} is missing in expression {self.text!r}")

    def _any(self) -> tuple[Any, ...]:
        left = self._all()
        while self._take("||"):
            left = ("or", left, self._all())
        return left

    def _all(self) -> tuple[Any, ...]:
        left = self._comparison()
        while self._take("&&"):
            left = ("and", left, self._comparison())
        return left

    def _comparison(self) -> tuple[Any, ...]:
        left = self._negation()
        while sign := self._take("==", "!=", "<=", ">=", "<", ">"):
            left = ("compare", sign, left, self._negation())
        return left

    def _negation(self) -> tuple[Any, ...]:
        return ("not", self._negation()) if self._take("!") else self._member()

    def _member(self) -> tuple[Any, ...]:
        value = self._atom()
        while sign := self._take(".", "["):
            if sign == "[":
                value = ("member", value, self._any())
                self._expect("]")
            elif self.tokens and self.tokens[0][0] == "name":
                value = ("member", value, ("value", self.tokens.pop(0)[1]))
            else:
                raise ExpressionInvalid(f"A name is missing after '.' in {self.text!r}")
        return value

    def _atom(self) -> tuple[Any, ...]:
        if self._take("("):
            inner = self._any()
            self._expect(")")
            return inner
        if not self.tokens or self.tokens[0][0] == "sign":
            raise ExpressionInvalid(f"A value is missing in expression {self.text!r}")
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return ("value", float(text))
        if kind == "string":
            return ("value", text.replace("''", "'"))
        if text in ("true", "false", "null"):
            return ("value", {"true": True, "false": False, "null": None}[text])
        return self._call(text) if self._take("(") else self._context(text)

    def _context(self, name: str) -> tuple[Any, ...]:
        self.expression.contexts.add(name)
        return ("context", name)

    def _call(self, name: str) -> tuple[Any, ...]:
        if name not in FUNCTIONS and name not in STATUS_FUNCTIONS:
            raise ExpressionInvalid(f"Unrecognized function: {name!r}")
        self.expression.functions.add(name)
        arguments = []
        while not self._take(")"):
            arguments.append(self._any())
            if not self._take(","):
                self._expect(")")
                break
        return ("call", name, arguments)


def _tokens(text: str) -> Any:
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionInvalid(f"Unexpected {text[position:].strip()[:1]!r} in expression {text!r}")
        kind = str(match.lastgroup)
        yield kind, match[kind]
        position = match.end()


def parse(text: str) -> Expression:
    """Return an expression.

    Raises:
        ExpressionInvalid: it is none, or calls what is unknown here.

    """
    return _Parser(text).parse()


def inserted(text: str) -> list[Expression]:
    """Return the expressions in a text."""
    return [parse(match[1]) for match in _INSERTED.finditer(text)]


def condition(text: Any) -> Expression:
    """Return the expression of an `if`, which may or may not be in braces."""
    words = str(text).strip() if not isinstance(text, bool) else str(text).lower()
    match = _INSERTED.fullmatch(words)
    return parse(match[1] if match else words)


def fill(text: Any, contexts: Mapping[str, Any]) -> str:
    """Return a text with its expressions evaluated."""
    return _INSERTED.sub(lambda match: shown(evaluate(parse(match[1]), contexts)), shown(text))


def evaluate(expression: Expression, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression; `contexts` holds the status functions' answers under their names."""
    return _evaluate(expression.tree, contexts)


def _evaluate(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> Any:
    return _EVALUATORS[tree[0]](tree, contexts)


def _either(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> Any:
    left = _evaluate(tree[1], contexts)
    return left if truth(left) else _evaluate(tree[2], contexts)


def _both(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> Any:
    left = _evaluate(tree[1], contexts)
    return _evaluate(tree[2], contexts) if truth(left) else left


def _member(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> Any:
    value, key = _evaluate(tree[1], contexts), _evaluate(tree[2], contexts)
    if isinstance(value, Mapping):
        return next((item for name, item in value.items() if str(name).lower() == shown(key).lower()), None)
    if isinstance(value, list) and isinstance(key, float) and 0 <= int(key) < len(value):
        return value[int(key)]
    return None


def _call(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> Any:
    if tree[1] in STATUS_FUNCTIONS:
        return bool(contexts[f"{tree[1]}()"])
    return FUNCTIONS[tree[1]](*(_evaluate(argument, contexts) for argument in tree[2]))


def _compare(tree: tuple[Any, ...], contexts: Mapping[str, Any]) -> bool:
    left, right = _evaluate(tree[2], contexts), _evaluate(tree[3], contexts)
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    elif type(left) is not type(right) or isinstance(left, bool) or left is None:
        left, right = _number(left), _number(right)
    return bool(_COMPARISONS[tree[1]](left, right))


_EVALUATORS: dict[str, Callable[[tuple[Any, ...], Mapping[str, Any]], Any]] = {
    "value": lambda tree, _: tree[1],
    "context": lambda tree, contexts: contexts.get(tree[1]),
    "not": lambda tree, contexts: not truth(_evaluate(tree[1], contexts)),
    "or": _either,
    "and": _both,
    "member": _member,
    "call": _call,
    "compare": _compare,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def truth(value: Any) -> bool:
    return not (value is None or value is False or value == "" or value == 0)


def shown(value: Any) -> str:
    """Return a value as it is put into a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | int):
        return str(int(value)) if float(value).is_integer() else str(value)
    return "Object" if isinstance(value, Mapping) else "Array" if isinstance(value, list) else str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or value is None:
        return float(bool(value))
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return math.nan


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(shown(item).lower() == shown(what).lower() for item in where)
    return shown(what).lower() in shown(where).lower()


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startsWith": lambda text, start: shown(text).lower().startswith(shown(start).lower()),
    "endsWith": lambda text, end: shown(text).lower().endswith(shown(end).lower()),
    "format": lambda text, *values: re.sub(
        r"\{(\d+)\}", lambda match: shown(values[int(match[1])]), shown(text)
    ),
    "join": lambda items, sign=",": shown(sign).join(
        map(shown, items if isinstance(items, list) else [items])
    ),
    "toJSON": lambda value: json.dumps(value, indent=2),
    "fromJSON": lambda text: json.loads(shown(text), parse_int=float),
}
