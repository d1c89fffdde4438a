"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_locks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give each test locks of its own: several run side by side, and their labs have the same names."""
    monkeypatch.setattr("lab.provision.lock.locks", lambda: tmp_path / "locks")
