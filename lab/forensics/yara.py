"""YARA rules over a node: its files, and the memory of each of its processes, from outside."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lab.engine.nodes import SeenNode
from lab.errors import BadFile, EngineFault, Problem
from lab.files import careful
from lab.forensics.reach import Tools

FOUND: Final = "yara.txt"
"""What its file is called."""

_RIGHTS: Final = ("SYS_PTRACE", "DAC_READ_SEARCH")
_RULES_WRONG: Final = 9
"""With what the script ends when the rules cannot be used."""

_LOOK: Final = f"""cat >/tmp/rules.yar
yarac /tmp/rules.yar /tmp/rules.yac >/tmp/said 2>&1 || {{ cat /tmp/said >&2; exit {_RULES_WRONG}; }}
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
    out, words = bytearray(), bytearray()
    with tools.engine.beside(node, _RIGHTS, image=tools.image) as helper:
        code = tools.engine.relay(
            helper,
            ("sh", "-c", _LOOK),
            stdin=(careful.read_bytes(rules),),
            hear=lambda channel, chunk: (out if channel == 1 else words).extend(chunk),
        )
    said = words.decode("utf-8", "backslashreplace").strip().splitlines() or ["no word"]
    if code == _RULES_WRONG:
        raise BadFile(*(Problem(path=str(rules), line=0, what=f"YARA says: {it}") for it in said))
    if code:
        raise EngineFault(doing=f"looking for YARA rules on {node.name}", said=said[-1])
    careful.replace(folder / FOUND, bytes(out))
    return folder / FOUND
