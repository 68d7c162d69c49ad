from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourfold import stream
from fourfold.errors import FourfoldError, OutputExists, SinkError, SourceError
from fourfold.stream import Job, Limits, OnProgress, Report
from tests.project.tree import ROOT
from tests.stream.model import events, lines, predictor

OUTPUTS = ("out.jsonl", "out.jsonl.dead.jsonl")


def answered(folder: Path, *, on_progress: OnProgress | None = None, **changes: Any) -> Report:
    """Run from `in.jsonl` to `out.jsonl`."""
    job = Job(folder / "in.jsonl", folder / "out.jsonl", **{"keep": ("id",), **changes})
    return stream.run(predictor(), job, on_progress=on_progress)


def contents(folder: Path) -> list[bytes]:
    """Both outputs."""
    return [(folder / name).read_bytes() for name in OUTPUTS]


def crash(mode: str, folder: Path, source: Path) -> None:
    """Run `tests.stream.crashes`."""
    command: list[str | Path] = [sys.executable, "-m", "tests.stream.crashes", mode, folder, source]
    subprocess.run(command, cwd=ROOT, check=True, env={"PYTHONPATH": "src"})


def undisturbed(folder: Path, count: int) -> list[bytes]:
    """The outputs of a run that nobody killed, over so many events that are then in `in.jsonl`."""
    (folder / "in.jsonl").write_bytes(events(count))
    answered(folder)
    return contents(folder)


@pytest.mark.faults
def test_killed_at_every_step(tmp_path: Path) -> None:
    """Killed within any call that changes a file, and started again, a run leaves what an undisturbed one leaves."""
    expected = undisturbed(tmp_path, 400)
    crashes = tmp_path / "crashes"
    crashes.mkdir()
    crash("steps", crashes, tmp_path / "in.jsonl")
    found = list(crashes.iterdir())
    assert len(found) > 30
    assert {step.name for step in found if contents(step) != expected} == set()
    assert {
        step.name for step in found if {file.name for file in step.iterdir()} != {*OUTPUTS, "out.jsonl.offsets"}
    } == set()


@pytest.mark.faults
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Killed a hundred times on its way through 20,000 events, a stream leaves what an undisturbed run leaves."""
    expected = undisturbed(tmp_path, 20_000)
    crashes = tmp_path / "crashes"
    crashes.mkdir()
    crash("moments", crashes, tmp_path / "in.jsonl")
    assert int((crashes / "kills").read_text()) > 10
    assert contents(crashes) == expected


def test_every_event_is_in_one_output(tmp_path: Path) -> None:
    """Answers and dead letters together are the events, each once and in order."""
    answers, dead = undisturbed(tmp_path, 2000)
    alive = [json.loads(line)["id"] for line in answers.splitlines()]
    letters = [json.loads(line)["line"] - 1 for line in dead.splitlines()]
    assert alive == sorted(alive)
    assert letters == sorted(letters)
    assert sorted(alive + letters) == list(range(2000))


def test_finished_run_does_nothing_again(tmp_path: Path) -> None:
    """A second run says that there is nothing new and touches no file."""
    expected = undisturbed(tmp_path, 100)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    report = answered(tmp_path)
    assert (report.events, report.continued, str(report)[:11]) == (0, True, "nothing new")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    assert contents(tmp_path) == expected


def test_appended_events_are_picked_up(tmp_path: Path) -> None:
    """A later run answers what was appended, and both leave what one run over all leaves."""
    (tmp_path / "whole").mkdir()
    expected = undisturbed(tmp_path / "whole", 300)
    data = events(300)
    (tmp_path / "in.jsonl").write_bytes(data[: data.index(b'{"id":200,')])
    assert answered(tmp_path).events == 200
    (tmp_path / "in.jsonl").write_bytes(data)
    report = answered(tmp_path)
    assert (report.events, report.continued) == (100, True)
    assert contents(tmp_path) == expected


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    """What a crashed run wrote after its last commit is not in the output twice."""
    expected = undisturbed(tmp_path, 100)
    for name in OUTPUTS:
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"half of a li')
    answered(tmp_path)
    assert contents(tmp_path) == expected


def test_foreign_output_is_left_alone(tmp_path: Path) -> None:
    """An output that no stream made is refused with advice, and only replaced where that is said."""
    (tmp_path / "in.jsonl").write_bytes(events(10))
    (tmp_path / "out.jsonl").write_bytes(b"precious")
    with pytest.raises(OutputExists, match="replace=True"):
        answered(tmp_path)
    assert (tmp_path / "out.jsonl").read_bytes() == b"precious"
    assert answered(tmp_path, replace=True).events == 10
    assert len(lines(tmp_path / "out.jsonl")) == 10


def test_foreign_dead_letters_are_left_alone(tmp_path: Path) -> None:
    """Neither are dead letters overwritten that another run left beside the output."""
    (tmp_path / "in.jsonl").write_bytes(events(10))
    (tmp_path / "out.jsonl.dead.jsonl").write_bytes(b"precious")
    with pytest.raises(OutputExists, match="dead"):
        answered(tmp_path)
    assert (tmp_path / "out.jsonl.dead.jsonl").read_bytes() == b"precious"


def test_replace_starts_over(tmp_path: Path) -> None:
    """`replace` answers everything anew, with nothing left of the old run."""
    undisturbed(tmp_path, 400)
    (tmp_path / "in.jsonl").write_bytes(events(12))
    report = answered(tmp_path, replace=True)
    assert (report.events, report.continued) == (12, False)
    assert [len(lines(tmp_path / name)) for name in OUTPUTS] == [11, 1]


def rewritten(folder: Path) -> None:
    """Change the input where it was read."""
    (folder / "in.jsonl").write_bytes(events(100).replace(b'{"id":3,', b'{"id":4,'))


def truncated(folder: Path) -> None:
    """Cut the input."""
    (folder / "in.jsonl").write_bytes(events(50))


def cut_output(folder: Path) -> None:
    """Cut the output."""
    (folder / "out.jsonl").write_bytes(b"")


def lost_output(folder: Path) -> None:
    """Remove the output alone."""
    (folder / "out.jsonl").unlink()


def cut_letters(folder: Path) -> None:
    """Cut the dead letters."""
    (folder / "out.jsonl.dead.jsonl").write_bytes(b"{}\n")


def lost_progress(folder: Path) -> None:
    """Remove the progress alone."""
    (folder / "out.jsonl.offsets").unlink()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (rewritten, SourceError, "another file or was rewritten"),
        (truncated, SourceError, "truncated"),
        (cut_output, SinkError, "cut or removed"),
        (lost_output, SinkError, "cut or removed"),
        (cut_letters, SinkError, "cut or removed"),
        (lost_progress, OutputExists, "no progress file"),
    ],
)
def test_changed_files_are_refused(
    change: Callable[[Path], None], error: type[FourfoldError], message: str, tmp_path: Path
) -> None:
    """A run that finds its files otherwise than the last run left them says so, and changes nothing."""
    undisturbed(tmp_path, 100)
    change(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=message):
        answered(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert answered(tmp_path, replace=True).events > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"keep": ()}, "keeps the fields id"), ({"dead_letters": "other.jsonl"}, "dead letters"), ({}, "another|package")],
)
def test_another_run_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An output goes on only with the package, the kept fields and the dead letters that it began with."""
    monkeypatch.chdir(tmp_path)
    undisturbed(tmp_path, 20)
    model = predictor() if changes else predictor(name="another")
    with pytest.raises(OutputExists, match=message):
        stream.run(model, Job("in.jsonl", "out.jsonl", **{"keep": ("id",), **changes}))


def test_letters_may_be_taken_away(tmp_path: Path) -> None:
    """Somebody who moves the dead letters away to mend them does not stop the stream: it begins a new file."""
    undisturbed(tmp_path, 100)
    (tmp_path / "out.jsonl.dead.jsonl").rename(tmp_path / "mended.jsonl")
    assert answered(tmp_path).events == 0
    with (tmp_path / "in.jsonl").open("ab") as file:
        file.write(b"{}\n" + b"no JSON\n")
    assert answered(tmp_path).dead == 2
    assert [letter["line"] for letter in lines(tmp_path / "out.jsonl.dead.jsonl")] == [101, 102]


def test_folder_may_be_moved(tmp_path: Path) -> None:
    """Input and output may be moved or copied together: contents count, not names."""
    (tmp_path / "old").mkdir()
    expected = undisturbed(tmp_path / "old", 100)
    (tmp_path / "old").rename(tmp_path / "new")
    assert answered(tmp_path / "new").events == 0
    assert contents(tmp_path / "new") == expected


def test_letters_to_a_pipe(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Dead letters of a file can go to standard output; then no file is made for them."""
    (tmp_path / "in.jsonl").write_bytes(events(20))
    assert answered(tmp_path, dead_letters="-").dead == 2
    assert [json.loads(line)["line"] for line in capfd.readouterr().out.splitlines()] == [12, 18]
    assert not (tmp_path / "out.jsonl.dead.jsonl").exists()
    assert answered(tmp_path, dead_letters="-").events == 0


def test_commits_on_the_way(tmp_path: Path) -> None:
    """A run that fails half-way has committed what it delivered, and another one goes on there."""
    (tmp_path / "whole").mkdir()
    expected = undisturbed(tmp_path / "whole", 400)
    (tmp_path / "in.jsonl").write_bytes(events(400))

    def interrupt(report: Report) -> None:
        if report.events >= 200:
            raise SourceError("enough")

    with pytest.raises(SourceError, match="enough"):
        answered(tmp_path, limits=Limits(events=50), on_progress=interrupt)
    recorded = json.loads((tmp_path / "out.jsonl.offsets").read_text())
    assert recorded["tally"]["events"] == 200
    assert recorded["output_bytes"] == (tmp_path / "out.jsonl").stat().st_size
    assert answered(tmp_path).events == 200
    assert contents(tmp_path) == expected


def test_outputs_are_on_the_disk_before_the_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress file never counts a byte of answers or dead letters that a power cut could take away."""
    synced: dict[int, int] = {}  # the length of each file, by inode, when it was last synced
    counted: list[tuple[int, int]] = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(handle: int) -> None:
        fsync(handle)
        status = os.fstat(handle)
        synced[status.st_ino] = status.st_size

    def check_replace(source: Path, target: Path) -> None:
        recorded = json.loads(Path(source).read_bytes())
        lengths = recorded["output_bytes"], recorded["dead_letters_bytes"]
        for name, length in zip(OUTPUTS, lengths, strict=True):
            assert not length or synced.get((tmp_path / name).stat().st_ino, 0) >= length, f"{name} is not synced"
        counted.append(lengths)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", check_replace)
    answers, letters = undisturbed(tmp_path, 20)
    assert counted[-1] == (len(answers), len(letters))
    assert letters
