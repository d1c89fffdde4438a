"""YAML with the line of every value, and a reader that collects all problems. Only importer of PyYAML.

A file is composed once into `Item`s; whoever gives it a meaning asks a `Reading` for text, numbers
and mappings, which notes what is wrong and goes on, so that a user hears of every problem at once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from lab.errors import BadFile, NotFound, Problem

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""What YAML can say, and JSON too."""

MAX_BYTES: Final = 1_000_000
"""A definition larger than this is a mistake: the largest we ship has some kilobytes."""


_NO_VAULT: Final = "write it in clear text: the secrets of a lab are meant to be known, and guessed"


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """One YAML value and where it stands."""

    value: str | int | float | bool | dict[str, Item] | list[Item] | None
    """A scalar, or items again."""

    line: int
    """Line number, from 1."""

    path: str = ""
    """The file, where it was read from one."""

    def plain(self) -> Plain:
        """Return the value without its lines."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value


class Reading:
    """One file being read: its problems so far."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self.problems: list[Problem] = []

    def problem(self, where: Item | int, what: str, remedy: str = "") -> None:
        """Note one thing that is wrong, at an item or a line."""
        line, path = (where.line, where.path) if isinstance(where, Item) else (where, "")
        self.problems.append(Problem(path=path or self.path, line=line, what=what, remedy=remedy))

    def finish(self) -> None:
        """End the reading.

        Raises:
            BadFile: anything was wrong.
        """
        if self.problems:
            raise BadFile(*self.problems)

    def mapping(self, item: Item, what: str, known: Iterable[str] | None = None) -> Mapping[str, Item]:
        """Return the entries of a mapping; an empty value counts as an empty mapping.

        Args:
            item: What should be a mapping.
            what: Its name, for the message.
            known: The keys it may have; any other is a problem. None allows all.
        """
        if item.value is None:
            return {}
        if not isinstance(item.value, dict):
            self.problem(item, f"{what} must be a mapping, not {kind_of(item)}", "write  key: value  lines")
            return {}
        if known is not None:
            self._unknown(item.value, what, tuple(known))
        return item.value

    def _unknown(self, entries: Mapping[str, Item], what: str, known: tuple[str, ...]) -> None:
        for key, item in entries.items():
            if key not in known:
                self.problem(item, f"unknown key {key!r} in {what}", suggestion(key, known, "keys"))

    def sequence(self, item: Item, what: str) -> list[Item]:
        """Return the entries of a list; an empty value counts as an empty list."""
        if item.value is None:
            return []
        if not isinstance(item.value, list):
            self.problem(item, f"{what} must be a list, not {kind_of(item)}", "write  [one, two]")
            return []
        return item.value

    def text(self, item: Item, what: str) -> str:
        """Return a text; a number counts as its text, as in Ansible."""
        if isinstance(item.value, str):
            return item.value
        if isinstance(item.value, int | float) and not isinstance(item.value, bool):
            return str(item.value)
        self.problem(item, f"{what} must be text, not {kind_of(item)}")
        return ""

    def texts(self, item: Item, what: str) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self.text(entry, f"an entry of {what}") for entry in self.sequence(item, what))

    def flag(self, item: Item, what: str) -> bool:
        """Return true or false."""
        if isinstance(item.value, bool):
            return item.value
        self.problem(item, f"{what} must be true or false, not {kind_of(item)}")
        return False

    def number(
        self,
        item: Item,
        what: str,
        *,
        least: float | None = None,
        most: float | None = None,
        whole: bool = False,
    ) -> float:
        """Return a number within limits, a whole one where that is asked."""
        value = item.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problem(item, f"{what} must be a number, not {kind_of(item)}")
        elif not math.isfinite(value):
            self.problem(item, f"{what} must be a number, not {value}")
        elif whole and value != value // 1:
            self.problem(item, f"{what} must be a whole number, not {value}")
        elif least is not None and not value >= least:
            self.problem(item, f"{what} must be {least:g} or more, not {value}")
        elif most is not None and not value <= most:
            self.problem(item, f"{what} must be {most:g} or less, not {value}")
        else:
            return int(value) if whole else value
        return least or 0

    def choice(self, item: Item, what: str, known: Iterable[str]) -> str:
        """Return a text that is one of the known ones; anything else is a problem and gives ''."""
        text, names = self.text(item, what), tuple(known)
        if text in names:
            return text
        self.problem(item, f"unknown {what} {text!r}", suggestion(text, names, f"{what}s"))
        return ""


def suggestion(wrong: str, known: Iterable[str], what: str) -> str:
    """Say which names there are, with the likely one first."""
    names = sorted(known)
    close = difflib.get_close_matches(wrong, names, n=1)
    listed = f"{what}: {', '.join(names)}" if names else f"there are no {what}"
    return f"did you mean {close[0]!r}?  {listed}" if close else listed


def kind_of(item: Item) -> str:
    """Name a value's kind for a person."""
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(type(item.value), "a number")


def load(path: Path) -> tuple[Item, Reading]:
    """Read a YAML file of one document.

    Returns:
        The document's root, and the reading that collects further problems.

    Raises:
        NotFound: the file does not exist.
        BadFile: it cannot be read, or is not YAML.
    """
    reading = Reading(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise NotFound("file", name=str(path)) from None
    except OSError as error:
        raise BadFile(Problem(path=str(path), line=0, what=f"cannot be read: {error.strerror}")) from error
    if len(raw) > MAX_BYTES:
        reading.problem(0, f"is larger than {MAX_BYTES // 1000} kB", "a definition is a small text file")
        reading.finish()
    return parse(raw, reading), reading


def parse(raw: bytes | str, reading: Reading) -> Item:
    """Compose YAML text into items.

    Raises:
        BadFile: it is not YAML, or holds what a definition may not hold.
    """
    if raw[:14] in {"$ANSIBLE_VAULT", b"$ANSIBLE_VAULT"}:
        reading.problem(1, "is encrypted with Ansible Vault", _NO_VAULT)
        reading.finish()
    try:
        loader = yaml.SafeLoader(raw)
        root = loader.get_single_node()
        item = Item(None, 1) if root is None else _Composer(loader, reading).item(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reading.problem(mark.line + 1 if mark else 0, f"is not YAML: {error.problem or error.context}")
        item = Item(None, 1)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reading.problem(0, f"is not YAML text: {str(error).splitlines()[0]}")
        item = Item(None, 1)
    except RecursionError:
        reading.problem(0, "is nested too deeply")
        item = Item(None, 1)
    reading.finish()
    return item


def check_yaml(text: str, path: str) -> None:
    """Make sure that a text is YAML, of any number of documents, before another library reads it.

    Raises:
        BadFile: it is not; says where.
    """
    reading = Reading(path)
    try:
        for _ in yaml.compose_all(text, Loader=yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reading.problem(mark.line + 1 if mark else 0, f"is not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, RecursionError) as error:
        reading.problem(0, f"is not YAML: {str(error).splitlines()[0]}")
    reading.finish()


class _Composer:
    """Turns PyYAML's nodes into items."""

    def __init__(self, loader: yaml.SafeLoader, reading: Reading) -> None:
        self._loader = loader
        self._reading = reading
        self._made = 0

    def item(self, node: yaml.Node, inside: tuple[yaml.Node, ...]) -> Item:
        """Turn a node into an item; `inside` are the nodes it is part of."""
        line = node.start_mark.line + 1
        self._made += 1
        if self._made > MAX_BYTES // 10 or node in inside:
            # An alias repeats what it names: ten lines of YAML can mean a billion values, or no end.
            raise yaml.MarkedYAMLError(problem="aliases repeat too much", problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return Item(self._mapping(node, (*inside, node)), line, self._reading.path)
        if isinstance(node, yaml.SequenceNode):
            entries = [self.item(child, (*inside, node)) for child in node.value]
            return Item(entries, line, self._reading.path)
        return Item(self._scalar(node), line, self._reading.path)

    def _mapping(self, node: yaml.MappingNode, inside: tuple[yaml.Node, ...]) -> dict[str, Item]:
        written = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        self._loader.flatten_mapping(node)  # `<<: *defaults`; what is merged in comes first
        entries: dict[str, Item] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._reading.problem(key.start_mark.line + 1, "a key must be a simple value")
                continue
            if key.value in entries and written.count(key.value) > 1:
                self._reading.problem(key.start_mark.line + 1, f"{key.value!r} is given twice", "keep one")
            entries[key.value] = self._keyed(key, self.item(value, inside))
        return entries

    @staticmethod
    def _keyed(key: yaml.ScalarNode, item: Item) -> Item:
        """Show a nested value at the line of its key, where a person looks for it."""
        return Item(item.value, key.start_mark.line + 1, item.path)

    def _scalar(self, node: yaml.Node) -> str | int | float | bool | None:
        if node.tag in {"!vault", "!vault-encrypted"}:
            self._reading.problem(node.start_mark.line + 1, "is encrypted with Ansible Vault", _NO_VAULT)
            return ""
        if node.tag == "!unsafe":
            return str(node.value)
        try:
            value = self._loader.construct_object(node)
        except ValueError:  # `2026-99-99` looks like a date
            return str(node.value)
        if value is None or isinstance(value, str | int | float | bool):
            return value
        return str(node.value)  # a date, or binary: its text, as in JSON
