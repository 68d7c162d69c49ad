"""Feeds the evaluator hostile plans: `make fuzz`, or python -m tests.plan.fuzz --seconds 60."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.plan.fuzz.running import CORPUS, Found, built, fuzz, run_mutants


def main() -> None:
    """Runs mutants of good plans, then libFuzzer."""
    parser = argparse.ArgumentParser(prog="python -m tests.plan.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=600, help="how long libFuzzer runs")
    parser.add_argument("--mutants", type=int, default=100_000, help="how many changed plans are tried before")
    parser.add_argument("--seed", type=int, default=0, help="of the changes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fourfold-fuzz-") as folder:
        program = built(Path(folder))
        print(f"{asked.mutants:,} changed plans", flush=True)
        run_mutants(program, Path(folder), asked.mutants, asked.seed)
        print(f"libFuzzer for {asked.seconds} seconds; what it learns is kept in {CORPUS}", flush=True)
        fuzz(program, CORPUS, asked.seconds, quiet=False)
    print("nothing found")


if __name__ == "__main__":
    try:
        main()
    except (Found, KeyboardInterrupt) as why:
        sys.exit(str(why) or "stopped")
