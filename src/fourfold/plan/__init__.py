"""Plans: a model with its transforms as flat arrays, and `evaluator.c`, which computes them everywhere.

    format.py     the numbers of the format (docs/spec/plan.md)
    graph.py      a plan while it is made: steps that use each other's values
    steps.py      values and steps, and how they are laid out at the end
    origins.py    what values are made of, and whether a library decides their last bits
    forest.py     trees; reading.py and letters.py: how texts are read
    columns.py    what a model sees while its plan is made: columns without values
    compile/      rules: what each estimator does to columns
    evaluator.c   computes a plan: one C99 file, the same in the wheel, on a device and in a browser
    module.c      the evaluator in Python

Making a plan needs NumPy; answering with one needs nothing.
"""
