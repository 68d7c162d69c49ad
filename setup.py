"""Define what pyproject.toml cannot: the extension module of the evaluator, in C, for every Python from 3.11 on."""

from setuptools import Extension, setup

from build_backend.extension import BuildExtension

EVALUATOR = "src/fourfold/plan/evaluator"

setup(
    ext_modules=[
        Extension(
            "fourfold.plan._evaluator",
            sources=[f"{EVALUATOR}/module.c", f"{EVALUATOR}/evaluator.c"],
            depends=[f"{EVALUATOR}/evaluator.h", f"{EVALUATOR}/stable_abi.h"],
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
