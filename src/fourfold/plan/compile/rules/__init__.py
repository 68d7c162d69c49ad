"""Rules: what fitted estimators do to columns, one module for each of scikit-learn's and one for each booster."""
