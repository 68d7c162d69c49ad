"""Packing: the act of making a package, which no architecture ever needs (docs/packing.md).

Nothing is imported here: the process that measures an engine holds what a process that serves it would.
"""
