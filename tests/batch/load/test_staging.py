from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fourfold.batch.job import WORK_FOLDER
from fourfold.batch.load.staging import Staging, refuse_existing
from fourfold.errors import OutputExists, SinkError
from tests.batch.support import files_below

# Takes the lock of the file in its argument, stages half a file, says so, and waits to be killed.
HOLDER = """
import sys
from pathlib import Path
from fourfold.batch.load.staging import Staging
with Staging(Path(sys.argv[1])) as staging:
    staging.write("output", b"half")
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(target: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], *, kill: bool) -> None:
    if kill:
        process.kill()
    process.communicate()


def _interrupted(staging: Staging) -> None:
    staging.write("output", b"new")
    raise KeyboardInterrupt


def test_publishes_whole_files(tmp_path: Path) -> None:
    """A file is in the staging folder only until it is published; then nothing else is left."""
    target = tmp_path / "new" / "out.csv"
    with Staging(target) as staging:
        staged = staging.write("output", b"a\n1\n")
        assert not target.exists()
        staging.publish(staged, target, replace=False)
        assert target.read_bytes() == b"a\n1\n"
    assert files_below(tmp_path) == ["new/out.csv"]
    assert not (tmp_path / "new" / WORK_FOLDER).exists()


def test_leaves_nothing_where_it_fails(tmp_path: Path) -> None:
    """What was staged goes away with an error, and a file that was there stays as it was."""
    target = tmp_path / "out.csv"
    target.write_text("old")
    staging = Staging(target)
    with pytest.raises(KeyboardInterrupt), staging:
        _interrupted(staging)
    assert files_below(tmp_path) == ["out.csv"]
    assert target.read_text() == "old"


def test_never_replaces_what_came_into_being(tmp_path: Path) -> None:
    """A file that somebody else put there meanwhile stays, unless it may be replaced."""
    target = tmp_path / "out.csv"
    with Staging(target) as staging:
        staged = staging.write("output", b"ours")
        target.write_text("theirs")
        with pytest.raises(OutputExists, match="came into being"):
            staging.publish(staged, target, replace=False)
        assert target.read_text() == "theirs"
        staging.publish(staged, target, replace=True)
        assert target.read_text() == "ours"


def test_a_link_that_leads_nowhere_is_there(tmp_path: Path) -> None:
    """A dangling symbolic link is something that exists: it is refused, and not written through."""
    target = tmp_path / "out.csv"
    target.symlink_to(tmp_path / "gone")
    with pytest.raises(OutputExists):
        refuse_existing(target, replace=False)
    with Staging(target) as staging, pytest.raises(OutputExists):
        staging.publish(staging.write("output", b"x"), target, replace=False)
    assert not (tmp_path / "gone").exists()


def test_a_folder_is_no_output(tmp_path: Path) -> None:
    """A folder is refused, even where it might be replaced."""
    with pytest.raises(SinkError, match="is a folder"):
        refuse_existing(tmp_path, replace=True)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    """A second run of the same output is refused; runs of other outputs beside it are not."""
    target = tmp_path / "out.csv"
    process = holder(target)
    with pytest.raises(SinkError, match=r"another run is writing .*out\.csv"), Staging(target):
        pass
    assert (tmp_path / WORK_FOLDER / "out.csv.staging" / "output").exists()
    with Staging(tmp_path / "other.csv") as staging:
        staging.publish(staging.write("output", b"x"), tmp_path / "other.csv", replace=False)
    assert (tmp_path / WORK_FOLDER / "out.csv.staging" / "output").exists()
    end(process, kill=False)
    assert files_below(tmp_path) == ["other.csv"]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["out.csv", "other.csv"])
def test_sweeps_what_the_dead_have_left(name: str, tmp_path: Path) -> None:
    """A run that was killed leaves its half file, and the next run beside it removes that."""
    end(holder(tmp_path / "out.csv"), kill=True)
    assert files_below(tmp_path) == ["_fourfold/out.csv.lock", "_fourfold/out.csv.staging/output"]
    with Staging(tmp_path / name):
        assert [each for each in files_below(tmp_path) if each != f"_fourfold/{name}.lock"] == []
    assert files_below(tmp_path) == []


def test_keeps_what_others_have_published(tmp_path: Path) -> None:
    """A new run removes only leftover staged files and locks: reports and quarantines of other outputs stay."""
    work_folder = tmp_path / WORK_FOLDER
    work_folder.mkdir()
    (work_folder / "other.csv.run.json").write_text("{}")
    (work_folder / "other.csv.quarantine.jsonl").write_text("")
    with Staging(tmp_path / "out.csv"):
        pass
    assert files_below(tmp_path) == ["_fourfold/other.csv.quarantine.jsonl", "_fourfold/other.csv.run.json"]


def test_the_lock_is_let_go_of_after_a_failure(tmp_path: Path) -> None:
    """A run that failed to begin holds no lock: the next one begins."""
    blocked = tmp_path / WORK_FOLDER / "out.csv.staging"
    blocked.parent.mkdir()
    blocked.write_text("a file where the folder should be")
    for _ in range(2):
        with pytest.raises(SinkError, match="cannot be written"), Staging(tmp_path / "out.csv"):
            pass
    blocked.unlink()
    with Staging(tmp_path / "out.csv"):
        pass


def test_says_what_cannot_be_made(tmp_path: Path) -> None:
    """Where the folder cannot be made, the error names the output and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match=r"file/out\.csv cannot be written: (Not a directory|File exists)"):
        Staging(tmp_path / "file" / "out.csv").__enter__()


def test_a_published_file_has_the_rights_of_any_other(tmp_path: Path) -> None:
    """The output's permissions follow the umask: it is not readable by its owner alone."""
    target = tmp_path / "out.csv"
    with Staging(target) as staging:
        staging.publish(staging.write("output", b"x"), target, replace=False)
    (tmp_path / "other").write_text("")
    assert target.stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_linked_work_folder_is_not_followed(tmp_path: Path) -> None:
    """A link in the work folder's place is refused by its name; nothing is made where it leads, or beside it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / WORK_FOLDER).symlink_to(elsewhere)
    with (
        pytest.raises(SinkError, match=rf"{WORK_FOLDER}, where a run keeps .* is a symbolic link"),
        Staging(tmp_path / "a"),
    ):
        pytest.fail("the link was followed")
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / WORK_FOLDER).is_symlink()


@pytest.mark.parametrize("name", ["out.csv.lock", "out.csv.staging", "other.csv.lock", "other.csv.staging"])
def test_links_in_the_work_folder_are_not_followed(tmp_path: Path, name: str) -> None:
    """A link in the place of a lock or a staging folder is never written or emptied through."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("data")
    (tmp_path / WORK_FOLDER).mkdir()
    (tmp_path / WORK_FOLDER / name).symlink_to(elsewhere / "new" if name.endswith("lock") else elsewhere)
    with pytest.raises(SinkError, match=r"out\.csv cannot be written: .*link"), Staging(tmp_path / "out.csv"):
        pytest.fail("the link was followed")
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert (elsewhere / "precious").read_text() == "data"


def test_published_files_replace_links(tmp_path: Path) -> None:
    """A link in the place of an output or a report gives way to the file; what it leads to stays as it is."""
    (tmp_path / "precious").write_text("data")
    target = tmp_path / "out.csv"
    target.symlink_to("precious")
    with Staging(target) as staging:
        assert staging.path("output").parent.stat().st_mode & 0o077 == 0
        staging.publish(staging.write("output", b"ours"), target, replace=True)
    assert not target.is_symlink()
    assert target.read_text() == "ours"
    assert (tmp_path / "precious").read_text() == "data"
