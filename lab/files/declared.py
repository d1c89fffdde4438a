"""A dataclass declares what its YAML may say: this reads it, and writes its JSON Schema.

The keys are the fields, their types say what each may hold, a field without a default is required, and
`Annotated[type, Key(...)]` says what a type cannot. All problems are noted in the `Reading`, which the
caller finishes; until then what is wrong or missing is replaced by something neutral, so that the rest
can still be looked at. A class may have a `remedy`, shown where keys are missing, and `faults`, for what
several fields together must be.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from lab.files.loader import Item, Reading, suggestion

if TYPE_CHECKING:  # a schema is written now and then, and files are read by each command
    import ast

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What the type of a field does not say of its key."""

    name: str = ""
    """The key; the field's name when empty."""

    least: float | None = None
    """The lowest number allowed."""

    most: float | None = None
    """The highest number allowed."""

    known: tuple[str, ...] = ()
    """The texts allowed; empty for any."""

    convert: Callable[[str], object] | None = None
    """Makes the value of a text. Its ValueError says what the text must be: `a size`."""

    remedy: str = ""
    """What would be right, for the messages about this key."""

    kinds: Mapping[str, type] = field(default_factory=dict)
    """Key to class: the value is of the one class whose key is given."""

    inline: bool = False
    """Whether the keys of `kinds` stand among those of the object itself."""

    entry: str = ""
    """What an entry of a list is called, with its number: `step` for `step 3`."""

    single: bool = False
    """Whether one entry may be written without a list around it, and `none` for an empty one."""

    here: bool = False
    """Whether the field is no key but the item that the object was read from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that is wrong with a value as a whole."""

    key: str
    """The key whose line is shown; the object's own when it has no such key."""

    what: str
    """What is wrong."""

    remedy: str = ""
    """What would be right."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """A field and what is known of it."""

    field: Field[Any]
    kind: Any
    key: Key
    name: str

    @property
    def required(self) -> bool:
        """Whether its key has to be given."""
        return self.field.default is MISSING and self.field.default_factory is MISSING and not self.key.here

    @property
    def names(self) -> tuple[str, ...]:
        """The keys that it takes up."""
        if self.key.here:
            return ()
        return tuple(self.key.kinds) if self.key.inline else (self.name,)


@cache
def _declared(made: type) -> tuple[_Declared, ...]:
    hints = get_type_hints(made, include_extras=True)
    found = []
    for it in fields(made):
        if not it.metadata.get("written", True):
            continue  # put in by code, later
        kind, key = hints[it.name], Key()
        if get_origin(kind) is Annotated:
            kind, key = get_args(kind)[:2]
        found.append(_Declared(it, kind, key, key.name or it.name))
    return tuple(found)


def read(reading: Reading, item: Item, made: type[Made], what: str) -> Made:
    """Read one value.

    Args:
        reading: Notes what is wrong; finish it before the value is used.
        item: What was written.
        made: A dataclass.
        what: What it is, for messages: `a scenario`.
    """
    before = len(reading.problems)
    declared = _declared(cast("type", made))
    entries = reading.mapping(item, what, [name for it in declared for name in it.names])
    _note_missing(reading, item, entries, made, what)
    values = {
        it.field.name: value
        for it in declared
        if (value := _field(reading, item, entries, it, what)) is not MISSING
    }
    found = made(**values)
    if len(reading.problems) == before:
        for fault in getattr(found, "faults", tuple)():
            reading.problem(entries.get(fault.key, item), fault.what, fault.remedy)
    return found


def _note_missing(reading: Reading, item: Item, entries: Mapping[str, Item], made: type, what: str) -> None:
    missing = [it for it in _declared(made) if it.required and not it.key.inline and it.name not in entries]
    if missing:
        whole = getattr(made, "remedy", "")
        remedies = [it.key.remedy for it in missing if it.key.remedy]
        remedy = whole or next(iter(remedies), "")
        reading.problem(item, f"{what} needs {' and '.join(it.name for it in missing)}", remedy)


def _field(reading: Reading, item: Item, entries: Mapping[str, Item], it: _Declared, what: str) -> object:
    """Return the value of one field; MISSING leaves it to the default."""
    if it.key.here:
        return item
    if it.key.inline:
        return _inline_kind(reading, item, entries, it.key, what)
    if it.name in entries:
        return _value(reading, entries[it.name], it.kind, it.key, it.name)
    return _neutral(it.kind, it.key) if it.required else MISSING


def _inline_kind(reading: Reading, item: Item, entries: Mapping[str, Item], key: Key, what: str) -> object:
    """Read the one of several keys that says what sort of thing the object is."""
    given = [name for name in entries if name in key.kinds]
    if len(given) == 1:
        return read(reading, entries[given[0]], key.kinds[given[0]], given[0])
    said = f"is of two kinds: {' and '.join(given)}" if given else "has no kind"
    reading.problem(item, f"{what} {said}", f"give it one of: {', '.join(sorted(key.kinds))}")
    return None


def _nested_kind(reading: Reading, item: Item, key: Key, what: str) -> object:
    """Read a mapping of one key, which says what sort of thing its value is."""
    entries = reading.mapping(item, what)
    name = next(iter(entries), "")
    if len(entries) == 1 and name in key.kinds:
        return read(reading, entries[name], key.kinds[name], f"{what} {name}")
    if len(entries) > 1:
        said, remedy = (
            f"{what} must be one of them, not {len(entries)}",
            suggestion("", key.kinds, f"{what}s"),
        )
    else:
        said, remedy = f"unknown {what} {name!r}", suggestion(name, key.kinds, f"{what}s")
    reading.problem(item, said, remedy)
    return None


def _value(reading: Reading, item: Item, kind: Any, key: Key, what: str) -> object:  # noqa: ANN401  # a type
    """Read one value of a type."""
    if key.kinds:
        return _nested_kind(reading, item, key, what)
    if _is_plain(kind):
        return item.plain()
    if get_origin(kind) in {Union, types.UnionType}:
        return None if item.value is None else _value(reading, item, _bare(kind), key, what)
    if is_dataclass(kind):
        return read(reading, item, cast("type", kind), what)
    return _container(reading, item, kind, key, what)


def _container(reading: Reading, item: Item, kind: Any, key: Key, what: str) -> object:  # noqa: ANN401  # a type
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _entries(reading, item, inner[0], key, what)
    if origin is Literal:
        return reading.choice(item, what, inner)
    if origin is not None and issubclass(origin, Mapping):
        named = reading.mapping(item, what)
        return {name: _value(reading, it, inner[1], key, f"{name} of {what}") for name, it in named.items()}
    return _scalar(reading, item, kind, key, what)


def _entries(reading: Reading, item: Item, kind: Any, key: Key, what: str) -> tuple[object, ...]:  # noqa: ANN401  # a type
    if key.single and item.value == _NONE:
        return ()
    alone = key.single and not isinstance(item.value, list)
    listed = [item] if alone else reading.sequence(item, what)
    return tuple(
        _value(reading, it, kind, key, _entry_name(key, what, place, alone=alone))
        for place, it in enumerate(listed, 1)
    )


def _entry_name(key: Key, what: str, place: int, *, alone: bool) -> str:
    if key.entry:
        return f"{key.entry} {place}"
    return what if alone else f"an entry of {what}"


_NONE: Final = "none"


def _scalar(reading: Reading, item: Item, kind: Any, key: Key, what: str) -> object:  # noqa: ANN401  # a type
    if key.convert:
        try:
            return key.convert(reading.text(item, what))
        except ValueError as error:
            reading.problem(item, f"{what} must be {error}", key.remedy)
            return 0
    if key.known:
        return reading.choice(item, what, key.known)
    if kind is bool:
        return reading.flag(item, what)
    if kind in {int, float}:
        return reading.number(item, what, least=key.least, most=key.most, whole=kind is int)
    return reading.text(item, what)


def _is_plain(kind: Any) -> bool:  # noqa: ANN401  # a type
    """Tell `Plain`, which takes anything, from a type that is merely optional."""
    union = get_origin(kind) in {Union, types.UnionType}
    return union and len({*get_args(kind)} - {types.NoneType}) > 1


def _bare(kind: Any) -> Any:  # noqa: ANN401  # types
    """Return what an optional type holds."""
    return next(it for it in get_args(kind) if it is not types.NoneType)


def _neutral(kind: Any, key: Key) -> object:  # noqa: ANN401  # a type
    """Return something of a type that stands for what was not given."""
    origin = get_origin(kind)
    if kind in {int, float}:
        return kind(key.least or 0)
    if kind is str:
        return ""
    if origin is tuple:
        return ()
    return {} if origin is not None and origin is not Union and issubclass(origin, Mapping) else None


# -- JSON Schema -----------------------------------------------------------------------------------


def json_schema(made: type) -> dict[str, object]:
    """Write the JSON Schema (2020-12) of a dataclass that `read` can read, with its fields' words."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object_schema(made)}


def _object_schema(made: type) -> dict[str, object]:
    said = _field_words(made)
    properties: dict[str, object] = {}
    required: list[str] = []
    found: dict[str, object] = {"type": "object", "additionalProperties": False}
    for it in _declared(made):
        if it.key.inline:
            properties |= {name: _object_schema(kind) for name, kind in it.key.kinds.items()}
            found["oneOf"] = [{"required": [name]} for name in it.key.kinds]
        elif not it.key.here:
            described = {"description": said[it.field.name]} if it.field.name in said else {}
            properties[it.name] = {**described, **_type_schema(it.kind, it.key)}
            required += [it.name] if it.required else []
    return {**found, "properties": properties, "required": required}


def _type_schema(kind: Any, key: Key) -> dict[str, object]:  # noqa: ANN401  # a type
    if key.kinds:
        return {"oneOf": [_one_key_schema(name, it) for name, it in key.kinds.items()]}
    if _is_plain(kind):
        return {}
    if get_origin(kind) in {Union, types.UnionType}:
        return _type_schema(_bare(kind), key)
    return _object_schema(cast("type", kind)) if is_dataclass(kind) else _container_schema(kind, key)


def _container_schema(kind: Any, key: Key) -> dict[str, object]:  # noqa: ANN401  # a type
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        listed: dict[str, object] = {"type": "array", "items": _type_schema(inner[0], key)}
        return {"oneOf": [listed, {"const": _NONE}, listed["items"]]} if key.single else listed
    if origin is Literal:
        return {"enum": list(inner)}
    if origin is not None and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _type_schema(inner[1], key)}
    return _scalar_schema(kind, key)


def _one_key_schema(name: str, kind: type) -> dict[str, object]:
    inner = {name: _object_schema(kind)}
    return {"type": "object", "properties": inner, "required": [name], "additionalProperties": False}


def _scalar_schema(kind: Any, key: Key) -> dict[str, object]:  # noqa: ANN401  # a type
    if key.known:
        return {"enum": list(key.known)}
    if kind is bool:
        return {"type": "boolean"}
    if kind in {int, float} and not key.convert:
        limits = {"minimum": key.least, "maximum": key.most}
        found = {name: limit for name, limit in limits.items() if limit is not None}
        return {"type": "integer" if kind is int else "number", **found}
    return {"type": ["string", "number"]}  # a number counts as its text, as in Ansible


def _field_words(made: type) -> dict[str, str]:
    """Return what stands below each field of a class, for people."""
    import ast
    import inspect
    import textwrap

    found: dict[str, str] = {}
    for base in reversed([it for it in made.__mro__ if is_dataclass(it)]):
        tree = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        found |= dict(_documented(cast("ast.ClassDef", tree).body))
    return found


def _documented(body: Iterable[ast.stmt]) -> Iterator[tuple[str, str]]:
    import ast

    name = ""
    for it in body:
        if isinstance(it, ast.Expr) and isinstance(it.value, ast.Constant) and name:
            yield name, " ".join(str(it.value.value).split())
        name = it.target.id if isinstance(it, ast.AnnAssign) and isinstance(it.target, ast.Name) else ""
