"""The notebook that ships works, on the recording that ships."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lab.ask.query import query
from lab.files.workplace import CARRIED

NOTEBOOK: Final = CARRIED / "docs" / "logs.ipynb"
RECORDING: Final = CARRIED / "recordings" / "ssh-brute-force"


@pytest.fixture(scope="module")
def run() -> dict[str, Any]:
    """Run every cell, in order, where the notebook says it is started."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(CARRIED)
        for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), str(NOTEBOOK), "exec"), found)  # noqa: S102  # ours
    return found


def test_it_finds_what_the_same_question_in_sql_finds(run: dict[str, Any]) -> None:
    sql = (
        'SELECT "source.ip", count(*) FROM events WHERE "event.action" = \'ssh_login\''
        " AND \"event.outcome\" = 'failure' GROUP BY 1 ORDER BY 2 DESC"
    )
    asked: dict[Any, Any] = dict(query(RECORDING, sql).rows)  # type: ignore[arg-type]  # pairs
    assert asked == run["failures"]["failures"].to_dict()
    assert len(run["events"]) == query(RECORDING, "SELECT count(*) FROM events").rows[0][0]


def test_each_of_its_questions_has_an_answer(run: dict[str, Any]) -> None:
    assert len(run["guessed"]) >= 1
    assert len(run["rare"]) > 5
    assert run["per_minute"].sum() == len(run["events"])
