"""Turns words into identifiers: plural and singular, Cyrillic letters, reserved names."""

import keyword
import re
from typing import Final


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


_IRREGULAR: Final = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet",
    "tooth": "teeth", "goose": "geese", "mouse": "mice", "ox": "oxen", "leaf": "leaves",
    "knife": "knives", "shelf": "shelves", "wolf": "wolves", "life": "lives", "wife": "wives",
    "loaf": "loaves", "half": "halves", "thief": "thieves", "movie": "movies", "cookie": "cookies",
    "tie": "ties", "pie": "pies", "zombie": "zombies", "calorie": "calories", "hero": "heroes",
    "potato": "potatoes", "tomato": "tomatoes", "quiz": "quizzes", "shoe": "shoes", "cache": "caches",
    "analysis": "analyses", "axe": "axes", "canoe": "canoes", "toe": "toes", "vinyl": "vinyls",
}  # fmt: skip
_SINGULARS: Final = {plural: singular for singular, plural in _IRREGULAR.items()}
_UNCOUNTABLE: Final = word_set(
    "equipment staff news furniture feedback music inventory stock software hardware luggage sheep fish "
    "series species merchandise homework personnel")
_LETTERS: Final = dict(
    zip("абвгдезийклмнопрстуфыэі", "abvgdeziyklmnoprstufyei", strict=True)
) | {
    "ё": "e", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "",
    "ю": "yu", "я": "ya", "є": "ye", "ї": "yi", "ґ": "g", "ў": "u",
}  # fmt: skip
_SERVICE_PATHS: Final = frozenset({"health", "docs", "redoc", "go", "openapi"})
# Attributes of the classes that a field becomes an attribute of, and names they are written with.
_TAKEN_FIELDS: Final = word_set(
    "metadata registry copy json schema dict construct validate fields str int float bool dt false")
_LONGEST_NAME: Final = 24  # characters; keeps the lines of the generated code short


def pluralize(singular: str) -> str:
    """Return the plural of an English word in snake_case."""
    head, _, last = singular.rpartition("_")
    prefix = f"{head}_" if head else ""
    return prefix + _pluralize_word(last)


def _pluralize_word(word: str) -> str:
    if word in _UNCOUNTABLE:
        return word
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")


def singularize(word: str) -> str:
    """Return the singular of an English word; a singular stays."""
    if word in _UNCOUNTABLE or word in _IRREGULAR:
        return word
    if word in _SINGULARS:
        return _SINGULARS[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if re.search(r"(ss|us|is|[^aeiou]as)$", word):
        return word
    if re.search(r"(sses|shes|ches|xes|zes|uses)$", word):
        return word[:-2]
    return word[:-1] if word.endswith("s") and len(word) > 2 else word


def transliterate(text: str) -> str:
    """Write Cyrillic letters in ASCII."""
    return "".join(_LETTERS.get(letter, letter) for letter in text.lower())


def identifier(text: str) -> str:
    """Return text as a snake_case identifier, empty if nothing of it can be used."""
    name = re.sub(r"[^a-z0-9]+", "_", transliterate(text)).strip("_")[:_LONGEST_NAME].strip("_")
    return f"n_{name}" if name[:1].isdigit() else name


def field_name(text: str) -> str:
    """Return text as the name of a field that clashes with nothing in the generated code."""
    name = identifier(text)
    clashes = name in _TAKEN_FIELDS or keyword.iskeyword(name) or name.startswith("model_")
    return f"{name}_value" if clashes else name


def resource_names(word: str) -> tuple[str, str]:
    """Return singular and plural of a resource named by a word in either number."""
    singular = identifier(singularize(word.lower()))
    plural = pluralize(singular)
    if keyword.iskeyword(plural) or keyword.iskeyword(singular.capitalize()) or plural in _SERVICE_PATHS:
        return f"{singular}_record", f"{singular}_records"
    return singular, plural


def snake_case(class_name: str) -> str:
    """Return the name of a class in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()
