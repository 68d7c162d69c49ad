"""Plant faults in the source one at a time, and see whether the tests notice: mutation testing from a list.

    .venv/bin/python scripts/mutants.py            plants all of them, and writes benchmarks/results/mutants.json
    .venv/bin/python scripts/mutants.py WORDS ...  plants those whose name or file has one of these words in it
    .venv/bin/python scripts/mutants.py --check    says whether every text to be changed stands in its file once

The list is tests/mutants/mutants.toml. The checkout is never touched: everything happens in a copy of its files, for
which the tests run with this environment's Python. A mutant is killed where one of its tests fails, or does not end; it
survives where all of them pass.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutants" / "mutants.toml"
RESULTS = ROOT / "benchmarks" / "results" / "mutants.json"
#: The folder in which the evaluator lies that is compiled from C.
PLAN = Path("src", "fourfold", "plan")
#: Seconds after which tests are stopped. A mutant that makes them run that long counts as killed.
TEST_TIMEOUT_S = 600
#: pytest's exit statuses where tests ran: all passed, some failed, some could not be imported.
PASSED, FAILED, INTERRUPTED = 0, 1, 2

#: The characters of a test's name that are kept: its parameters may be a whole array.
MAX_NAME_LENGTH = 200

_FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Mutant:
    """Describe a fault to plant.

    Attributes:
        name: what goes wrong for whoever uses the project, in plain words.
        file: the source file, from the project's root.
        old: a text that stands in it exactly once.
        new: what stands there instead.
        tests: the test files or folders that should notice.
        rebuild: whether the evaluator must be compiled again.
    """

    name: str
    file: str
    old: str
    new: str
    tests: list[str]
    rebuild: bool = False


@dataclass(frozen=True)
class Verdict:
    """Say what became of a mutant.

    Attributes:
        name, file: as in `Mutant`.
        verdict: `killed` or `survived`.
        killed_by: the first test that failed, or why there is none.
        seconds: how long the tests ran.
    """

    name: str
    file: str
    verdict: str
    killed_by: str | None
    seconds: float


def main() -> None:
    """Read the command line, and plant what it asks for."""
    parser = argparse.ArgumentParser(description="Plant faults in the source, and see whether the tests notice.")
    parser.add_argument("words", nargs="*", metavar="WORDS", help="part of a mutant's name or file; all, by default")
    parser.add_argument("--check", action="store_true", help="only look whether every text is there, once")
    parser.add_argument("--output", type=Path, help="where the results go; nowhere, by default, where WORDS are given")
    given = parser.parse_args()
    mutants = read_list()
    stop_at(problems(mutants))
    if given.check:
        print(f"{len(mutants)} mutants: every text stands in its file once")
        return
    chosen = [
        mutant
        for mutant in mutants
        if not given.words or any(word in mutant.name + mutant.file for word in given.words)
    ]
    if not chosen:
        sys.exit("no mutant has these words in its name or file")
    output = given.output or (None if given.words else RESULTS)
    # A shell that starts a program in the background lets it ignore Ctrl-C, and the tests that send Ctrl-C with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="fourfold-mutants-") as folder:
        verdicts = plant_all(chosen, Path(folder).resolve())
    survivors = [verdict for verdict in verdicts if verdict.verdict == "survived"]
    print(f"{len(verdicts) - len(survivors)} killed, {len(survivors)} survived")
    if output is not None:
        output.write_text(json.dumps(report(verdicts), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"wrote {output}")


def read_list() -> list[Mutant]:
    """Read the list of mutants; the program ends where an entry of it is none."""
    entries: list[dict[str, Any]] = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]
    try:
        return [Mutant(**entry) for entry in entries]
    except TypeError as error:
        sys.exit(f"{LIST}: {error}")


def problems(mutants: Sequence[Mutant]) -> list[str]:
    """List what keeps mutants from being planted, a sentence each."""
    counts = Counter(mutant.name for mutant in mutants)
    faults = [f"{name!r} is there {count} times" for name, count in counts.items() if count > 1]
    for mutant in mutants:
        path = ROOT / mutant.file
        if not path.is_file():
            faults.append(f"{mutant.name!r}: there is no file {mutant.file}")
            continue
        count = path.read_text(encoding="utf-8").count(mutant.old)
        if count != 1:
            faults.append(f"{mutant.name!r}: {mutant.file} has the text {count} times; expected 1: {mutant.old!r}")
        if mutant.old == mutant.new:
            faults.append(f"{mutant.name!r} changes nothing")
        if mutant.rebuild != (path.suffix in {".c", ".h"}):
            faults.append(f"{mutant.name!r}: only a mutant in C takes rebuild = true, and every such one")
        missing = [test for test in mutant.tests if not (ROOT / test).exists()]
        if missing or not mutant.tests:
            faults.append(f"{mutant.name!r}: there are no tests {', '.join(missing) or 'at all'}")
    return faults


def stop_at(faults: Sequence[str]) -> None:
    """End the program where there are faults."""
    if faults:
        sys.exit("\n".join(faults))


def plant_all(mutants: Sequence[Mutant], folder: Path) -> list[Verdict]:
    """Plant every mutant in a copy below the folder, once all of their tests have passed there without one."""
    copy = Copy(folder)
    copy.build_evaluator()
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    print(f"{len(tests)} test files and folders without a mutant", flush=True)
    passed = copy.run_tests(tests, patience=TEST_TIMEOUT_S * len(tests))
    if passed.killer is not None:
        sys.exit(f"without any mutant, the tests fail: {passed.killer}\n{passed.output}")
    print(f"they pass, in {passed.seconds:.0f} s", flush=True)
    verdicts = []
    for turn, mutant in enumerate(mutants, 1):
        with copy.planted(mutant, turn):
            ran = copy.run_tests(mutant.tests, patience=TEST_TIMEOUT_S)
        word = "survived" if ran.killer is None else "killed"
        verdicts.append(Verdict(mutant.name, mutant.file, word, ran.killer, round(ran.seconds, 1)))
        print(f"{word:<8}  {mutant.name}  {ran.seconds:.1f} s", flush=True)
    return verdicts


@dataclass(frozen=True)
class Ran:
    """Say how a run of tests ended.

    Attributes:
        killer: the first test that failed, or why they ended otherwise; `None` where all passed.
        seconds: how long they ran.
        output: what they printed.
    """

    killer: str | None
    seconds: float
    output: str


class Copy:
    """Hold a copy of the checkout's files, in which mutants are planted.

    Args:
        folder: an empty folder, in which the copy is made.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "copy"
        self._scratch = folder / "scratch"
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in listed.split("\0"):
            if name and (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        # Before what is installed, so that the processes that tests start import the copy as well.
        self._environment = os.environ | {"PYTHONPATH": str(self.root / "src")}
        self._environment.pop("PYTHONHOME", None)
        ask = [sys.executable, "-c", "import fourfold; print(fourfold.__file__)"]
        imported = subprocess.run(
            ask, cwd=self.root, env=self._environment, check=True, capture_output=True, text=True
        ).stdout
        if not Path(imported.strip()).is_relative_to(self.root):
            sys.exit(f"Python imports {imported.strip()} and not the copy at {self.root}")

    def build_evaluator(self) -> None:
        """Compile the evaluator in place; the program ends where that fails."""
        command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
        finished = subprocess.run(
            command, cwd=self.root, env=self._environment, check=False, capture_output=True, text=True
        )
        if finished.returncode:
            sys.exit(f"the evaluator cannot be compiled:\n{finished.stdout}{finished.stderr}")

    @contextmanager
    def planted(self, mutant: Mutant, turn: int) -> Iterator[None]:
        """Keep a mutant in the copy for as long as the block runs.

        Args:
            mutant: the mutant.
            turn: its number, another for each.
        """
        path = self.root / mutant.file
        original, status = path.read_bytes(), path.stat()
        compiled = (
            {library: library.read_bytes() for library in (self.root / PLAN).glob("*.so")} if mutant.rebuild else {}
        )
        # Python tells by the time in seconds, and the size, whether what it has cached is still of this file.
        changed = original.decode().replace(mutant.old, mutant.new).encode()
        _write(path, changed, (status.st_atime_ns, status.st_mtime_ns + turn * 10**9))
        try:
            if mutant.rebuild:
                self.build_evaluator()
            yield
        finally:
            _write(path, original, (status.st_atime_ns, status.st_mtime_ns))
            for library, data in compiled.items():
                library.unlink()  # a process that still has it loaded keeps it
                library.write_bytes(data)

    def run_tests(self, tests: Sequence[str], *, patience: float) -> Ran:
        """Run tests in the copy, up to the first that fails, the same way each time."""
        shutil.rmtree(self.root / ".hypothesis", ignore_errors=True)  # it remembers what failed for another mutant
        options = ["-x", "-q", "-p", "no:cacheprovider", "-n", "0", "--hypothesis-seed=0", "--color=no"]
        command = [sys.executable, "-m", "pytest", *options, f"--basetemp={self._scratch}", *tests]
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # what tests have started is ended with them
        )
        try:
            output, _ = process.communicate(timeout=patience)
            killer = _killer(process.returncode, output)
        except subprocess.TimeoutExpired:
            output, killer = "", f"no end after {patience:.0f} s"
        finally:
            _end(process)
        return Ran(killer, time.monotonic() - started, output)


def _write(path: Path, data: bytes, times: tuple[int, int]) -> None:
    path.write_bytes(data)
    os.utime(path, ns=times)


def _killer(status: int, output: str) -> str | None:
    """Return the first test that failed, or how the process ended; `None` where all passed."""
    if status == PASSED:
        return None
    if status < 0:
        return f"the tests' process crashed: {signal.Signals(-status).name}"
    if status not in (FAILED, INTERRUPTED):
        sys.exit(f"pytest ended with status {status}:\n{output}")
    failure = _FAILURE.search(output)
    if failure is None:
        sys.exit(f"pytest ended with status {status} and names no test:\n{output}")
    return failure[1] if len(failure[1]) <= MAX_NAME_LENGTH else failure[1][: MAX_NAME_LENGTH - 1] + "…"


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and those that it has started."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def report(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return the results as JSON values: their commit and date, and a row for each mutant."""
    describe = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    commit = subprocess.run(describe, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "killed": sum(verdict.verdict == "killed" for verdict in verdicts),
        "survived": sum(verdict.verdict == "survived" for verdict in verdicts),
        "seconds": round(sum(verdict.seconds for verdict in verdicts)),
        "mutants": [asdict(verdict) for verdict in verdicts],
    }


if __name__ == "__main__":
    main()
