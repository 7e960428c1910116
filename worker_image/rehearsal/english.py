"""Reads English sentences. Pure: words in, meaning out."""

import re
from itertools import pairwise
from typing import Final

from worker_image.rehearsal import field_phrases, naming
from worker_image.rehearsal.field_kinds import kind_of
from worker_image.rehearsal.naming import word_set
from worker_image.rehearsal.spec import Field, Kind

_CONTAINERS: Final = word_set(
    "watchlist wishlist "
    "inventory catalog catalogue list collection library registry register directory database log "
    "journal diary tracker manager archive index table store shop board planner calendar organizer "
    "organiser book app application service api system tool website site bot backend server program "
    "platform crud keeper storage record records set management tracking admin portal"
)
_FILLERS: Final = word_set(
    "please hi hello hey build create make write develop implement design program set up give me us i we "
    "you can could d ll want need would like to have a an the my our your some simple small tiny new "
    "basic web online personal rest restful http json fastapi python telegram that which manage manages "
    "managing track tracks tracking keep keeps keeping store stores storing organize organizes record "
    "recording list lists listing remember collect save all each every it is for of should also must "
    "will do does just little good add one"
) | _CONTAINERS
_NOT_NOUNS: Final = word_set(
    "it this that these those thing things something anything everything stuff nice better good great "
    "cool fast faster pretty beautiful best more less work works working me you us them they he she what "
    "how why now today tomorrow again help project code data information field fields column columns "
    "user's"
)
_VAGUE_HEADS: Final = word_set("item items entry entries record records")
_PREPOSITIONS: Final = word_set(
    "for in at on from by to about so which that where of with who when while because per via and or"
)
_VERBS: Final = re.compile(
    r"\b(?:(?:keep|keeps|keeping)\s+(?:track|records?|a\s+list)\s+of|"
    r"remind(?:s|ing)?\b.*?\b(?:of|about)|notif(?:y|ies|ying)\b.*?\b(?:of|about)|"
    r"(?:track|manage|store|keep|remember|organi[sz]e|record|collect|catalog|list|save|log|monitor|plan)"
    r"(?:s|ing)?)\s+(?=\w)"
)
_WHOLE: Final = (
    (
        re.compile(r"\b(?:url|link)s?[\s-]+shortener\b|\bshorten(?:s|ing)?\s+(?:\w+\s+)?(?:urls?|links?)\b"),
        "links",
    ),
    (re.compile(r"\bto-?\s?do(?:s|[\s-]+(?:list|app|service|tracker|manager)s?)?\b"), "todos"),
    (re.compile(r"\b(?:shopping|grocery|groceries)\s+lists?\b"), "purchases"),
    (re.compile(r"\b(?:address|phone)\s?-?books?\b"), "contacts"),
    (re.compile(r"\bblog(?:ging)?\b(?!\s+posts?\b)"), "posts"),
)
_INTRODUCTION: Final = re.compile(
    r"\s*(?::|\s-\s|\bwith\b|\b(?:has|have|having|includes?|including|contains?|containing)\b|"
    r"\bwhere\s+(?:each|every)\s+\w+\s+(?:has|have|contains|includes)\b|\bfields?\s+(?:are|is)\b)\s*"
)
_LIST_START: Final = re.compile(
    r"^(?:(?:the|these|following|its|their|such)\s+)*(?:fields?|columns?|attributes?|properties|property)"
    r"\b(?:\s+(?:are|is|as|named|called|like|such\s+as))?\s*[:-]?\s*"
)


def split_introduction(sentence: str) -> tuple[str, str]:
    """Divide a sentence into what comes before its list of fields and the list; either may be empty."""
    colon = re.search(r"\s*:\s*", sentence)
    match = colon or _INTRODUCTION.search(sentence) or re.search(r"\s*(?=\()", sentence)
    if match is None:
        return sentence, ""
    tail = sentence[match.end() :]
    inner = _INTRODUCTION.search(tail)
    if inner and field_phrases.is_short(tail[: inner.start()]):
        # "a pet shop: pets with name and age": what is kept stands behind the first mark.
        return tail[: inner.start()], tail[inner.end() :]
    deeper = _LIST_START.match(tail)
    return sentence[: match.start()], tail[deeper.end() :] if deeper else tail


def read_resource(head: str) -> tuple[str, str] | None:
    """Return singular and plural of the resource that the start of a sentence names."""
    for pattern, plural in _WHOLE:
        if pattern.search(head):
            return naming.resource_names(plural)
    words = _noun_phrase(re.findall(r"[a-z0-9'-]+", head), head)
    words = [word for word in words if word not in _NOT_NOUNS]
    if not words or len(words) > 4:
        return None
    noun = words[-1]
    if noun in _VAGUE_HEADS and len(words) > 1:
        noun = f"{words[-2]}_{noun}"
    singular, plural = naming.resource_names(naming.singularize(noun.replace("'s", "")))
    return (singular, plural) if len(singular) > 1 else None


def _noun_phrase(tokens: list[str], head: str) -> list[str]:
    """Return the words that name the resource: after "list of", after a verb, or before "inventory"."""
    starts = [
        place + 2
        for place, pair in enumerate(pairwise(tokens))
        if pair[0] in _CONTAINERS and pair[1] in ("of", "for")
    ]
    verb = _VERBS.search(head)
    if starts and (verb is None or "remind" not in verb[0]):
        tokens = tokens[starts[-1] :]
    elif verb is not None:
        tokens = re.findall(r"[a-z0-9'-]+", head[verb.end() :])
    words = _without_fillers(_until_preposition(_without_leading_fillers(tokens)))
    # "a book inventory" is about books, "a recipe book" about recipes.
    return words or [token for token in tokens if token == "book"]


def _without_leading_fillers(tokens: list[str]) -> list[str]:
    while tokens and tokens[0] in _FILLERS:
        if tokens[0] in _CONTAINERS and len(tokens) == 1:
            break
        tokens = tokens[1:]
    return tokens


def _until_preposition(tokens: list[str]) -> list[str]:
    for place, token in enumerate(tokens):
        if token in _PREPOSITIONS and place:
            return tokens[:place]
    return tokens


def _without_fillers(tokens: list[str]) -> list[str]:
    return [token for token in tokens if token not in _FILLERS]


_MODIFIERS: Final = {
    "optional": "optional", "optionally": "optional", "maybe": "optional", "nullable": "optional",
    "possibly": "optional", "required": "required", "mandatory": "required", "obligatory": "required",
    "unique": "unique",
}  # fmt: skip
_EXPLICIT: Final = {
    "integer": Kind.INTEGER, "int": Kind.INTEGER, "float": Kind.NUMBER, "decimal": Kind.NUMBER,
    "numeric": Kind.NUMBER, "boolean": Kind.BOOLEAN, "bool": Kind.BOOLEAN, "flag": Kind.BOOLEAN,
    "string": Kind.TEXT, "str": Kind.TEXT, "checkbox": Kind.BOOLEAN,
}  # fmt: skip
# A type in front ("date finished" is not one: it is part of the name), or after "as"/"of type".
_LEADING: Final = {"number": Kind.NUMBER, "text": Kind.TEXT, "datetime": Kind.DATETIME}
_STATED: Final = _EXPLICIT | _LEADING | {"date": Kind.DATE, "url": Kind.URL, "email": Kind.EMAIL}
_ARTICLES: Final = word_set(
    "a an the its their his her our my your some any each field fields column columns attribute "
    "attributes property properties called named also optional-ly new whole must may be can is_a kind"
)
_NAMELESS: Final = word_set("it them this that etc so on everything stuff more others other things")
_COUNTED: Final = re.compile(r"^(?:the\s+)?(number|count|quantity|amount)\s+of\s+(.+)$")
_RELATION: Final = re.compile(r"^(?:an?\s+|the\s+)?(\w+)\s+of\s+(?:the\s+|a\s+|an\s+)?(\w+)$")
_ANNOTATION: Final = re.compile(r"\b(?:as|of\s+type|type)\s+(?:an?\s+)?(\w+)$")
_UNIT: Final = (
    (re.compile(r"\sin\s+(?:seconds|minutes|hours|days|weeks|months|years|pieces)\b"), Kind.COUNT),
    (re.compile(r"\sin\s+(?:\w*met(?:er|re)s|k?m|cm|mm|k?g|grams|kilograms|litres|liters|miles|euros?|eur|"
                r"dollars|usd|rubles|percent)\b"), Kind.NUMBER),
)  # fmt: skip
_ASIDE: Final = re.compile(r"\s+(?:in|for|from|per|like|within|to|at|on|by|using)\s+.*$")
_WHETHER: Final = re.compile(
    r"^(?:whether|if)\s+(?:(?:it|they|i|we|he|she)\s*(?:is|are|was|were|have|has|'ve|'s)?\s+)?"
)


def read_field(phrase: str) -> Field | None:
    """Return the field that one part of a list describes, or None if it describes none."""
    words, flags = field_phrases.take_modifiers(phrase, _MODIFIERS)
    text = re.sub(r"\bin stock\b", "in_stock", " ".join(words))
    kind: Kind | None = None
    if text.endswith(" datetime"):
        text, kind = text.removesuffix(" datetime"), Kind.DATETIME
    if re.search(r"\b(?:true|yes)\s*(?:/|or)\s*(?:false|no)\b", text):
        text, kind = re.sub(r"\b(?:true|yes)\s*(?:/|or)\s*(?:false|no)\b", "", text), Kind.BOOLEAN
    if _WHETHER.match(text):
        text, kind = _WHETHER.sub("", text), Kind.BOOLEAN
    annotation = _ANNOTATION.search(text)
    if annotation and annotation[1] in _STATED:
        text, kind = text[: annotation.start()], _STATED[annotation[1]]
    tokens, kind = _name_words(text.strip(), kind)
    if not tokens or len(tokens) > 4 or all(token in _NAMELESS for token in tokens):
        return None
    return field_phrases.build("_".join(tokens), kind, flags, kind_of)


def _name_words(text: str, kind: Kind | None) -> tuple[list[str], Kind | None]:
    counted = _COUNTED.match(text)
    if counted:
        text = counted[2]
        kind = kind or (Kind.NUMBER if counted[1] == "amount" else Kind.COUNT)
    relation = _RELATION.match(text)
    if relation:
        text = f"{relation[2]} {relation[1]}"
    kind = kind or next((unit for pattern, unit in _UNIT if pattern.search(text)), None)
    text = _ASIDE.sub("", text).replace("'s", "").replace("'", "")
    tokens = [token for token in re.findall(r"[a-z0-9_]+", text) if token not in _ARTICLES]
    if len(tokens) > 1 and tokens[0] in _LEADING:
        kind, tokens = kind or _LEADING[tokens[0]], tokens[1:]
    for token in tokens:
        if token in _EXPLICIT and len(tokens) > 1:
            kind = kind or _EXPLICIT[token]
            tokens = [other for other in tokens if other != token]
    if tokens in (["email", "address"], ["e", "mail"], ["mail"]):
        tokens = ["email"]
    return tokens, kind


_POLITENESS: Final = re.compile(
    r"^(?:(?:now|and|then|also|could you|can you|i want to|i would like to|i'd like to|we need to|"
    r"we want to|you need to|let's|lets|let us)[\s,]+)+"
)
_ADDITION: Final = re.compile(
    r"^(?:also\s+)?(?:add|include|introduce|append|extend\s+\w+\s+with)\s+(?P<what>.+)$"
)
_REMOVAL: Final = re.compile(r"^(?:remove|delete|drop|get\s+rid\s+of|take\s+away)\s+(?P<what>.+)$")
_TARGET: Final = re.compile(
    r"\s+(?:to|for|on|in|from|of)\s+(?:(?:each|every|the|all|our|my|a|an)\s+)*(?P<word>[a-z_-]+)"
    r"(?:\s+(?:resource|service|table|model|records?|entries|entity))?$"
)
_NAMED: Final = re.compile(
    r"^.*?\b(?:fields?|columns?|attributes?|propert(?:y|ies))\s+(?:called|named|for)\s+"
)
_FIELD_WORD: Final = re.compile(r"\b(?:fields?|columns?|attributes?|property|properties)\b")


def read_change(sentence: str, known: frozenset[str]) -> tuple[str, str, str | None] | None:
    """Return ("add" or "remove", the list of fields, the plural of the resource or None).

    Args:
        sentence: in lower case.
        known: plurals of the resources that exist.
    """
    text = _POLITENESS.sub("", sentence)
    for verb, pattern in (("add", _ADDITION), ("remove", _REMOVAL)):
        match = pattern.match(text)
        if match is None:
            continue
        what, target = _take_target(match["what"], known)
        if target or _FIELD_WORD.search(what) or (verb == "remove" and known):
            named = _NAMED.sub("", what)
            return verb, _keep_modifiers(what, named), target
    return None


def _keep_modifiers(what: str, named: str) -> str:
    if named == what:
        return what
    before = what[: len(what) - len(named)]
    return " ".join(word for word in before.split() if word in _MODIFIERS or word in _EXPLICIT) + " " + named


def _take_target(what: str, known: frozenset[str]) -> tuple[str, str | None]:
    match = _TARGET.search(what) or re.match(r"to\s+(?:the\s+)?(?P<word>[a-z_-]+)(?=\s)", what)
    if match:
        plural = naming.resource_names(naming.singularize(match["word"].replace("-", "_")))[1]
        if plural in known:
            return what[: match.start()] or what[match.end() :], plural
    return what, None


_BEYOND: Final = (
    (re.compile(r"\bbots?\b|\btelegram\b"), "a bot"),
    (re.compile(r"\bremind|\bnotif|\balerts?\b"), "reminders or notifications"),
    (re.compile(r"\bweb\s?sites?\b|\bweb\s?pages?\b|\bfront-?end\b|\bui\b|\blanding\b"), "web pages"),
    (
        re.compile(r"\blog[\s-]?in\b|\bauth(?:entication|orization)?\b|\bpasswords?\b|\bsign[\s-]?(?:in|up)\b"),
        "sign-in",
    ),
    (re.compile(r"\bpay(?:ment|ments|pal)\b|\bstripe\b"), "payments"),
)


def beyond(text: str) -> tuple[str, ...]:
    """Return what the text asks for that this agent never builds."""
    return tuple(name for pattern, name in _BEYOND if pattern.search(text))
