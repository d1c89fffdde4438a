"""Published data sets, with what is wrong in them."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import BadFile, WrongInput
from lab.learn import tables
from lab.learn.tables import Table, cicids2017, kdd99, nsl_kdd

KDD_ROW = "0,tcp,http,SF,181,5450" + ",0" * 35


def written(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("end", [",neptune,21", ",neptune", ",neptune."], ids=["difficulty", "none", "a dot"])
def test_a_label_is_read_as_each_release_has_it(tmp_path: Path, end: str) -> None:
    table = nsl_kdd(written(tmp_path, f"{KDD_ROW}{end}\n{KDD_ROW},normal\n"))
    assert table.labels.tolist() == ["neptune", "normal"]
    assert table.numbers.shape == (2, 38)
    assert table.words["service"].tolist() == ["http", "http"]
    assert "difficulty" not in table.columns


def test_a_packed_file_is_read_as_it_is(tmp_path: Path) -> None:
    assert len(nsl_kdd(written(tmp_path, gzip.compress(f"{KDD_ROW},normal,20\n".encode()), "k.txt.gz"))) == 1


def test_rows_of_kdd99_that_come_again_count_once(tmp_path: Path) -> None:
    other = KDD_ROW.replace("181", "182")
    found = kdd99(written(tmp_path, f"{KDD_ROW},smurf.\n" * 5 + f"{other},smurf.\n{KDD_ROW},normal.\n"))
    assert found.labels.tolist() == ["smurf", "smurf", "normal"]
    assert "4 of 7 rows" in found.notes[0]


@pytest.mark.parametrize("read", [nsl_kdd, kdd99, cicids2017])
def test_what_is_no_such_file_is_refused_and_says_what_is_wanted(
    tmp_path: Path, read: Callable[[Path], Table]
) -> None:
    for path in (tmp_path / "none.csv", tmp_path, written(tmp_path, ""), written(tmp_path, b"\x1f\x8bno")):
        with pytest.raises(BadFile, match="from the"):
            read(path)


def test_all_bad_lines_are_named_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, f"{KDD_ROW},normal\n1,2,3\n{KDD_ROW.replace('181', 'many')},normal\n")
    with pytest.raises(BadFile) as raised:
        nsl_kdd(path)
    assert [it.line for it in raised.value.problems] == [2, 3]
    assert "many" in raised.value.message()


HEADER = (
    "Flow ID, Source IP, Source Port, Destination IP, Destination Port, Protocol, Timestamp, Flow Duration,"
    " Fwd Header Length,Flow Bytes/s, Flow Packets/s, Fwd Header Length, Label"
)


def flow(label: str, rate: str = "2.5", port: int = 80) -> str:
    return f"id,10.0.0.1,1000,10.0.0.2,{port},6,7/7/2017 3:30,3,40,{rate},7,40,{label}"


def test_the_quirks_of_cicids2017_are_dealt_with_and_said(tmp_path: Path) -> None:
    rows = [
        HEADER, flow("BENIGN"), flow("BENIGN", "Infinity"), flow("DDoS", "NaN"), flow("", "")[:0] + "," * 12,
        flow("Web Attack \x96 Brute Force"), flow("DoS Hulk - Attempted"),
    ]  # fmt: skip
    found = cicids2017(written(tmp_path, "\r\n".join(rows).encode("latin-1")))
    assert found.labels.tolist() == ["normal", "normal", "DDoS", "Web Attack - Brute Force", "normal"]
    assert found.columns == ("flow duration", "fwd header length", "flow bytes/s", "flow packets/s")
    assert found.numbers[:3, 2].tolist() == [2.5, -1, -1]
    assert found.ports.tolist() == [80] * 5
    said = " ".join(found.notes)
    for what in ("1 rows hold nothing", "2 rows have a rate", "1 rows are attempts", "second column"):
        assert what in said


def test_nothing_that_tells_who_it_was_is_a_column(tmp_path: Path) -> None:
    found = cicids2017(written(tmp_path, f"{HEADER}\n{flow('BENIGN')}\n"))
    assert not any(word in it for it in found.columns for word in ("ip", "port", "id", "time"))


def test_files_are_put_together_by_what_they_have_in_common(tmp_path: Path) -> None:
    first = cicids2017(written(tmp_path, f"{HEADER}\n{flow('BENIGN')}\n", "a.csv"))
    short = "Destination Port,Flow Duration,Flow Bytes/s,Label\n443,5,6,DDoS\n"
    both = tables.together([first, cicids2017(written(tmp_path, short, "b.csv"))])
    assert both.columns == ("flow duration", "flow bytes/s")
    assert both.numbers.tolist() == [[3, 2.5], [5, 6]]
    assert (both.ports.tolist(), list(both.hashes)) == ([80, 443], ["a.csv", "b.csv"])
    other = cicids2017(written(tmp_path, "Colour,Label\n1,BENIGN\n", "c.csv"))
    with pytest.raises(WrongInput, match="no column in common"):
        tables.together([first, other])
