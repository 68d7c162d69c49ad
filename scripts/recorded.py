"""Run a long check that is not part of CI, and write what came of it to benchmarks/results/NAME.json.

    scripts/recorded.py sweep [PYTEST OPTIONS]                 the tests marked `sweep`, in full
    scripts/recorded.py faults [--repeat N] [PYTEST OPTIONS]   the tests marked `faults`, N times
    scripts/recorded.py fuzz [--seconds N] [--seed N] [--jobs N]
                                                               hostile plans, and hostile model files of each library

The file has the date, the commit, the machine, the versions, the seconds, and what failed. The exit status is 1 if
something did.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FUZZ_SECONDS = 900
FUZZ_TARGETS = ("plan", "skops", "lightgbm", "xgboost", "catboost", "onnx")
LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "catboost", "onnxruntime", "skops", "pyarrow")


def environment() -> dict[str, Any]:
    """Return when and where this runs: date, commit (with `+` if files are changed), machine and versions."""
    commit = git("rev-parse", "--short=12", "HEAD")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit + ("+" if git("status", "--porcelain") else ""),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def git(*words: str) -> str:
    """Return what git prints; nothing outside of a repository."""
    run = subprocess.run(["git", *words], cwd=ROOT, check=False, capture_output=True, text=True)
    return run.stdout.strip()


def pytest_run(marker: str, options: list[str]) -> dict[str, Any]:
    """Run the tests of a marker, and return how many passed and the names of those that did not."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-m", "pytest", "-n", "2", "-m", marker, f"--junitxml={report}", *options]
        status = subprocess.run([sys.executable, *words], cwd=ROOT, check=False).returncode
        cases = list(ET.parse(report).iter("testcase")) if report.exists() else []
    failed = [f"{case.get('classname')}::{case.get('name')}" for case in cases if len(case)]
    if status and not failed:
        failed = [f"pytest ended with status {status}"]
    return {"passed": sum(not len(case) for case in cases), "failed": failed}


def sweep(options: list[str]) -> dict[str, Any]:
    """Run every sweep once."""
    return pytest_run("sweep", options)


def faults(options: list[str]) -> dict[str, Any]:
    """Run the tests that kill and crash as often as `--repeat` says."""
    repeat = 1
    if options[:1] == ["--repeat"]:
        repeat, options = int(options[1]), options[2:]
    runs = [pytest_run("faults", options) for _ in range(repeat)]
    failed = [name for run in runs for name in run["failed"]]
    return {"repeat": repeat, "passed": sum(run["passed"] for run in runs), "failed": failed}


def fuzz(options: list[str]) -> dict[str, Any]:
    """Feed hostile plans to the evaluator, and changed model files of each library to what reads them.

    `--seconds` is the time of each: of libFuzzer, and of each library's files. `--jobs` run at the same time.
    """
    parser = argparse.ArgumentParser(prog="scripts/recorded.py fuzz", description=fuzz.__doc__)
    parser.add_argument("--seconds", type=int, default=FUZZ_SECONDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(options)
    words = ["--seconds", str(chosen.seconds), "--seed", str(chosen.seed)]
    with tempfile.TemporaryDirectory() as folder:

        def run(target: str) -> int:
            report = ["--report", str(Path(folder) / target)]
            module = ["tests.plan.fuzz"] if target == "plan" else ["tests.fuzz", target, *report]
            return subprocess.run([sys.executable, "-m", *module, *words], cwd=ROOT, check=False).returncode

        with ThreadPoolExecutor(chosen.jobs) as pool:
            statuses = dict(zip(FUZZ_TARGETS, pool.map(run, FUZZ_TARGETS), strict=True))
        files: dict[str, Any] = {}
        for path in sorted(Path(folder).iterdir()):
            files |= json.loads(path.read_text(encoding="utf-8"))
    failed = [f"{target} ended with status {status}" for target, status in statuses.items() if status]
    return {"seconds_each": chosen.seconds, "seed": chosen.seed, "files": files, "failed": failed}


def main(words: list[str]) -> None:
    """Do what the first word says, and record it."""
    checks = {"sweep": sweep, "faults": faults, "fuzz": fuzz}
    if not words or words[0] not in checks:
        sys.exit(__doc__)
    begun = time.monotonic()
    report = {"environment": environment()} | checks[words[0]](words[1:])
    report["seconds"] = round(time.monotonic() - begun)
    path = RESULTS / f"{words[0]}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")
    sys.exit(1 if report["failed"] else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
