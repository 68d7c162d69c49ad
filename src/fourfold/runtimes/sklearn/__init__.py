"""The runtime of scikit-learn's estimators: `runtime`, and what it needs to know of estimators and of their files.

Nothing is imported here: files of estimators are also looked at where scikit-learn is not installed.
"""
