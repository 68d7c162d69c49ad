"""Demonstrate one package in four architectures with equal answers, on the flights that left New York in 2013."""

from fourfold.demo.run import Demo, run

__all__ = ["Demo", "run"]
