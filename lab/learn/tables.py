"""Readers for labelled data sets as they are published: NSL-KDD, KDD Cup 99, CICIDS2017 and its corrections.

Whatever is wrong with a file is said at once, with its lines. What would let a model cheat is left out: who
spoke to whom, when, and from which port; the destination's port is kept apart, for a baseline.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from lab.errors import BadFile, Problem, WrongInput
from lab.files import careful

BENIGN: Final = "normal"
"""What a row is called that is no attack, whatever its file calls it."""

_LARGEST: Final = 4 * 2**30
_PROBLEMS: Final = 20
"""Problems of a file that are named; more would not help."""

_KDD: Final = (
    "duration", "protocol_type", "service", "flag", "src_bytes", "dst_bytes", "land", "wrong_fragment",
    "urgent", "hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted",
    "num_root", "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds",
    "is_host_login", "is_guest_login", "count", "srv_count", "serror_rate", "srv_serror_rate",
    "rerror_rate", "srv_rerror_rate", "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate",
    "dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate",
    "dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate",
    "dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate",
)  # fmt: skip
"""Columns of KDD Cup 99, as its `kddcup.names` has them; NSL-KDD has the same."""

_KDD_WORDS: Final = ("protocol_type", "service", "flag")

_TELLING: Final = re.compile(
    r"id|flow id|(src|source|dst|dest|destination) ip|(src|source) port|timestamp|label|attempted category"
    r"|simillarhttp|inbound|unnamed.*|",
    re.IGNORECASE,
)
"""Columns of CICIDS2017 that tell who it was, not what it was like."""

_PORT: Final = re.compile(r"(dst|dest|destination) port", re.IGNORECASE)
_PROTOCOL: Final = "protocol"
_DASH: Final = re.compile(r"\s*[-\u2013\u2014\x96\ufffd]+\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Labelled rows of one or more files."""

    name: str
    """What it is: the files' names."""

    numbers: Any
    """Rows by columns of numbers, as numpy has them."""

    columns: tuple[str, ...]
    """The names of those."""

    words: Mapping[str, Any] = field(default_factory=dict)
    """Columns of words, each an array."""

    labels: Any
    """What each row is: `normal`, or the attack's name."""

    ports: Any = None
    """The destination's port of each row; None where the files have none."""

    hashes: Mapping[str, str]
    """SHA-256 of each file."""

    notes: tuple[str, ...] = ()
    """What was found wanting and how it was dealt with."""

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.labels)

    def at(self, rows: Any) -> Table:  # noqa: ANN401  # numpy's
        """Return some of the rows."""
        return Table(
            name=self.name,
            numbers=self.numbers[rows],
            columns=self.columns,
            words={name: it[rows] for name, it in self.words.items()},
            labels=self.labels[rows],
            ports=None if self.ports is None else self.ports[rows],
            hashes=self.hashes,
            notes=self.notes,
        )

    @property
    def attack(self) -> Any:  # noqa: ANN401  # numpy's
        """Tell of each row whether it is one."""
        return self.labels != BENIGN

    def digests(self) -> list[bytes]:
        """Return a digest of each row's values, so that equal rows are found in little memory."""
        import numpy as np

        words = np.stack([np.char.encode(it, "utf-8") for it in self.words.values()]) if self.words else None
        said = (b"" if words is None else b"\x00".join(words[:, at].tolist()) for at in range(len(self)))
        return [
            hashlib.blake2b(row.tobytes() + more, digest_size=16).digest()
            for row, more in zip(self.numbers, said, strict=True)
        ]


def nsl_kdd(path: Path) -> Table:
    """Read a file of NSL-KDD: 41 features, the label, and mostly a difficulty, which is no feature.

    Raises:
        BadFile: it is not there, or not of that form.
        NotReady: numpy is not installed.
    """
    return _kdd(path, wanted="KDDTrain+.txt or KDDTest+.txt, from the Canadian Institute for Cybersecurity")


def kdd99(path: Path) -> Table:
    """Read a file of KDD Cup 99: 41 features, and a label with a dot behind it.

    Rows that come again count once: most of the file is the same few floods.

    Raises:
        BadFile: as `nsl_kdd`.
        NotReady: numpy is not installed.
    """
    found = _kdd(path, wanted="kddcup.data_10_percent or corrected, from the UCI KDD archive")
    seen: dict[bytes, int] = {}
    for at, key in enumerate(found.digests()):
        seen.setdefault(key + str(found.labels[at]).encode(), at)
    once = found.at(list(seen.values()))
    note = f"{len(found) - len(once)} of {len(found)} rows of {path.name} come again; each counts once"
    return Table(**{**_fields(once), "notes": (*found.notes, note)})


def _fields(table: Table) -> dict[str, Any]:
    return {name: getattr(table, name) for name in Table.__slots__}


def _kdd(path: Path, *, wanted: str) -> Table:
    from lab.detect.model import numpy

    np = numpy()
    text, digest = _text(path, "utf-8", wanted)
    problems: list[Problem] = []
    numbers = array("d")  # a list of lists takes four times the memory of millions of rows
    words, labels = [], []
    sure = [at for at, it in enumerate(_KDD) if it not in _KDD_WORDS]
    named = [_KDD.index(it) for it in _KDD_WORDS]
    most = len(_KDD) + 2
    for line, row in _rows(text):
        if len(row) not in {most - 1, most}:
            _add(
                problems, path, line, f"has {len(row)} columns, not {most - 1} or {most}: wanted is {wanted}"
            )
            continue
        try:
            numbers.extend([float(row[at]) for at in sure])
        except ValueError as error:
            _add(problems, path, line, f"{error}: a number is wanted")
            continue
        words.append([row[at].strip() for at in named])
        labels.append(row[len(_KDD)].strip().rstrip(".").lower())
    _judge(path, problems, labels, wanted)
    by_column = np.array(words)
    return Table(
        name=path.name,
        numbers=np.array(numbers).reshape(-1, len(sure)),
        columns=tuple(_KDD[at] for at in sure),
        words={name: by_column[:, at] for at, name in enumerate(_KDD_WORDS)},
        labels=np.array(labels),
        hashes={path.name: digest},
    )


def cicids2017(path: Path) -> Table:
    """Read a file of CICIDS2017 as published: with or without addresses, or one of its corrected releases.

    Blanks before names, a second column of the same name, `Infinity` and `NaN`, rows of commas alone, and
    dashes of cp1252 are dealt with, and noted. A label `... - Attempted` of the corrected releases is of an
    attack that had no effect; it counts as benign there, and so here.

    Raises:
        BadFile: it is not there, or has no `Label`.
        NotReady: numpy is not installed.
    """
    from lab.detect.model import numpy

    np = numpy()
    wanted = "a file of CICIDS2017, from the Canadian Institute for Cybersecurity, or a corrected release"
    text, digest = _text(path, "cp1252", wanted)
    rows = _rows(text)
    _, header = next(rows, (0, []))
    names = [it.strip().lstrip("\ufeff") for it in header]
    if "label" not in map(str.lower, names):
        raise BadFile(Problem(path=str(path), line=1, what=f"has no column Label: wanted is {wanted}"))
    kept, twice = _kept(names)
    reading = _Reading(path, names, kept)
    for line, row in rows:
        reading.take(line, row)
    _judge(path, reading.problems, reading.labels, wanted)
    return Table(
        name=path.name,
        numbers=np.array(reading.numbers).reshape(-1, len(kept)),
        columns=tuple(_plain(names[at]) for at in kept),
        words={"protocol": np.array(reading.protocols)} if reading.protocols else {},
        labels=np.array(reading.labels),
        ports=np.array(reading.ports) if reading.ports else None,
        hashes={path.name: digest},
        notes=tuple(reading.notes(twice)),
    )


def _plain(name: str) -> str:
    """Name a column alike in every release."""
    return re.sub(r"[\s_]+", " ", name).strip().lower()


def _kept(names: Sequence[str]) -> tuple[list[int], list[str]]:
    """Choose the columns that say what a flow was like; return those and which came twice."""
    kept: dict[str, int] = {}
    twice = []
    for at, name in enumerate(names):
        plain = _plain(name)
        if plain in kept:
            twice.append(name)
        elif not _TELLING.fullmatch(plain) and not _PORT.fullmatch(plain) and plain != _PROTOCOL:
            kept[plain] = at
    return list(kept.values()), twice


class _Reading:
    """One file of CICIDS2017, as it is read."""

    def __init__(self, path: Path, names: Sequence[str], kept: Sequence[int]) -> None:
        self._path, self._kept, self._width = path, kept, len(names)
        lower = [_plain(it) for it in names]
        self._label = lower.index("label")
        self._port = next((at for at, it in enumerate(lower) if _PORT.fullmatch(it)), None)
        self._protocol = lower.index(_PROTOCOL) if _PROTOCOL in lower else None
        self.numbers = array("d")
        self.labels: list[str] = []
        self.ports: list[int] = []
        self.protocols: list[str] = []
        self.problems: list[Problem] = []
        self._blank = self._endless = self._attempted = 0

    def take(self, line: int, row: Sequence[str]) -> None:
        """Take one row."""
        if not any(it.strip() for it in row):
            self._blank += 1
            return
        if len(row) != self._width:
            _add(self.problems, self._path, line, f"has {len(row)} columns, not {self._width}")
            return
        try:
            values = [float(row[at] or "nan") for at in self._kept]
            port = int(float(row[self._port])) if self._port is not None else 0
        except ValueError as error:
            _add(self.problems, self._path, line, f"{error}: a number is wanted")
            return
        self._endless += not all(map(math.isfinite, values))
        self.numbers.extend([it if math.isfinite(it) else -1.0 for it in values])
        self.labels.append(self._named(row[self._label]))
        if self._port is not None:
            self.ports.append(port)
        if self._protocol is not None:
            self.protocols.append(row[self._protocol].strip())

    def _named(self, label: str) -> str:
        name = _DASH.sub(" - ", label.strip())
        if name.lower().endswith("- attempted"):
            self._attempted += 1
            return BENIGN
        return BENIGN if name.lower() in {"benign", BENIGN} else name

    def notes(self, twice: Iterable[str]) -> Iterator[str]:
        """Say what was found wanting."""
        for count, what in (
            (self._blank, "rows hold nothing, left out"),
            (self._endless, "rows have a rate that is Infinity or NaN, taken as -1"),
            (self._attempted, "rows are attempts without effect, benign by the release's own word"),
        ):
            if count:
                yield f"{self._path.name}: {count} {what}"
        for name in twice:
            yield f"{self._path.name}: a second column {name!r}, left out"


def together(tables: Sequence[Table]) -> Table:
    """Put files together by the columns that all of them have.

    Raises:
        WrongInput: they have none in common.
    """
    import numpy as np

    common = [it for it in tables[0].columns if all(it in one.columns for one in tables)]
    words = [it for it in tables[0].words if all(it in one.words for one in tables)]
    if not common:
        raise WrongInput(f"{', '.join(it.name for it in tables)} have no column in common")
    has_ports = all(it.ports is not None for it in tables)
    return Table(
        name=", ".join(it.name for it in tables),
        numbers=np.vstack([it.numbers[:, [it.columns.index(name) for name in common]] for it in tables]),
        columns=tuple(common),
        words={name: np.concatenate([it.words[name] for it in tables]) for name in words},
        labels=np.concatenate([it.labels for it in tables]),
        ports=np.concatenate([it.ports for it in tables]) if has_ports else None,
        hashes={name: digest for it in tables for name, digest in it.hashes.items()},
        notes=tuple(note for it in tables for note in it.notes),
    )


READERS: Final[Mapping[str, Callable[[Path], Table]]] = {
    "nsl-kdd": nsl_kdd,
    "kdd99": kdd99,
    "cicids2017": cicids2017,
}
"""Data sets by name, and what reads one of their files."""


def _text(path: Path, encoding: str, wanted: str) -> tuple[str, str]:
    """Read a file, packed or not; return its text and its hash.

    Raises:
        BadFile: it cannot be read.
    """
    try:
        content = careful.read_bytes(path, most=_LARGEST)
        plain = _unpacked(content) if content[:2] == b"\x1f\x8b" else content
    except BadFile as error:
        raise BadFile(
            *(replace(it, what=f"{it.what}: wanted is {wanted}") for it in error.problems)
        ) from error
    except (OSError, EOFError, ValueError) as error:
        what = f"{str(getattr(error, 'strerror', '') or error).lower()}: wanted is {wanted}"
        raise BadFile(Problem(path=str(path), line=0, what=what)) from error
    # cp1252 has five bytes that mean nothing: they are no reason to refuse a file of numbers.
    return plain.decode(encoding, "replace"), hashlib.sha256(content).hexdigest()


def _unpacked(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        plain = packed.read(_LARGEST + 1)
    if len(plain) > _LARGEST:
        raise ValueError(f"more than {_LARGEST >> 30} GB, unpacked")
    return plain


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Give the rows of a file with their lines; empty lines are none."""
    reader = csv.reader(io.StringIO(text, newline=""))
    for row in reader:
        if row:
            yield reader.line_num, row


def _add(problems: list[Problem], path: Path, line: int, what: str) -> None:
    problems.append(Problem(path=str(path), line=line, what=what))


def _judge(path: Path, problems: Sequence[Problem], labels: Sequence[str], wanted: str) -> None:
    """Refuse a file in which something is wrong, all of it at once.

    Raises:
        BadFile: something is.
    """
    if problems:
        shown = [*problems[:_PROBLEMS]]
        if len(problems) > _PROBLEMS:
            more = f"and {len(problems) - _PROBLEMS} lines more"
            shown.append(Problem(path=str(path), line=problems[_PROBLEMS].line, what=more))
        raise BadFile(*shown)
    if not labels:
        raise BadFile(Problem(path=str(path), line=0, what=f"holds no row: wanted is {wanted}"))
