"""Many rows in one UPDATE: every row gets its own values, whatever their type, or stays as it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError
from hypothesis import given
from hypothesis import strategies as st

from apps.batch_update import update_each
from apps.workers.models import Turn, TurnStatus
from tests.factories import make_turn

pytestmark = [pytest.mark.service, pytest.mark.django_db]

UNFINISHED = [TurnStatus.PENDING, TurnStatus.RUNNING]
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
rows = st.fixed_dictionaries(
    {
        "summary": texts,
        "result": st.none() | st.dictionaries(texts, json_values, max_size=3),
        "exit_code": st.none() | st.integers(-(2**31), 2**31 - 1),
        "finished_at": st.none()
        | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    }
)


@given(changes=st.lists(rows, min_size=1, max_size=4))
def test_every_row_gets_its_own_values(changes: list[dict[str, Any]]) -> None:
    turns = [make_turn() for _ in changes]

    written = update_each(
        Turn,
        {turn.pk: row for turn, row in zip(turns, changes, strict=True)},
        where="status",
        among=UNFINISHED,
    )

    assert written == {turn.pk for turn in turns}
    for turn, row in zip(turns, changes, strict=True):
        turn.refresh_from_db()
        assert {name: getattr(turn, name) for name in row} == row


def test_nothing_is_json_null_but_sql_null() -> None:
    turn = make_turn(usage={"input_tokens": 1})

    update_each(Turn, {turn.pk: {"usage": None}}, where="status", among=UNFINISHED)

    assert Turn.objects.filter(pk=turn.pk, usage__isnull=True).exists()


def test_rows_outside_of_the_condition_stay() -> None:
    turn, ended = make_turn(), make_turn(status=TurnStatus.SUCCEEDED)

    written = update_each(
        Turn, {turn.pk: {"number": 7}, ended.pk: {"number": 7}}, where="status", among=UNFINISHED
    )

    assert written == {turn.pk}
    ended.refresh_from_db()
    assert ended.number == 1


def test_a_value_that_is_too_long_is_refused_not_cut() -> None:
    turn = make_turn()

    with pytest.raises(DataError):
        update_each(Turn, {turn.pk: {"branch": "b" * 200}}, where="status", among=UNFINISHED)


def test_rows_of_different_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="same fields"):
        update_each(
            Turn,
            {make_turn().pk: {"number": 1}, make_turn().pk: {"summary": ""}},
            where="status",
            among=UNFINISHED,
        )


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        written = update_each(Turn, {}, where="status", among=UNFINISHED)

    assert written == set()


def test_one_statement_whatever_the_number_of_rows(django_assert_num_queries: Any) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    changes = {make_turn().pk: {"deadline_at": later} for _ in range(5)}

    with django_assert_num_queries(1):
        written = update_each(Turn, changes, where="status", among=UNFINISHED)

    assert len(written) == 5
