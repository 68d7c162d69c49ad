"""Measures what the greediest plans cost that are still opened: python -m tests.plan.greedy --size 300000."""

from __future__ import annotations

import argparse
import time

from fourfold.plan._evaluator import Evaluator
from fourfold.plan.format import read_ports
from tests.plan.hostile_plans import BUILDERS
from tests.plan.test_budget import FIELDS

ROW = {"s": "\u03a3a b\u00c0 " * 200, "x": 1e308}


def measured(kind: str, size: int) -> str:
    """What the largest plan of a kind that is opened, up to a size, costs to open and for a row, for each megabyte."""
    refusal = ""
    while size > 100:
        plan = BUILDERS[kind](size)
        started = time.perf_counter()
        try:
            read_ports(plan)
            evaluator = Evaluator(plan, FIELDS)
        except ValueError as error:
            refusal = f"; more: {error}"
            size = size * 2 // 3
            continue
        opened = time.perf_counter()
        evaluator.one(ROW)
        ended = time.perf_counter()
        megabytes = len(plan) / 1e6
        facts = evaluator.facts()
        return (
            f"{len(plan):>9,} bytes   open {(opened - started) / megabytes:7.3f} s/MB   "
            f"row {(ended - opened) / megabytes:7.3f} s/MB   memory {facts['memory'] / len(plan):6.1f} times{refusal}"
        )
    return "refused at every size" + refusal


def main() -> None:
    """Measures each kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.plan.greedy", description=__doc__)
    parser.add_argument("--size", type=int, default=300_000, help="of the plans, in bytes")
    size = parser.parse_args().size
    for kind in BUILDERS:
        print(f"{kind:20} {measured(kind, size)}", flush=True)


if __name__ == "__main__":
    main()
