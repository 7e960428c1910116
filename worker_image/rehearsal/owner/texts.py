"""What the rehearsal Product Owner says, in English and Russian; pure."""

from collections.abc import Mapping
from typing import Any, Final

_TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "label": ("rehearsal Product Owner, no model", "репетиционный Product Owner, без модели"),
    "help": (
        "I can have something built (“build me a todo list with title and due date”), change it (“add a "
        "publisher field to Books”), tell how your projects are (“status”), and stop what runs (“stop”).",
        "Я могу заказать новое («сделай каталог фильмов с названием и годом»), изменить готовое («добавь "
        "поле издатель в проект Книги»), рассказать, как дела у проектов («статус»), и остановить работу "
        "(«стоп»).",
    ),
    "ask_thing": (
        "What should it keep, and which fields does that have? For example: a collection of jokes with text "
        "and author.",
        "Что в нём хранить и какие у этого поля? Например: каталог анекдотов с текстом и автором.",
    ),
    "ask_again": (
        "That I cannot read yet. Name the things and their fields in one sentence, for example: books with "
        "title, author and year.",
        "Так я пока не понимаю. Назовите вещи и их поля одной фразой, например: книги с названием, автором и "
        "годом.",
    ),
    "asked": (
        "Before I begin with “{wish}”, I need to know one thing.",
        "Прежде чем начать «{wish}», мне нужно кое-что уточнить.",
    ),
    "gave_up": (
        "I leave it at that: without a model I understand only simple lists of things with their fields.",
        "На этом остановлюсь: без модели я понимаю только простые списки вещей с полями.",
    ),
    "begun": (
        "I created the project **{name}** ({modules}) and began with the work: {spec}. The card shows how it "
        "goes and, at the end, the address.",
        "Создал проект **{name}** ({modules}) и начал работу: {spec}. Карточка покажет ход работы, а в конце "
        "адрес.",
    ),
    "adopted": (
        "The project **{name}** is there already; I began with the work: {spec}. The card shows how it goes.",
        "Проект **{name}** уже есть; начал работу: {spec}. Карточка покажет ход работы.",
    ),
    "token_later": (
        "The bot's token will be asked for with a button; do not send it to me.",
        "Токен бота спросят отдельно, кнопкой; мне его не присылайте.",
    ),
    "not_built": (
        "Mind what will **not** be there: {things}. Without a model I can have things with their fields "
        "built, and an API for them; nothing else of what you asked for.",
        "Учтите, чего в нём **не будет**: {things}. Без модели я могу заказать только вещи с их полями и API "
        "к ним; остальное из вашей просьбы не делается.",
    ),
    "change_begun": (
        "I began to change **{name}**: {spec}. The card shows how it goes.",
        "Начал менять **{name}**: {spec}. Карточка покажет ход работы.",
    ),
    "which": ("Which project is meant?", "Какой проект имеется в виду?"),
    "which_task": ("What should I stop?", "Что остановить?"),
    "asked_which": ("I am not sure which one you mean.", "Не уверен, что именно имеется в виду."),
    "no_projects": (
        "You have no project yet. Tell me what to build.",
        "Проектов пока нет. Скажите, что сделать.",
    ),
    "change_unread": (
        "I do not understand this change. I can add and remove fields: “add a publisher field to {name}”.",
        "Не понимаю этого изменения. Я умею добавлять и убирать поля: «добавь поле издатель в проект "
        "{name}».",
    ),
    "nothing_runs": ("Nothing runs at the moment.", "Сейчас ничего не выполняется."),
    "forgotten": ("All right, I drop it.", "Хорошо, забыли."),
    "stopping": ("I asked it to stop: {task}.", "Попросил остановить: {task}."),
    "refused": ("That did not work: {message}", "Не получилось: {message}"),
    "lost_files": (
        "These files did not arrive: {names}.",
        "Эти файлы не дошли: {names}.",
    ),
    "status_head": ("Your projects: {count}.", "Ваших проектов: {count}."),
    "live": (
        "live at {url}, since {since}, started {starts}×",
        "работает: {url}, с {since}, запусков: {starts}",
    ),
    "live_no_url": ("live since {since}, started {starts}×", "работает с {since}, запусков: {starts}"),
    "not_live": ("nothing is live", "ничего не развёрнуто"),
    "task_running": ("being worked on: {spec}", "в работе: {spec}"),
    "task_queued": ("waits: {spec}", "в очереди: {spec}"),
    "task_failed": ("the last task failed: {reason}", "последняя задача не удалась: {reason}"),
    "load": (
        "Load: {running} running, {queued} waiting; servers: {servers}.",
        "Нагрузка: выполняется {running}, ждёт {queued}; серверы: {servers}.",
    ),
    "more": ("… and {count} more.", "… и ещё {count}."),
}


def say(key: str, language: str, **values: Any) -> str:
    """Return one of the sentences above."""
    english, russian = _TEXTS[key]
    return (russian if language == "ru" else english).format(**values)


def short(text: str, limit: int = 80) -> str:
    """Return a text on one line, cut to a number of characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
