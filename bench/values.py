"""A model of values beside libinjection: misses on payloads that neither was made for, and false alarms.

    pip install '.[learn]' libinjection-python
    python bench/values.py payloads/*.txt [--benign values.txt]

The model is trained on what is made up here alone, so that each file is new to it; then once for each file on
all the others as well. Both see what a web server sees: values decoded once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote_plus

import libinjection

from lab.detect.description import Description
from lab.learn.corpora import Corpus, attack_file, benign_file, made_up, parted
from lab.learn.values import train

DESCRIBED = Description(
    name="sqli", kind="http-value", title="", level="high", techniques=(), tactics=(), threshold=0,
    weights="", version="",
)  # fmt: skip

Flags = Callable[[str], bool]


def model(corpora: Sequence[Corpus]) -> Flags:
    """Train a model, and return what it flags."""
    trained = train(parted([*corpora, *made_up(1)]), DESCRIBED, 1, lambda _line: None).model
    return lambda value: trained.score(value) >= trained.description.threshold


def peer(value: str) -> bool:
    """Tell what libinjection says of a value."""
    return bool(libinjection.is_sql_injection(unquote_plus(value))["is_sqli"])


def missed(flags: Flags, values: Sequence[str]) -> int:
    """Count what is not flagged."""
    return sum(not flags(it) for it in values)


def row(name: str, values: Sequence[str], ours: Flags) -> tuple[int, int]:
    """Print what both miss of some values; return it."""
    here, there = missed(ours, values), missed(peer, values)
    print(f"{name[:44]:44} {len(values):6} {here:6} {there:6}")  # noqa: T201  # a figure
    return here, there


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("files", nargs="+", type=Path)
    options.add_argument("--benign", action="append", type=Path, default=[])
    given = options.parse_args()
    files = [attack_file(it) for it in given.files]
    lines = {
        it.name: tuple(dict.fromkeys(it.read_text("utf-8", "replace").split("\n"))) for it in given.files
    }
    values = {name: [it.strip() for it in of if it.strip() and it[0] != "#"] for name, of in lines.items()}
    print(f"{'missed of':44} {'values':>6} {'model':>6} {'libinj':>6}")  # noqa: T201
    alone = model([])
    sums = [row(name, of, alone) for name, of in values.items()]
    ours, theirs = (sum(it) for it in zip(*sums, strict=True))
    print(f"made up alone: {ours} misses, libinjection {theirs}: {ours / theirs:.2f} times")  # noqa: T201
    sums = [
        row(
            f"{it.name}, trained on the others",
            values[it.name],
            model([one for one in files if one is not it]),
        )
        for it in files
        if len(it.values) > 100  # noqa: PLR2004  # smaller ones say little
    ]
    ours, theirs = (sum(it) for it in zip(*sums, strict=True))
    print(f"each file from the others: {ours} misses, libinjection {theirs}: {ours / theirs:.2f} times")  # noqa: T201
    for one in [*map(benign_file, given.benign), *(it for it in made_up(7) if not it.attack)]:
        false = [sum(map(flags, one.values)) / len(one.values) for flags in (alone, peer)]
        print(f"flagged of {one.name[:40]:40} {false[0]:.4f} {false[1]:.4f}")  # noqa: T201
    begun = time.perf_counter()
    for it in values[max(values, key=lambda name: len(values[name]))]:
        alone(it)
    count = max(map(len, values.values()))
    print(f"{1e3 * (time.perf_counter() - begun) / count:.3f} ms a value")  # noqa: T201


if __name__ == "__main__":
    main()
