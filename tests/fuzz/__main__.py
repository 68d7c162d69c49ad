"""Try changed model files: python -m tests.fuzz [TARGET …] --seconds 900

Print a table of what came of them, and exit with 1 if a file does harm; such files are kept in the environment's folder
`fuzz`. `python -m tests.fuzz TARGET --seed S --only N` tries one again, in this process, so that a debugger can watch.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from tests.fuzz.harness import Report, Target, attempt, mutant, prepared, print_findings, table, tried

#: The module of each target in this folder.
TARGETS = {
    "skops": "skops_mutants",
    "lightgbm": "lightgbm_mutants",
    "xgboost": "xgboost_mutants",
    "catboost": "catboost_mutants",
    "onnx": "onnx_mutants",
}
KEPT = Path(sys.prefix) / "fuzz"


def target_of(name: str) -> Target:
    """Import and return a target."""
    target: Target = import_module(f"tests.fuzz.{TARGETS[name]}").TARGET
    return target


def main() -> None:
    """Try mutants of each target that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"all by default: {', '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float, default=900, help="how long each target runs")
    parser.add_argument("--mutants", type=int, default=10**9, help="the most mutants of each target")
    parser.add_argument("--seed", type=int, default=0, help="of the changes")
    parser.add_argument("--only", type=int, help="the number of the one mutant to try again")
    parser.add_argument("--report", type=Path, help="a file for the counts and the findings, in JSON")
    options = parser.parse_args()
    names = options.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"expected targets of {', '.join(TARGETS)}; got {', '.join(unknown)}")
    if options.only is not None:
        target = target_of(names[0])
        kind, changed = mutant(target, prepared(target), options.seed, options.only)
        KEPT.mkdir(exist_ok=True)
        (KEPT / f"last-{target.name}").write_bytes(target.data(changed))
        print(kind, "is tried", flush=True)
        print(*attempt(target, changed))
        return
    reports: dict[str, Report] = {}
    for name in names:
        target = target_of(name)
        print(f"{name}: changed files for {options.seconds:g} seconds", flush=True)
        reports[name] = tried(
            target, prepared(target), seed=options.seed, mutants=options.mutants, seconds=options.seconds, keep=KEPT
        )
        print_findings(name, reports[name], options.seed)
    print(table(reports))
    if options.report:
        outcomes = {
            name: {
                "tried": {kind: dict(row) for kind, row in report.counts.items()},
                "findings": [finding._asdict() for finding in report.findings],
            }
            for name, report in reports.items()
        }
        options.report.write_text(json.dumps(outcomes), encoding="utf-8")
    if found := sum(len(report.findings) for report in reports.values()):
        sys.exit(f"{found} files do harm; they are kept in {KEPT}")
    print("nothing found")


if __name__ == "__main__":
    main()
