"""Sigma in plain Python, written from its specification and without pySigma: slow, and easy to check.

It knows nothing of SQL. A test gives both evaluators the same rule and the same events and wants the
same answer. What the specification leaves to products is decided here as the program documents it:
keywords are searched in the original line, and `re` searches anywhere.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial
from ipaddress import ip_address, ip_network
from typing import Any, Final

Raw = Any
"""Anything that YAML can say."""

Fields = Mapping[str, Raw]

NAMES: Final = {
    "Image": "process.executable",
    "CommandLine": "process.command_line",
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "CurrentDirectory": "process.working_directory",
    "ProcessId": "process.pid",
    "User": "user.name",
    "LogonId": "user.id",
    "cs-method": "http.request.method",
    "cs-uri-query": "url.query",
    "cs-uri": "url.original",
    "sc-status": "http.response.status_code",
}
"""Sigma's field names in ECS."""


def matches(detection: Mapping[str, Raw], event: Fields) -> bool:
    """Tell whether an event fulfils the condition of a `detection` section."""
    parts = {name: value for name, value in detection.items() if name != "condition"}
    found = {name: _holds(value, event) for name, value in parts.items()}
    tokens = re.findall(r"[()]|[^\s()]+", str(detection["condition"]))
    return _Condition(tokens, found).value()


class _Condition:
    """Recursive descent: or binds loosest, then and, then not."""

    def __init__(self, tokens: list[str], found: Mapping[str, bool]) -> None:
        self._tokens = tokens
        self._found = found

    def value(self) -> bool:
        value = self._or()
        assert not self._tokens, f"left over: {self._tokens}"
        return value

    def _or(self) -> bool:
        values = [self._and()]
        while self._next("or"):
            values.append(self._and())
        return any(values)

    def _and(self) -> bool:
        values = [self._not()]
        while self._next("and"):
            values.append(self._not())
        return all(values)

    def _not(self) -> bool:
        if self._next("not"):
            return not self._not()
        if self._next("("):
            value = self._or()
            assert self._next(")")
            return value
        word = self._tokens.pop(0)
        return self._of(word) if self._next("of") else self._found[word]

    def _of(self, quantity: str) -> bool:
        pattern = self._tokens.pop(0)
        names = [name for name in self._found if pattern == "them" or fnmatchcase(name, pattern)]
        chosen = [self._found[name] for name in names if pattern != "them" or not name.startswith("_")]
        return {"1": any, "any": any, "all": all}[quantity](chosen)

    def _next(self, word: str) -> bool:
        if self._tokens[:1] == [word]:
            self._tokens.pop(0)
            return True
        return False


def _holds(search: Raw, event: Fields) -> bool:
    """A mapping is an AND of its fields, a list an OR of its entries."""
    if isinstance(search, dict):
        return all(_item(key, value, event) for key, value in search.items())
    if isinstance(search, list):
        return any(_holds(it, event) if isinstance(it, dict) else _keyword(it, event) for it in search)
    return _keyword(search, event)


def _keyword(word: Raw, event: Fields) -> bool:
    return "event.original" in event and _like(f"*{word}*", cased=False)(event["event.original"])


def _item(key: str, wanted: Raw, event: Fields) -> bool:
    name, *modifiers = key.split("|")
    if not name:
        assert modifiers == ["all"]
        return all(_keyword(it, event) for it in wanted)
    field = NAMES.get(name, name)
    values = wanted if isinstance(wanted, list) else [wanted]
    every = all if "all" in modifiers else any
    found = every(
        _value(field, it, [it for it in modifiers if it not in {"all", "neq"}], event) for it in values
    )
    return not found if "neq" in modifiers else found


def _value(field: str, wanted: Raw, modifiers: list[str], event: Fields) -> bool:
    if modifiers == ["exists"]:
        return (field in event) is bool(wanted)
    if wanted is None:
        return field not in event
    if field not in event:
        return False
    there = event[field] if isinstance(event[field], tuple) else (event[field],)
    tests = _tests(wanted, modifiers, event)
    return any(test(it) for test in tests for it in there)


def _tests(wanted: Raw, modifiers: list[str], event: Fields) -> list[Callable[[Raw], bool]]:
    """Return tests of which one has to pass."""
    if "fieldref" in modifiers:
        other = event.get(NAMES.get(str(wanted), str(wanted)))
        there = [] if other is None else [_lower(str(other))]
        return [partial(_placed, other=it, modifiers=modifiers) for it in there]
    if special := {"re", "cidr", "lt", "lte", "gt", "gte"}.intersection(modifiers):
        return [_special(special.pop(), wanted, modifiers)]
    if isinstance(wanted, int | float) and not modifiers:
        return [lambda value: (_number(value), value)[isinstance(wanted, bool)] == wanted]
    patterns = _encoded([str(wanted)], modifiers)
    before = "*" if {"contains", "endswith"}.intersection(modifiers) else ""
    after = "*" if {"contains", "startswith"}.intersection(modifiers) else ""
    return [_like(f"{before}{it}{after}", cased="cased" in modifiers) for it in patterns]


def _special(how: str, wanted: Raw, modifiers: list[str]) -> Callable[[Raw], bool]:
    if how == "re":
        return _regex(str(wanted), modifiers)
    if how == "cidr":
        return lambda value: _in_block(str(value), str(wanted))
    return _compared(how, float(wanted))


def _placed(given: Raw, other: str, modifiers: list[str]) -> bool:
    value = _lower(str(given))
    if "startswith" in modifiers:
        return value.startswith(other)
    if "endswith" in modifiers:
        return value.endswith(other)
    return other in value if "contains" in modifiers else value == other


def _compared(how: str, wanted: float) -> Callable[[Raw], bool]:
    def test(value: Raw) -> bool:
        number = _number(value)
        if number is None:
            return False
        return {
            "lt": number < wanted,
            "lte": number <= wanted,
            "gt": number > wanted,
            "gte": number >= wanted,
        }[how]

    return test


def _number(value: Raw) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except ValueError:
        return None


def _in_block(value: str, block: str) -> bool:
    try:
        return ip_address(value) in ip_network(block)
    except ValueError:
        return False


def _regex(pattern: str, modifiers: list[str]) -> Callable[[Raw], bool]:
    flags = re.ASCII
    for letter, flag in {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}.items():
        flags |= flag if letter in modifiers else re.ASCII
    compiled = re.compile(pattern, flags)
    return lambda value: compiled.search(str(value)) is not None


def _encoded(texts: list[str], modifiers: list[str]) -> list[str]:
    """Apply the modifiers that change a text, in their order."""
    for modifier in modifiers:
        if modifier == "windash":
            texts = [it for text in texts for it in _dashes(text)]
        elif modifier in {"wide", "utf16"}:
            texts = [("\ufeff" if modifier == "utf16" else "") + text for text in texts]
        elif modifier in {"base64", "base64offset"}:
            wide = {"wide": "utf-16-le", "utf16": "utf-16-le"}
            codec = next((wide[it] for it in modifiers if it in wide), "utf-8")
            raw = [text.encode(codec) for text in texts]
            texts = [it for one in raw for it in _base64(one, offsets=modifier == "base64offset")]
    return texts


def _dashes(text: str) -> list[str]:
    """Every sort of dash at the start of an option, as Windows tools accept them."""
    return [re.sub(r"(?<!\w)[-/]", dash, text) for dash in "-/\u2013\u2014\u2015"]


def _base64(raw: bytes, *, offsets: bool) -> list[str]:
    if not offsets:
        return [base64.b64encode(raw).decode()]
    starts, ends = (0, 2, 3), (None, -3, -2)
    return [
        base64.b64encode(b" " * shift + raw)[starts[shift] : ends[(len(raw) + shift) % 3]].decode()
        for shift in range(3)
    ]


def _lower(text: str) -> str:
    """Letter by letter: `str.lower` writes the last sigma of a word in another way."""
    return "".join(letter.lower() for letter in text)


def _like(pattern: str, *, cased: bool) -> Callable[[Raw], bool]:
    """Compare with a pattern of `*` and `?`, which a backslash makes plain letters."""
    made, place = "", 0
    while place < len(pattern):
        letter, following = pattern[place], pattern[place + 1 : place + 2]
        if letter == "\\" and following in {"*", "?", "\\"} and following:
            made += re.escape(following)
            place += 1
        else:
            made += {"*": ".*", "?": "."}.get(letter) or re.escape(letter if cased else letter.lower())
        place += 1
    compiled = re.compile(made, re.DOTALL)
    return lambda value: compiled.fullmatch(str(value) if cased else _lower(str(value))) is not None
