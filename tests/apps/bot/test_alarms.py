"""Those who run the installation hear of what went wrong, and of its end: once each."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.bot import alarms, chat_tasks, troubles
from apps.bot.models import Chat, Delivery, DeliveryKind, Trouble
from apps.infra import incidents
from apps.infra.models import Incident, Provisioning
from tests.apps.bot.updates import somebody
from tests.factories import make_server

pytestmark = [pytest.mark.service, pytest.mark.django_db]


def fill_disk(**changes: Any) -> None:
    incidents.report(
        **{"kind": "disk_full", "subject": "server:7", "message": "The disk is <b>91</b> % full.", **changes}
    )


def test_operators_and_owners_hear_of_an_incident_once(django_capture_on_commit_callbacks: Any):
    phones = [somebody(role)[0] for role in ("operator", "owner")]
    member, _ = somebody()

    with django_capture_on_commit_callbacks(execute=True):
        fill_disk(severity="critical")
        fill_disk()
    alarms.tell()

    for phone in phones:
        (told,) = phone.texts()
        assert "<b>Critical</b>: The disk is &lt;b&gt;91&lt;/b&gt; % full." in told
    assert member.texts() == []
    assert Incident.objects.get().notified_at is not None


def test_incident_whose_signal_was_lost_is_told_by_the_sweep(settings: Any):
    settings.TELEGRAM_BOT_TOKEN = "1:x"
    phone, _ = somebody("operator")
    fill_disk()

    chat_tasks.sweep_chats()
    # Its record keeps two sweeps a moment apart; a third look finds nothing new.
    alarms.tell()

    assert len(phone.texts()) == 1


def test_its_end_is_told_once_in_the_persons_language(django_capture_on_commit_callbacks: Any):
    phone, _ = somebody("operator")
    Chat.objects.update(language="ru")

    with django_capture_on_commit_callbacks(execute=True):
        fill_disk()
    with django_capture_on_commit_callbacks(execute=True):
        incidents.resolve(kind="disk_full", subject="server:7")
    alarms.tell()

    assert ["<b>Прошло</b>" in text for text in phone.texts()] == [False, True]


def test_incident_that_was_over_before_anybody_heard_of_it_is_not_told():
    phone, _ = somebody("operator")
    fill_disk()
    incidents.resolve(kind="disk_full", subject="server:7")

    told = alarms.tell()

    assert (told, phone.texts()) == (0, [])


def test_trouble_is_told_once_however_often_it_happens():
    phone, _ = somebody("operator")

    for _number in range(3):
        troubles.report(key="poll", code="telegram_polling_conflict", message="Two processes are the bot.")
        alarms.tell()

    assert ["Two processes are the bot." in text for text in phone.texts()] == [True]


def test_trouble_of_the_token_is_told_to_nobody_by_the_bot_that_has_none():
    phone, _ = somebody("operator")
    troubles.report(key=troubles.TOKEN_TROUBLE, code="token_refused", message="Refused.")

    alarms.tell()

    assert phone.texts() == []


def test_trouble_that_is_no_news_any_more_is_left_to_the_lists():
    phone, _ = somebody("operator")
    troubles.report(key="k", code="x", message="Long ago.")
    Trouble.objects.update(created_at=timezone.now() - timedelta(days=2))

    alarms.tell()

    assert phone.texts() == []


def test_alarm_that_could_not_be_delivered_is_not_told_by_another_alarm():
    phone, _ = somebody("operator")
    lost = Delivery.objects.create(
        chat=phone.chat,
        kind=DeliveryKind.TEXT,
        idempotency_key=f"incident:1:{phone.chat.pk}",
        status="failed",
        payload={"text": "lost"},
        deadline_at=timezone.now(),
    )
    troubles.report(key=f"delivery:{lost.pk}", code="delivery_deadline", message="Not sent.", delivery=lost)

    alarms.tell()

    assert phone.texts() == ["lost"]


def set_up(**fields: Any) -> Provisioning:
    server = make_server(kind="ssh", name=f"berlin-{fields.get('kind', 'setup')}")
    known = {"status": "succeeded", "finished_at": timezone.now(), "idempotency_key": server.name}
    return Provisioning.objects.create(server=server, **{**known, **fields})


def test_a_server_that_was_set_up_is_told_once_though_its_signal_was_lost():
    phone, _ = somebody("operator")
    member, _ = somebody()
    rows = [set_up(), set_up(kind="recovery")]

    told = [alarms.tell(), alarms.tell()]

    assert told == [2, 0]
    assert ["berlin-setup is set up" in phone.texts()[0], "was put right" in phone.texts()[1]] == [True, True]
    assert member.texts() == []
    assert all(row.reload().notified_at for row in rows)


@pytest.mark.parametrize(
    "fields",
    [{"status": "failed"}, {"status": "canceled"}, {"finished_at": timezone.now() - timedelta(days=2)}],
)
def test_what_failed_or_is_old_is_no_such_news(fields: dict[str, Any]):
    phone, _ = somebody("operator")
    set_up(**fields)

    alarms.tell()

    assert phone.texts() == []
