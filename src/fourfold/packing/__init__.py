"""Pack models: make packages, which no architecture ever does (docs/packing.md).

Nothing is imported here: the process that measures an engine must import no more than a process that serves it.
"""
