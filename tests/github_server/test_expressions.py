"""The expressions of workflow files."""

from typing import Any

import pytest

from tests.github_server import expressions
from tests.github_server.expressions import ExpressionInvalid

pytestmark = pytest.mark.unit

CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "event": {"number": 7.0}},
    "inputs": {"rollback": True, "ports": '{"web": 8001}', "my-key": "x"},
    "steps": {"build": {"outputs": {"digest": "sha256:1"}}},
    "success()": False,
    "failure()": True,
    "always()": True,
    "cancelled()": False,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("github.ref == 'refs/heads/main'", True),
        ("github.ref == 'REFS/heads/MAIN'", True),
        ("github.ref != 'x' && inputs.rollback", True),
        ("inputs.absent || 'default'", "default"),
        ("!inputs.rollback", False),
        ("inputs.rollback == true", True),
        ("inputs['my-key']", "x"),
        ("steps.build.outputs.digest", "sha256:1"),
        ("steps.absent.outputs.digest", None),
        ("startsWith(github.ref, 'refs/heads/')", True),
        ("contains('a,b', 'B')", True),
        ("format('{0}-{1}', 'a', github.event.number)", "a-7"),
        ("fromJSON(inputs.ports).web", 8001.0),
        ("failure() && always()", True),
        ("1 < 2 && (2 >= 2)", True),
        ("'it''s'", "it's"),
        ("null == ''", True),
    ],
)
def test_expression_has_the_value_that_github_gives_it(text: str, value: Any) -> None:
    expression = expressions.parse(text)

    found = expressions.evaluate(expression, CONTEXTS)

    assert found == value


@pytest.mark.parametrize(
    "text", ["", "github.", "a b", "github.ref ==", "hashFiles('x')", "(1", '"double"', "a..b"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionInvalid):
        expressions.parse(text)


def test_text_is_filled_with_every_value_in_it() -> None:
    text = "on ${{ github.ref }}: ${{ inputs.rollback }} ${{ inputs.absent }}${{ github.event.number }}"

    filled = expressions.fill(text, CONTEXTS)

    assert filled == "on refs/heads/main: true 7"


def test_contexts_and_functions_of_an_expression_are_known() -> None:
    expression = expressions.condition("${{ always() && secrets.TOKEN != '' }}")

    assert expression.contexts == {"secrets"}
    assert expression.functions == {"always"}
