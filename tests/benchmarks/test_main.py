from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main

SHORT = ("--rounds", "1", "--seconds", "0.3", "--event-streams", "4")


def test_events_are_measured_through_real_proxies_and_told_in_a_table_and_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    arguments = ("--only", "events", "--proxy", "sidekey", "--proxy", "aiohttp", "--json", str(file))
    assert main([*SHORT, *arguments]) == 0
    table = capsys.readouterr().out
    assert "CPU per event" in table
    assert "plain aiohttp" in table
    figures = json.loads(file.read_text())
    assert set(figures["events"]) == {"plain aiohttp", "sidekey"}
    for cost in figures["events"].values():
        assert cost["count"] >= 4 * 10
        assert cost["seconds"] >= 0.3


def test_memory_is_measured_through_a_real_sidekey(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    small = ("--body", "8", "--open-streams", "20", "--unread", "2", "--json", str(file))
    assert main(["--only", "memory", "--proxy", "sidekey", *small]) == 0
    memory = json.loads(file.read_text())["memory"]["sidekey"]
    assert memory["unread"]["taken"] > 0
    assert memory["tls_stream"] is not None


def test_a_sidekey_that_is_not_there_is_left_out_and_said_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHORT, "--only", "events", "--proxy", "sidekey", "--sidekey", f"old={tmp_path}"]) == 0
    told = capsys.readouterr()
    assert f"old is left out: {tmp_path / 'sidekey'} is missing" in told.err
    assert "old" not in told.out
