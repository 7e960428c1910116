"""Many rows in one statement: every row gets its own values, whatever their type, or stays as it is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DataError
from hypothesis import given
from hypothesis import strategies as st

from apps.bulk import insert_new, update_each
from apps.workers.models import Turn, TurnStatus, WorkerEvent
from tests.factories import make_turn, make_worker

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


def event(worker_id: Any, seq: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "worker": worker_id,
        "boot": "b",
        "seq": seq,
        "kind": "progress",
        "body": body,
        "turn_id": None,
        "received_at": datetime(2026, 1, 1, tzinfo=UTC),
    }


@given(bodies=st.lists(st.dictionaries(texts, json_values, max_size=3), min_size=1, max_size=4))
def test_new_rows_are_inserted_with_their_values(bodies: list[dict[str, Any]]) -> None:
    worker_id = make_worker().pk

    new = insert_new(
        WorkerEvent,
        [event(worker_id, number, body) for number, body in enumerate(bodies)],
        returning=("worker", "seq"),
    )

    assert new == {(worker_id, number) for number in range(len(bodies))}
    stored = WorkerEvent.objects.filter(worker_id=worker_id).order_by("seq").values_list("body", flat=True)
    assert list(stored) == bodies


def test_rows_that_are_there_stay_and_are_not_returned() -> None:
    worker_id = make_worker().pk
    insert_new(WorkerEvent, [event(worker_id, 1, {"first": True})], returning=("seq",))

    new = insert_new(
        WorkerEvent,
        [event(worker_id, 1, {}), event(worker_id, 2, {"second": True}), event(worker_id, 2, {})],
        returning=("seq",),
    )

    assert new == {(2,)}
    stored = WorkerEvent.objects.filter(worker_id=worker_id).order_by("seq").values_list("body", flat=True)
    assert list(stored) == [{"first": True}, {"second": True}]


def test_inserting_nothing_is_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        new = insert_new(WorkerEvent, [], returning=("seq",))

    assert new == set()
