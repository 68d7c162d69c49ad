"""How the wheel is built: setuptools, and a C compiler for the evaluator wherever one can be had (docs/building.md)."""
