"""Hold the rules: how each fitted estimator is compiled, one module for each of scikit-learn's and for each booster.

A rule is a function of the estimator, its input columns and the compiler. It adds steps to the compiler's graph and
returns the columns or labels of one method (`fourfold.plan.compile`). Its docstring names the method that it reproduces
and the formula or the source. "Exact" means the original's bits; where a BLAS, a libm or the processor decides the last
bits, the rule says so by `compiler.approximate`.
"""
