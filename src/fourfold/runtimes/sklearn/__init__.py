"""Run scikit-learn's estimators: `runtime` is the runtime's module, the others are its parts.

Nothing is imported here, since `estimator_file` also works where scikit-learn is not installed.
"""
