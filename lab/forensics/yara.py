"""YARA rules over a node: its files, and the memory of each of its processes, from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lab.engine.nodes import SeenNode
from lab.errors import BadFile, EngineFault, Problem
from lab.files import careful
from lab.forensics.reach import Reach, Tools

FOUND: Final = "yara.txt"
"""What its file is called."""

_RIGHTS: Final = ("SYS_PTRACE", "DAC_READ_SEARCH")
RULES_WRONG: Final = 9
"""With what the script ends when the rules cannot be used."""

COMPILE: Final = f"""cat >/tmp/rules.yar
yarac /tmp/rules.yar /tmp/rules.yac >/tmp/said 2>&1 || {{ cat /tmp/said >&2; exit {RULES_WRONG}; }}"""
"""How a script for `matches` begins: it reads the rules, and says what is wrong with them."""

_LOOK: Final = f"""{COMPILE}
mine=$(stat -L -c %d:%i /proc/self/root)
for it in /proc/[0-9]*; do
    [ "$(stat -L -c %d:%i $it/root 2>/dev/null)" = "$mine" ] && continue
    yara -C -s /tmp/rules.yac "${{it#/proc/}}" 2>/dev/null | sed "s|^|memory of ${{it#/proc/}}: |"
done
cd /proc/1/root && yara -C -s -N -r /tmp/rules.yac . 2>/dev/null | sed 's|^|file: |'
exit 0
"""
"""Our own processes are left out: they hold the rules, and would match each of them."""


def look(node: SeenNode, tools: Tools, rules: Path, folder: Path) -> Path:
    """Look for rules on a node that runs.

    Args:
        node: The node.
        tools: What it is looked with.
        rules: A file of rules.
        folder: Where the file of matches goes.

    Returns:
        The file.

    Raises:
        BadFile: the rules cannot be used.
        EngineFault: nobody could look.
    """
    with tools.engine.beside(node, _RIGHTS, image=tools.image) as helper:
        return matches(tools.engine, helper, _LOOK, rules, folder)


def matches(engine: Reach, place: SeenNode, look_with: str, rules: Path, folder: Path) -> Path:
    """Have a shell script look for rules, which it reads, and keep what it prints.

    Args:
        engine: Where.
        place: On what the script runs.
        look_with: The script; it ends with `RULES_WRONG` when the rules cannot be used.
        rules: A file of rules.
        folder: Where the file of matches goes.

    Returns:
        The file.

    Raises:
        BadFile: the rules cannot be used.
        EngineFault: nobody could look.
    """
    out, words = bytearray(), bytearray()
    code = engine.relay(
        place,
        ("sh", "-c", look_with),
        stdin=(careful.read_bytes(rules),),
        hear=lambda channel, chunk: (out if channel == 1 else words).extend(chunk),
    )
    said = words.decode("utf-8", "backslashreplace").strip().splitlines() or ["no word"]
    if code == RULES_WRONG:
        raise BadFile(*(Problem(path=str(rules), line=0, what=f"YARA says: {it}") for it in said))
    if code:
        raise EngineFault(doing=f"looking for YARA rules on {place.name}", said=said[-1])
    careful.replace(folder / FOUND, bytes(out))
    return folder / FOUND
