"""Infers the type of a field from its English name."""

from typing import Final

from worker_image.rehearsal.naming import word_set
from worker_image.rehearsal.spec import Kind

_LAST_WORD: Final[dict[Kind, frozenset[str]]] = {
    kind: word_set(words)
    for kind, words in {
        Kind.YEAR: "year",
        Kind.COUNT: "count quantity age pages seats stock floor duration minutes hours days servings "
        "guests calories points goals reps sets level mileage bedrooms rooms members copies "
        "priority cooking_time prep_time preparation_time baking_time running_time",
        Kind.NUMBER: "price rating cost salary weight height score amount total balance latitude longitude "
        "temperature distance length width depth area volume fee budget tax discount grade wage "
        "humidity pressure speed",
        Kind.BOOLEAN: "done active available completed complete finished paid enabled published watched "
        "archived verified approved visited sold bought owned borrowed returned delivered shipped urgent "
        "read playable public private in_stock married vaccinated flag checked favorite favourite seen",
        Kind.DATE: "date birthday deadline day dob anniversary expiry",
        Kind.DATETIME: "datetime timestamp time at",
        Kind.EMAIL: "email",
        Kind.URL: "url link website homepage",
        Kind.LONG_TEXT: "description note notes body comment comments text content instructions summary "
        "ingredients review biography bio message steps remarks",
    }.items()
}


def kind_of(name: str) -> Kind:
    """Return the type that a snake_case name suggests; text if it suggests none."""
    words = name.split("_")
    if words[0] in ("is", "has", "was", "can") and len(words) > 1:
        return Kind.BOOLEAN
    if words[0] == "last" and words[-1].endswith("ed"):
        return Kind.DATE
    for word in (name, words[-1]):
        for kind, known in _LAST_WORD.items():
            if word in known:
                return kind
    return Kind.TEXT
