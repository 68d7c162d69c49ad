"""Check where the parts of a skops file stand, before any of them is built.

scikit-learn calls methods of what an estimator holds, some by names that the estimator holds too, and functions with
arguments that it holds. Types alone do not make this harmless: an array has methods that write files. So here the
members of a composite are estimators, the names of methods are those that scikit-learn gives, functions stand where
estimators call functions and take numbers only, and boosters stand in their own estimators.
"""

from __future__ import annotations

import re

import numpy as np

from fourfold.errors import CorruptPackage, TrustError, describe, shorten
from fourfold.runtimes.sklearn.methods import METHODS
from fourfold.runtimes.sklearn.skops_schema import Part
from fourfold.runtimes.sklearn.skops_types import COMPILED, NUMPY_FUNCTIONS, attribute, defined_class, is_estimator

__all__ = ["check"]

#: Attributes that hold estimators: one, a list, an array or a dict of them, or tuples of a name, one and columns.
_MEMBERS = frozenset(
    {
        "_centerer",
        "_encoder",
        "_estimator",
        "_label_binarizer",
        "_label_encoder",
        "_le",
        "_preprocessor",
        "_remainder",
        "_scaler",
        "_tfidf",
        "base_estimator",
        "base_estimator_",
        "best_estimator_",
        "calibrated_classifiers_",
        "calibrators",
        "estimator",
        "estimator_",
        "estimators",
        "estimators_",
        "final_estimator",
        "final_estimator_",
        "imputation_sequence_",
        "init_",
        "initial_imputer_",
        "kernel_pca_",
        "label_binarizer_",
        "le_",
        "named_estimators_",
        "nbrs_",
        "nn_fit",
        "one_hot_encoder_",
        "regressor",
        "regressor_",
        "remainder",
        "steps",
        "transformer",
        "transformer_",
        "transformer_list",
        "transformers",
        "transformers_",
    }
)
#: What may stand in the place of an estimator.
_WORDS = frozenset({"passthrough", "drop", "zero", "deprecated", "warn", None})
#: How deep members may stand in lists.
_MAX_MEMBER_DEPTH = 4
#: Attributes that name methods, which scikit-learn looks up by these names.
_METHOD_NAMES = frozenset(
    ["chain_method", "chain_method_", "response_method", "_response_method", "stack_method", "stack_method_"]
)
#: Attributes that hold functions, and the functions beside those of arrays that may stand there.
_FUNCTION_PLACES: dict[str, tuple[str, ...]] = {
    "_asarray": ("scipy._lib.array_api_compat.numpy._aliases.asarray",),
    "_kmeans_single": (
        "sklearn.cluster._kmeans._kmeans_single_elkan",
        "sklearn.cluster._kmeans._kmeans_single_lloyd",
    ),
    "func": ("sklearn.utils.validation.check_array",),
    "inverse_func": ("sklearn.utils.validation.check_array",),
    "pooling_func": (),
    "weights": (),
    "score_func": (
        *(f"sklearn.feature_selection._univariate_selection.{name}" for name in ("chi2", "f_classif", "f_regression")),
        "sklearn.feature_selection._univariate_selection.r_regression",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
    ),
}
#: Attributes that only record what was searched: nothing in them is called.
_RECORDS = frozenset({"best_params_", "cv_results_", "param_distributions", "param_grid", "_checked_cv_orig"})
_REDUCTIONS = frozenset(
    [
        *("all", "amax", "amin", "any", "average", "max", "mean", "median", "min", "nanmax", "nanmean", "nanmedian"),
        *("nanmin", "ptp", "std", "sum", "var"),
    ]
)
_TABLE_ARGUMENTS = {
    "clip": ("a_max", "a_min", "max", "min"),
    "round": ("decimals",),
    "around": ("decimals",),
    "nan_to_num": ("copy", "nan", "neginf", "posinf"),
    "diff": ("append", "axis", "n", "prepend"),
    "cumsum": ("axis", "dtype"),
    "cumprod": ("axis", "dtype"),
    "flip": ("axis",),
    "where": ("x", "y"),
    "average": ("axis", "keepdims", "weights"),
    "std": ("axis", "correction", "ddof", "dtype", "keepdims"),
    "var": ("axis", "correction", "ddof", "dtype", "keepdims"),
}
_CHECK_ARGUMENTS = (
    *("accept_large_sparse", "accept_sparse", "allow_nd", "copy", "dtype", "ensure_2d", "ensure_all_finite"),
    *(
        "ensure_min_features",
        "ensure_min_samples",
        "ensure_non_negative",
        "force_all_finite",
        "force_writeable",
        "order",
    ),
)
_NUMERIC_DTYPES = re.compile(r"numeric|bool|[<>=|]?[biufc]\d{0,2}|u?int\d{0,2}|float\d{0,3}|complex\d{0,3}")
_MAX_DIFFERENCES = 100
_MAX_POOL = 4096
_VERSION = re.compile(r"[\w.+!-]{1,64}", re.ASCII)
#: The most classes that a booster's parameters may name: LightGBM takes memory for each of them.
_MAX_CLASSES = 100_000
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_BOOSTERS = {"lightgbm.basic.Booster": "lightgbm.sklearn", "xgboost.core.Booster": "xgboost.sklearn"}


def check(root: Part) -> None:
    """Check the places of all parts.

    Raises:
        TrustError: a part stands where no fitted model has it; the message names the class and its attribute.
        CorruptPackage: a part is none.
    """
    try:
        # It reads a file where it is given a text instead of an array.
        has_xgboost = any(part.module == "xgboost.sklearn" for part in root.walk())
        for part in root.walk():
            _check_keys(part)
            if part.loader == "ObjectNode":
                _check_state(part)
                _check_object(part, has_xgboost)
            elif part.loader == "LossNode":
                arguments = dict(part.items)["args"]
                is_plain = arguments.loader == "TupleNode" and all(_is_numeric(item) for item in arguments.elements)
                _require(is_plain, f"{_words(part.name)} is made of what is no number")
            elif part.loader == "RandomGeneratorNode":
                size = part.entries["seed_seq"].entries.get("pool_size")
                _require(
                    size is None or size.value() in range(1, _MAX_POOL), "a random generator has a pool without end"
                )
            elif part.loader == "DefaultDictNode":
                factory = part.entries["default_factory"]
                _require(factory.loader == "TypeNode" or _is_none(factory), "a defaultdict calls no type")
        _check_places(root)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CorruptPackage(f"the skops file holds a part that cannot be read: {describe(error)}") from error


def _require(holds: bool, problem: str) -> None:
    """Raise `TrustError` where a condition does not hold."""
    if not holds:
        raise TrustError(f"the skops file holds its parts as no fitted model does: {problem}")


def _words(name: str) -> str:
    """Return a name of the file as it is, or shortened and quoted where it is no name."""
    return name if name.isidentifier() and len(name) < 80 else shorten(name)


def _check_keys(part: Part) -> None:
    """Check that the keys of a dict are of types that make keys of texts."""
    if part.loader == "DictNode":
        types = part.items[0][1]
        _require(
            types.loader == "ListNode"
            and all(item.loader == "TypeNode" for item in types.elements)
            and len(types.elements) == len(part.items) - 1,
            "a dict has keys without types",
        )


def _check_state(part: Part) -> None:
    """Check that the state of an object is a dict of its attributes, so that each of them is looked at."""
    content = dict(part.items).get("content")
    if content is not None and part.path not in COMPILED and not _is_none(content):
        keys = content.items[0][1].elements if content.loader == "DictNode" else []
        _require(
            content.path == "builtins.dict"
            and content.loader == "DictNode"
            and all(key.path == "builtins.str" for key in keys),
            f"{_words(part.name)} has a state that is no dict of attributes",
        )


def _check_object(part: Part, has_xgboost: bool) -> None:
    cls = defined_class(part.module, part.name)
    state = part.state
    where = part.name
    for name, value in state.items():
        spot = f"{where}.{_words(name)}"
        _require(not (name.startswith("__") and name.endswith("__")), f"{spot} is an attribute of Python's own")
        own = getattr(cls, name, None)
        _require(not callable(own) and not hasattr(own, "__get__"), f"{spot} stands in the place of a method")
        if name in _MEMBERS and not (name == "estimator" and part.name == "_MultimetricScorer"):
            _check_member(value, spot, _MAX_MEMBER_DEPTH)
        elif name in _METHOD_NAMES:
            _check_method_names(value, spot)
        elif name == "importance_getter":
            getter = value.value() if value.loader == "JsonNode" else ""
            _require(
                isinstance(getter, str) and bool(_DOTTED_NAME.fullmatch(getter)) and "__" not in getter,
                f"{spot} names no attribute",
            )
        elif name == "_sklearn_version":
            version = value.value() if value.loader == "JsonNode" else ""
            # scikit-learn prints it in a warning.
            _require(isinstance(version, str) and bool(_VERSION.fullmatch(version)), f"{spot} is no version")
        elif name == "input" and is_estimator(part) and hasattr(cls, "build_analyzer"):
            _require(value.loader == "JsonNode" and value.value() == "content", f"{spot} opens files of this host")
    if part.module in ("lightgbm.sklearn", "xgboost.sklearn"):
        for name in ("_other_params", "kwargs"):
            _check_parameters(state[name].entries if name in state else {}, where)
        _check_parameters(state, where)
    if part.path == "sklearn.preprocessing._function_transformer.FunctionTransformer":
        for function, arguments in (("func", "kw_args"), ("inverse_func", "inv_kw_args")):
            if function in state:
                _check_call(state[function], state.get(arguments), f"{where}.{function}", has_xgboost)


def _check_parameters(parameters: dict[str, Part], where: str) -> None:
    """Check the parameters of a booster's estimator, which its library prints, and takes memory for."""
    for name, value in parameters.items():
        plain = value.value() if value.loader == "JsonNode" else None
        is_printable = name.isprintable() and (not isinstance(plain, str) or plain.isprintable())
        _require(is_printable, f"{where}.{_words(name)} has characters that are not printable")
        if name in ("num_class", "num_classes") and isinstance(plain, (int, float)):
            _require(0 <= plain <= _MAX_CLASSES, f"{where}.{name} is more than {_MAX_CLASSES:,}")


def _is_none(part: Part | None) -> bool:
    return part is None or (part.loader == "JsonNode" and part.value() is None)


def _check_member(part: Part, spot: str, depth: int) -> None:
    """Check that a part is an estimator, a word for none, or holds such ones."""
    if is_estimator(part) or (part.loader == "ObjectNode" and part.name == "_CalibratedClassifier"):
        return
    if part.loader == "JsonNode":
        word = part.value()
        _require(
            word is None or (isinstance(word, str) and word in _WORDS),
            f"{spot} holds a {type(word).__name__} as a step",
        )
        return
    _require(depth > 0, f"{spot} holds lists in lists")
    is_array = part.loader == "NdArrayNode" and part.node["type"] == "json"
    if part.loader == "DictNode":
        for member in part.entries.values():
            _check_member(member, spot, depth - 1)
    elif part.loader == "TupleNode" and part.name == "_ImputerTriplet":
        _require(len(part.elements) == 3 and is_estimator(part.elements[2]), f"{spot} holds no estimator")
        _require(all(_is_numeric(item) for item in part.elements[:2]), f"{spot} holds no columns")
    elif part.loader == "TupleNode" and _is_text(part.elements[:1]):
        _require(len(part.elements) in (2, 3), f"{spot} holds no pairs of a name and an estimator")
        _check_member(part.elements[1], spot, depth - 1)
        for columns in part.elements[2:]:
            _check_columns(columns, spot)
    elif part.loader in ("ListNode", "TupleNode") or is_array:
        for member in part.elements:
            _check_member(member, spot, depth - 1)
    else:
        _require(False, f"{spot} holds a {_words(part.name)} as a step")


def _is_text(parts: list[Part]) -> bool:
    return len(parts) == 1 and parts[0].loader == "JsonNode" and isinstance(parts[0].value(), str)


def _check_columns(part: Part, spot: str) -> None:
    """Check that columns are names, numbers, masks or slices, or a selector that fitting has used."""
    for item in part.walk():
        is_selector = item.path.startswith("sklearn.compose._column_transformer.")
        _require(
            item.loader in ("DictNode", "JsonNode", "ListNode", "NdArrayNode", "SliceNode", "TupleNode", "TypeNode")
            or (item.loader == "ObjectNode" and is_selector),
            f"{spot} selects columns with a {_words(item.name)}",
        )


def _check_method_names(part: Part, spot: str) -> None:
    """Check that a part names methods of estimators, or is a list of such names."""
    if part.loader in ("ListNode", "TupleNode"):
        for item in part.elements:
            _check_method_names(item, spot)
        return
    _require(part.loader == "JsonNode", f"{spot} holds a {_words(part.name)} as the name of a method")
    values = part.value() if isinstance(part.value(), list) else [part.value()]
    for value in values:
        is_known = value is None or (isinstance(value, str) and (value in METHODS or value == "auto"))
        _require(is_known, f"{spot} names the method {shorten(value)}")


def _check_places(root: Part) -> None:
    """Check that functions, calls with arguments, and boosters stand only where estimators use them."""
    _require(is_estimator(root), f"it is a {_words(root.name)} and no estimator")
    # Each entry: a part, the object and the attribute that hold it, and whether it is that attribute's own value.
    stack: list[tuple[Part, Part | None, str, bool]] = [(root, None, "", True)]
    while stack:
        part, owner, name, is_direct = stack.pop()
        spot = f"{owner.name}.{_words(name)}" if owner is not None else "the model"
        if part.loader in ("FunctionNode", "PartialNode"):
            if name not in _RECORDS:
                _require(is_direct and name in _FUNCTION_PLACES, f"{spot} holds the function {_words(part.name)}")
                _check_function(part, name, spot)
            continue
        if part.loader == "ObjectNode" and part.path in _BOOSTERS:
            is_own = owner is not None and is_direct and name == "_Booster" and owner.module == _BOOSTERS[part.path]
            _require(is_own, f"{spot} holds a booster")
        content = dict(part.items).get("content") if part.loader == "ObjectNode" else None
        if content is not None and content.loader == "DictNode":
            stack.extend((value, part, key, True) for key, value in content.entries.items())
        elif part.loader == "ObjectNode":
            stack.extend((item, part, "", False) for _, item in part.items)
        else:
            stack.extend((item, owner, name, False) for _, item in part.items)


def _check_function(part: Part, name: str, spot: str) -> None:
    """Check that a function may stand in an attribute, and the arguments that a `functools.partial` gives it."""
    function = part.entries["func"] if part.loader == "PartialNode" else part
    kind = attribute(function.module, function.name)
    is_ufunc = isinstance(kind, np.ufunc)
    # One with a signature multiplies matrices, and makes other rows of rows.
    is_of_arrays = kind.signature is None if is_ufunc else function.module == "numpy"
    is_taken = name in ("func", "inverse_func", "pooling_func") or (name == "weights" and is_ufunc)
    _require(
        (is_taken and is_of_arrays) or function.path in _FUNCTION_PLACES[name],
        f"{spot} holds the function {_words(function.name)}",
    )
    if part.loader == "PartialNode":
        positional = part.entries["args"]
        _require(
            _is_empty(part.entries["namespace"])
            and positional.loader == "TupleNode"
            and len(positional.elements) <= (kind.nin - 1 if is_ufunc else 0)
            and all(_is_numeric(item) for item in positional.elements),
            f"{spot} is given arguments that are no numbers",
        )
        _check_arguments(function, part.entries["kwds"], spot)


def _is_empty(part: Part) -> bool:
    return _is_none(part) or (part.loader == "DictNode" and not part.entries)


def _check_call(part: Part, arguments: Part | None, spot: str, has_xgboost: bool) -> None:
    """Check what a FunctionTransformer calls, and with which arguments."""
    if _is_none(part):
        return  # nothing is called; the arguments of nothing are any values
    if part.loader == "TypeNode":
        kind = attribute(part.module, part.name)
        is_number = isinstance(kind, type) and issubclass(kind, (np.number, np.bool_))
        _require(is_number and (arguments is None or _is_empty(arguments)), f"{spot} holds the type {part.name}")
        return
    _require(part.loader in ("FunctionNode", "PartialNode"), f"{spot} holds a {_words(part.name)} and no function")
    function = part.entries["func"] if part.loader == "PartialNode" else part
    if arguments is not None and not _is_none(arguments):
        _require(arguments.loader == "DictNode", f"{spot} is given arguments in a {_words(arguments.name)}")
        _check_arguments(function, arguments, spot)
    given = {**(part.entries["kwds"].entries if part.loader == "PartialNode" else {})}
    given |= arguments.entries if arguments is not None and arguments.loader == "DictNode" else {}
    if function.module == "numpy" and function.name in _REDUCTIONS:
        # Over all rows it would make one value of them, which may be a text of a request.
        # From the end it is one again where a step before it has left one value for each row.
        is_kept = "keepdims" in given and given["keepdims"].value() is True
        axes = (1, [1]) if has_xgboost and not is_kept else (1, -1, [1], [-1])
        is_by_row = "axis" in given and given["axis"].value() in axes
        _require(is_by_row, f"{spot} makes one value of all rows with {function.name}")


def _check_arguments(function: Part, arguments: Part, spot: str) -> None:
    """Check the keyword arguments of a function: those that make no other value of numbers than numbers."""
    _require(arguments.loader == "DictNode", f"{spot} is given arguments in a {_words(arguments.name)}")
    if function.path in _FUNCTION_PLACES["score_func"]:
        for item in arguments.walk():  # it is called in fitting only
            _require(item.loader not in ("ObjectNode", "FunctionNode", "PartialNode"), f"{spot} is given an object")
        return
    for key, value in arguments.entries.items():
        words = f"{spot} calls {function.name} with {_words(key)}"
        _require(key in _known_arguments(function), words)
        if key == "dtype":
            _require(_is_numeric_dtype(value), f"{words} of no number")
        elif function.name == "check_array":
            _require(value.loader == "JsonNode", words)
        elif key == "axis":
            _require(value.value() in (1, -1, [1], [-1]), f"{words} of other than the columns")
        else:
            _require(_is_numeric(value), f"{words} that is no number")
        if key == "n":
            _require(0 <= value.value() <= _MAX_DIFFERENCES, f"{words} of more than {_MAX_DIFFERENCES}")


def _known_arguments(function: Part) -> tuple[str, ...]:
    if function.path == "sklearn.utils.validation.check_array":
        return _CHECK_ARGUMENTS
    if isinstance(attribute(function.module, function.name), np.ufunc):
        return ("dtype",)
    if function.module != "numpy" or function.name not in NUMPY_FUNCTIONS:
        return ()
    if function.name in _TABLE_ARGUMENTS:
        return _TABLE_ARGUMENTS[function.name]
    return ("axis", "dtype", "keepdims") if function.name in _REDUCTIONS else ()


def _is_numeric(part: Part) -> bool:
    """Return whether a part is a number, a truth value, none, or an array or list of numbers."""
    if part.loader == "JsonNode":
        values = [part.value()]
        while values:
            value = values.pop()
            if isinstance(value, list):
                values.extend(value)
            elif isinstance(value, int):
                if not -(2**63) <= value < 2**64:
                    return False
            elif value is not None and not isinstance(value, float):
                return False
        return True
    if part.loader == "NdArrayNode" and part.node["type"] == "numpy":
        kind = attribute(part.module, part.name)
        return kind is np.ndarray or (isinstance(kind, type) and issubclass(kind, (np.number, np.bool_)))
    return part.loader in ("ListNode", "TupleNode") and all(_is_numeric(item) for item in part.elements)


def _is_numeric_dtype(part: Part) -> bool:
    if part.loader == "TypeNode":
        kind = attribute(part.module, part.name)
        return kind in (bool, int, float, complex) or (
            isinstance(kind, type) and issubclass(kind, (np.number, np.bool_))
        )
    if part.loader in ("ListNode", "TupleNode"):
        return all(_is_numeric_dtype(item) for item in part.elements)
    if part.loader == "JsonNode":
        word = part.value()
        return word is None or (isinstance(word, str) and bool(_NUMERIC_DTYPES.fullmatch(word)))
    return part.loader == "DTypeNode"
