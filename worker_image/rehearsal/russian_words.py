"""Russian words that people use for resources and fields, by the beginning they keep in every case."""

from typing import Final

from worker_image.rehearsal.naming import word_set
from worker_image.rehearsal.spec import Kind

# What may follow a beginning: the endings of the cases, and suffixes that some beginnings leave out.
ENDINGS: Final = word_set(
    "а у ы и е о я ю ь й ов ев ей ой ою ом ем ам ям ах ях ами ями ие ием ия ию ии ией ью ый ий ая яя ое "
    "ее ого его ому ему ым им ых их ую юю ени енем ок ек ки ка ку ке кой ком ков кам ками ец цев цы цам "
    "цами иль иля или илей илям илями"
) | {""}

# Beginning of the noun -> English plural. Longer beginnings are tried first.
RESOURCES: Final[dict[str, str]] = {
    "книг": "books", "книж": "books", "фильм": "films", "кино": "films", "сериал": "shows",
    "сотрудник": "employees", "работник": "employees", "клиент": "clients", "покупател": "customers",
    "заказчик": "customers", "заказ": "orders", "товар": "products", "продукт": "products",
    "рецепт": "recipes", "задач": "tasks", "дел": "todos", "заметк": "notes", "заметок": "notes",
    "контакт": "contacts", "расход": "expenses", "трат": "expenses", "доход": "incomes",
    "матч": "matches", "игр": "games", "встреч": "meetings", "событи": "events", "мероприяти": "events",
    "студент": "students", "ученик": "pupils", "учител": "teachers", "машин": "cars", "автомоб": "cars",
    "питом": "pets", "животн": "animals", "пациент": "patients", "врач": "doctors",
    "квартир": "apartments", "дом": "houses", "растени": "plants", "цвет": "flowers", "песн": "songs",
    "песен": "songs", "альбом": "albums", "пластин": "vinyls", "вин": "wines", "тренировк": "workouts",
    "тренировок": "workouts", "упражнени": "exercises", "привыч": "habits", "ссылк": "links",
    "ссылок": "links", "заявк": "applications", "заявок": "applications", "проект": "projects",
    "счет": "invoices", "подписк": "subscriptions", "подписок": "subscriptions", "отзыв": "reviews",
    "пользовател": "users", "участник": "members", "гост": "guests", "билет": "tickets",
    "поездк": "trips", "поездок": "trips", "путешестви": "trips", "велосипед": "bicycles",
    "инструмент": "tools", "компани": "companies", "автор": "authors", "издател": "publishers",
    "кот": "cats", "кош": "cats", "собак": "dogs", "покуп": "purchases", "урок": "lessons",
    "курс": "courses", "команд": "teams", "город": "cities", "стран": "countries", "ресторан": "restaurants",
    "блюд": "dishes", "оборудован": "equipment", "комнат": "rooms", "бронировани": "bookings",
    "пост": "posts", "статей": "articles", "стать": "articles", "поставщик": "suppliers",
    "договор": "contracts", "платеж": "payments", "лекарств": "medicines", "марок": "stamps",
    "монет": "coins",
}  # fmt: skip

# Beginnings of the words of a field -> (name, type or None for what the name suggests).
FIELDS: Final[dict[tuple[str, ...], tuple[str, Kind | None]]] = {
    ("год", "выпуск"): ("release_year", Kind.YEAR), ("год", "издан"): ("year", Kind.YEAR),
    ("год", "рожден"): ("birth_year", Kind.YEAR), ("дат", "прием"): ("hire_date", None),
    ("дат", "рожден"): ("birth_date", None), ("дат", "выпуск"): ("release_date", None),
    ("дат", "начал"): ("start_date", None), ("дат", "окончан"): ("end_date", None),
    ("дат", "покупк"): ("purchase_date", None), ("дат", "заказ"): ("order_date", None),
    ("врем", "начал"): ("starts_at", None), ("номер", "телефон"): ("phone", None),
    ("электронн", "почт"): ("email", None), ("электронн", "адрес"): ("email", None),
    ("адрес", "электронн", "почт"): ("email", None), ("срок", "выполнен"): ("due_date", None),
    ("срок", "исполнен"): ("due_date", None), ("в", "налич"): ("in_stock", None),
    ("полн", "им"): ("full_name", None), ("домашн", "страниц"): ("homepage", None),
    ("назван",): ("title", None), ("заголов",): ("title", None), ("наименован",): ("name", None),
    ("имя",): ("name", None), ("имен",): ("name", None), ("фамил",): ("last_name", None),
    ("отчеств",): ("middle_name", None), ("фио",): ("full_name", None), ("кличк",): ("name", None),
    ("автор",): ("author", None), ("режиссер",): ("director", None), ("актер",): ("actors", None),
    ("год",): ("year", None), ("рейтинг",): ("rating", None), ("оценк",): ("rating", None),
    ("цен",): ("price", None), ("стоимост",): ("cost", None), ("сумм",): ("amount", None),
    ("зарплат",): ("salary", None), ("оклад",): ("salary", None), ("скидк",): ("discount", None),
    ("дат",): ("date", None), ("срок",): ("due_date", None), ("дедлайн",): ("deadline", None),
    ("врем",): ("time", None), ("почт",): ("email", None), ("емейл",): ("email", None),
    ("имейл",): ("email", None), ("телефон",): ("phone", None), ("адрес",): ("address", None),
    ("ссылк",): ("url", None), ("сайт",): ("website", None), ("описан",): ("description", None),
    ("заметк",): ("note", None), ("примечан",): ("note", None), ("комментари",): ("comment", None),
    ("текст",): ("text", None), ("количеств",): ("quantity", None), ("страниц",): ("pages", None),
    ("возраст",): ("age", None), ("вес",): ("weight", None), ("рост",): ("height", None),
    ("жанр",): ("genre", None), ("категор",): ("category", None), ("статус",): ("status", None),
    ("тип",): ("type", None), ("вид",): ("type", None), ("издател",): ("publisher", None),
    ("артикул",): ("sku", None), ("код",): ("code", Kind.TEXT), ("должност",): ("position", None),
    ("врем", "приготовлен"): ("cooking_time", None), ("гост",): ("guests", None),
    ("издательств",): ("publisher", None), ("им",): ("name", None),
    ("отдел",): ("department", None), ("город",): ("city", None), ("стран",): ("country", None),
    ("язык",): ("language", None), ("длительност",): ("duration", None),
    ("продолжительност",): ("duration", None), ("выполнен",): ("done", None), ("готов",): ("done", None),
    ("сделан",): ("done", None), ("оплачен",): ("paid", None), ("прочитан",): ("read", None),
    ("просмотрен",): ("watched", None), ("активн",): ("active", None), ("куплен",): ("bought", None),
    ("мест",): ("place", None), ("соперник",): ("opponent", None), ("команд",): ("team", None),
    ("ингредиент",): ("ingredients", None), ("инструкц",): ("instructions", None),
    ("пробег",): ("mileage", None), ("марк",): ("brand", None), ("модел",): ("model", None),
    ("цвет",): ("color", None), ("размер",): ("size", None), ("площад",): ("area", None),
    ("валют",): ("currency", None), ("тег",): ("tags", None), ("фото",): ("photo", None),
    ("пород",): ("breed", None), ("владел",): ("owner", None), ("клиент",): ("client", None),
    ("врач",): ("doctor", None), ("номер",): ("number", Kind.TEXT), ("температур",): ("temperature", None),
    ("приоритет",): ("priority", None), ("групп",): ("group", None), ("баланс",): ("balance", None),
    ("упражнен",): ("exercise", None), ("повторен",): ("repetitions", Kind.COUNT),
    ("подход",): ("sets", None),
    ("состав",): ("composition", None), ("производител",): ("manufacturer", None),
}  # fmt: skip

# Words that name neither a resource nor a field.
CONTAINERS: Final = (
    "каталог", "список", "списк", "баз", "реестр", "журнал", "библиотек", "справочник", "хранилищ", "коллекц",
    "инвентар", "трекер", "учет", "перечен", "архив", "дневник", "магазин", "склад", "картотек", "менеджер",
)  # fmt: skip
FILLERS: Final = word_set(
    "сделай сделайте создай создайте напиши напишите разработай построй нужен нужна нужно нужны хочу "
    "хотим пожалуйста мне нам для о об обо по моей моего моих нашей нашего наших мой моя мои наш наша "
    "простой простая простое небольшой небольшая данных ведения управления хранения работы и в на у "
    "каждого каждой каждый каждая который которая которые которое чтобы можно было бы это этот эта новый "
    "новая веб rest api онлайн сервис сервиса приложение приложения сайт сайта бот бота бэкенд система "
    "систему системы программа программу телеграм должен должна быть есть все всех всё запись запиши "
    "записи вести ведет хранит хранить учитывать отслеживать напоминает напоминающий напоминал мою мой "
    "моим моему команде команду команды футбольной футбольную сокращатель сокращения"
)
NOT_NOUNS: Final = word_set(
    "красиво хорошо лучше быстро быстрее круто что-нибудь что-то нечто штуку вещь красивее удобно его ее "
    "их ничего проект код поле поля привет помоги помощь работает"
)
