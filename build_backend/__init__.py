"""Build the wheel with setuptools and a C compiler, the machine's own or one from a wheel (docs/building.md)."""
