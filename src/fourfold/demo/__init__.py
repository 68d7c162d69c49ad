"""The demonstration: one package, four architectures, one answer, on the flights that left New York in 2013."""

from fourfold.demo.run import Demo, run

__all__ = ["Demo", "run"]
