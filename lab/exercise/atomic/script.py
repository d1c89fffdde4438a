"""What a shell script would run, read without running it. Only importer of tree-sitter.

The grammar is Bash's, which `sh` is a part of; a script that is not all valid is read as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import tree_sitter
import tree_sitter_bash

_CONDITIONAL: Final = frozenset({"if_statement", "case_statement", "while_statement", "elif_clause"})
"""Where a command may never be reached; those behind `&&` and `||` are found by their place."""

_STARTERS: Final = {
    "sudo": "-u -g -h -p -C -r -t",
    "doas": "-u -C",
    "env": "-u -C -S",
    "nohup": "",
    "setsid": "",
    "time": "-f -o",
    "nice": "-n",
    "timeout": "-s -k --signal --kill-after",
    "stdbuf": "-i -o -e",
    "exec": "-a",
    "command": "",
    "xargs": "-I -n -P -L -d -E -s",
    "chroot": "",
    "su": "",
}
"""Programs that start another, each with its options that take a value."""

_TAKES_ONE: Final = frozenset({"timeout", "chroot"})
"""Those that take one word of their own before it: how long, where."""

_OWN: Final = """
! . : [ [[ ]] alias bg bind break builtin caller case cd command compgen complete continue declare dirs
disown do done echo elif else enable esac eval exec exit export false fc fg fi for function getopts
hash help history if in jobs let local logout mapfile popd printf pushd pwd read readarray readonly
return select set shift shopt source suspend test then times trap true type typeset ulimit umask
unalias unset until wait while { }
"""

BUILTINS: Final = frozenset(_OWN.split())
"""What shells do themselves, and words of theirs that stand for commands where a script is not valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command of a script."""

    words: tuple[str, ...]
    """The program and its arguments, quotes taken off; what is only known while it runs stands as written."""

    certain: bool
    """Whether it is run whenever the script is: no condition stands before it."""

    @property
    def program(self) -> str:
        """The program's name."""
        return self.words[0]


def commands_of(script: str) -> tuple[Command, ...]:
    """Read a script: its commands, and those that are started by others, as `sudo` does."""
    tree = _parser().parse(script.encode())
    functions = {_text(name) for it in _walk(tree.root_node) if (name := _name_of_function(it)) is not None}
    found: list[Command] = []
    for node in _walk(tree.root_node):
        if node.type == "command":
            certain = _is_certain(node)
            started = (it for it in _started(_words(node)) if it[0] not in functions)
            found += (Command(words=words, certain=certain) for words in started)
    return tuple(found)


@cache
def _parser() -> tree_sitter.Parser:
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))


def _walk(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    waiting = [node]
    while waiting:
        it = waiting.pop()
        yield it
        waiting += reversed(it.named_children)


def _text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _name_of_function(node: tree_sitter.Node) -> tree_sitter.Node | None:
    return node.child_by_field_name("name") if node.type == "function_definition" else None


def _words(node: tree_sitter.Node) -> tuple[str, ...]:
    skipped = {"variable_assignment", "file_redirect", "herestring_redirect", "heredoc_redirect", "comment"}
    return tuple(_bare(_text(it)) for it in node.named_children if it.type not in skipped)


def _bare(word: str) -> str:
    for quote in "'\"":
        if len(word) > 1 and word.startswith(quote) and word.endswith(quote):
            return word[1:-1]
    return word.replace("\\", "")


def _started(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield a command, and the one that it starts, and so on."""
    while words and words[0]:
        yield words
        words = _inner(words)


def _inner(words: tuple[str, ...]) -> tuple[str, ...]:
    if words[0].rpartition("/")[2] not in _STARTERS:
        return ()
    name, rest = words[0].rpartition("/")[2], list(words[1:])
    valued = _STARTERS[name].split()
    while rest and (rest[0].startswith("-") or (name in {"env", "sudo"} and "=" in rest[0])):
        option = rest.pop(0)
        if option in valued and rest:
            rest.pop(0)
    if name in _TAKES_ONE and rest:
        rest.pop(0)
    return () if name == "su" else tuple(rest)


def _is_certain(node: tree_sitter.Node) -> bool:
    """Tell whether nothing decides if a command is reached."""
    below, above = node, node.parent
    while above is not None:
        if above.type in _CONDITIONAL | {"function_definition"}:
            return False
        if above.type == "list" and above.named_children[0] != below:
            return False
        below, above = above, above.parent
    return True


def programs_of(commands: Sequence[Command]) -> tuple[str, ...]:
    """Name the programs that commands need from the node, each once; those by path and variable left out."""
    names = (it.program for it in commands)
    return tuple(
        dict.fromkeys(it for it in names if it not in BUILTINS and not set(it) & set("/$`*?{}()<>|=~!;&\n "))
    )
