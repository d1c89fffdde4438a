"""A vendor's program for an image: out of the vendor's own image, or out of an archive of Maven's.

Only its files are taken, so that every node has our base below it: its walls, its keeper, its checks.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Final

from lab.engine.images import Images
from lab.engine.nodes import SeenNode
from lab.engine.shell import Shell
from lab.errors import EngineFault, NoProgram
from lab.inventory.kind import Kind, Program

_PIECE: Final = 2**20
_LONGEST: Final = 900
"""Seconds that fetching an archive may take."""

_EXECUTABLE: Final = 0o111


def within_reach(kind: Kind, engine: Images, *, pull: bool) -> bool:
    """Tell whether a kind's program can be had: it is here, or somebody who has it answers.

    Args:
        kind: The kind.
        engine: Where images are.
        pull: Whether to fetch the vendor's image, and not only to ask for it.
    """
    program = kind.program
    if program is None or engine.image_labels(program.image) is not None:
        return True
    if program.artifact and shutil.which("mvn"):
        return True
    return engine.pull(program.image) if pull else engine.registry_answers(program.image)


def install(kind: Kind, program: Program, node: SeenNode, engine: Images, shell: Shell) -> None:
    """Put a program's files onto a node that is being baked.

    Raises:
        NoProgram: they cannot be had here.
        EngineFault: they could not be unpacked.
    """
    above = str(PurePosixPath(program.path).parent)
    with _files(kind, program, engine) as archive:
        said = bytearray()
        argv = ("tar", "-x", "--no-same-owner", "-f", "-", "-C", above)
        code = shell.relay(node, argv, stdin=archive, hear=lambda _channel, chunk: said.extend(chunk))
    if code:
        raise EngineFault(
            doing=f"unpacking {program.path}", said=said.decode("utf-8", "replace")[-500:] or str(code)
        )


@contextmanager
def _files(kind: Kind, program: Program, engine: Images) -> Iterator[Iterable[bytes]]:
    if engine.image_labels(program.image) is not None or engine.pull(program.image):
        with engine.take_out(program.image, program.path) as archive:
            yield archive
        return
    if not program.artifact:
        raise NoProgram(
            f"{kind.name} runs a program of its vendor's, and no registry answers for {program.image}",
            remedy=f"let Docker reach a registry:  docker pull {program.image}",
        )
    with tempfile.TemporaryDirectory(prefix="homerange-") as folder, tempfile.TemporaryFile() as packed:
        _repack(_fetch(kind, program, Path(folder)), PurePosixPath(program.path).name, packed)
        packed.seek(0)
        yield iter(lambda: packed.read(_PIECE), b"")


def _fetch(kind: Kind, program: Program, folder: Path) -> Path:
    """Have Maven fetch an archive, from wherever its own settings say.

    Raises:
        NoProgram: Maven is not here, or has it nowhere.
    """
    remedy = f"let Docker reach a registry, or install Maven; it must find {program.artifact}"
    if not shutil.which("mvn"):
        raise NoProgram(f"no registry answers for {program.image}, and Maven is not installed", remedy=remedy)
    argv = (
        *("mvn", "--batch-mode", "--quiet", "dependency:copy"),
        *(f"-Dartifact={program.artifact}:zip", f"-DoutputDirectory={folder}"),
    )
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=_LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoProgram(f"{kind.name}: Maven did not fetch its program in time", remedy=remedy) from error
    found = next(iter(folder.glob("*.zip")), None)
    if ran.returncode or found is None:
        last = (ran.stdout.strip().splitlines() or ["it said nothing"])[0]
        raise NoProgram(f"{kind.name}: Maven could not fetch its program: {last}", remedy=remedy)
    return found


def _repack(archive: Path, name: str, to: IO[bytes]) -> None:
    """Write a zip archive's one folder as a tar archive, under another name; programs stay programs."""
    with zipfile.ZipFile(archive) as packed, tarfile.open(fileobj=to, mode="w") as written:
        for entry in packed.infolist():
            _, _, rest = entry.filename.partition("/")
            mode = entry.external_attr >> 16 or 0o644
            member = tarfile.TarInfo(f"{name}/{rest}".rstrip("/"))
            member.type = tarfile.DIRTYPE if entry.is_dir() else tarfile.REGTYPE
            member.mode = 0o755 if entry.is_dir() or mode & _EXECUTABLE else 0o644
            member.size = entry.file_size
            with packed.open(entry) as content:
                written.addfile(member, None if entry.is_dir() else content)
