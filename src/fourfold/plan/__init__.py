"""Compile models to plans: flat arrays, computed by one evaluator, the same everywhere.

    format.py     the numbers of the format (docs/spec/plan.md)
    graph/        a plan while it is built: steps that use each other's values, laid out at the end
    compile/      from a fitted model to a graph; rules/ says what each estimator does to columns
    evaluator/    computes a plan: one C99 file, the same in the wheel, on a device and in a browser

Making a plan needs NumPy; answering with one needs nothing.
"""
