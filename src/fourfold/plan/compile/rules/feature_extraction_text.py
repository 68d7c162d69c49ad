"""Compile scikit-learn's vectorizers of texts (`sklearn.feature_extraction.text`).

A vectorizer gives a sparse matrix that may have a million columns, so its columns are those of a `Bag`: the n-grams of
a row alone are stored. Counts, hashes and weights have the original's bits; only `sublinear_tf` depends on NumPy's log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import transforms
from fourfold.plan.compile.bags import normalize_bags, round_bag
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Text, runs
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Bag
from fourfold.plan.graph.text_reading import MAX_NGRAM_LENGTH, Analyzer, Reading
from fourfold.plan.graph.unicode_tables import folding, matching, spaces

__all__: list[str] = []

#: The most columns of a HashingVectorizer.
_MAX_HASH_COLUMNS = 1 << 26
_DTYPES = ("int64", "int32", "float64", "float32")
_ANALYZERS = {"word": Analyzer.WORDS, "char": Analyzer.CHARACTERS, "char_wb": Analyzer.WITHIN_WORDS}


# Vectorizers.


@transforms("sklearn.CountVectorizer")
def count_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `CountVectorizer.transform`: how often a text has each n-gram of the vocabulary."""
    bag, dtype = _counts(model, matrix, compiler)
    return Matrix(compiler.bag_columns(bag, dtype, finite=True), sparse=True)


@transforms("sklearn.TfidfVectorizer")
def tfidf_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `TfidfVectorizer.transform`: the counts after its `TfidfTransformer`."""
    bag, dtype = _counts(model, matrix, compiler)
    transformer = vars(model)["_tfidf"]
    weighted, dtype = _weight_counts(transformer, [bag], dtype, compiler)
    finite = bool(np.isfinite(getattr(transformer, "idf_", 1.0)).all())
    return Matrix(compiler.bag_columns(weighted[0], dtype, finite=finite), sparse=True)


@transforms("sklearn.HashingVectorizer")
def hashing_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `HashingVectorizer.transform`: counts in the columns that n-grams are hashed to, then normalised rows.

    The hash is MurmurHash3 with 32 bits (`_hashing_fast.transform`); `alternate_sign` counts by 1 or -1.

    Raises:
        NoPlan: there are too many columns, or the vectorizer reads in a way that no plan can repeat.
    """
    if model.n_features > _MAX_HASH_COLUMNS:
        raise NoPlan(f"a HashingVectorizer has {model.n_features} features, more than {_MAX_HASH_COLUMNS}")
    column = _text_column(matrix)
    dtype = _count_dtype(model)
    reading = _read_settings(
        model, column, columns=int(model.n_features), signed=bool(model.alternate_sign), binary=bool(model.binary)
    )
    bag = round_bag(compiler.graph.bag(column.index, reading), dtype, compiler)
    if model.norm is not None:
        dtype = _float_dtype(dtype)
        bag = normalize_bags([bag], str(model.norm), dtype, compiler)[0]
    return Matrix(compiler.bag_columns(bag, dtype, finite=True), sparse=True)


@transforms("sklearn.TfidfTransformer")
def tfidf_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Return `TfidfTransformer.transform` of counts.

    Raises:
        NoPlan: the columns are not those of a vectorizer.
    """
    blocks = runs(matrix.columns)
    if sum(stop - start for start, stop in blocks) != len(matrix):
        raise NoPlan("a TfidfTransformer weighs columns that are no counts of a vectorizer")
    bags = [compiler.bag(matrix.columns[start:stop]) for start, stop in blocks]
    weighted, dtype = _weight_counts(model, bags, matrix.dtype, compiler)
    columns = [column for bag in weighted for column in compiler.bag_columns(bag, dtype, finite=False)]
    return Matrix(tuple(columns), sparse=True)


@transforms("sklearn.FeatureHasher", "sklearn.DictVectorizer")
def refuse_dicts(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Refuse transformers of dicts or lists of texts: such rows are no columns of a table."""
    raise NoPlan(f"a {type(model).__name__} takes dicts or lists, which no field of a signature holds")


def _counts(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[Bag, np.dtype[Any]]:
    """Return the counts of a vectorizer with a vocabulary, and their dtype."""
    column = _text_column(matrix)
    dtype = _count_dtype(model)
    reading = _read_settings(model, column, terms=_vocabulary(model), binary=bool(model.binary))
    return round_bag(compiler.graph.bag(column.index, reading), dtype, compiler), dtype


# Weights.


def _weight_counts(
    model: Any, bags: Sequence[Bag], dtype: np.dtype[Any], compiler: Compiler
) -> tuple[list[Bag], np.dtype[Any]]:
    """Return what a `TfidfTransformer` makes of counts in adjacent bags, and the dtype.

    In this order: `log(count) + 1` if `sublinear_tf`, times `idf_`, divided by the row's norm. Each step is rounded to
    float32 where the counts are float32.

    Raises:
        NoPlan: there is another number of weights than of columns.
    """
    graph = compiler.graph
    dtype = _float_dtype(dtype)
    weighted = list(bags)
    if model.sublinear_tf:
        compiler.approximate("NumPy's logarithm of a TfidfTransformer")
        weighted = [round_bag(graph.bag_map(MathFunction.LOG, bag), dtype, compiler) for bag in weighted]
        weighted = [round_bag(graph.bag_const(MathFunction.ADD, bag, 1.0), dtype, compiler) for bag in weighted]
    if hasattr(model, "idf_"):
        idf = np.asarray(model.idf_, dtype=np.float64)
        edges = np.cumsum([0, *(bag.width for bag in weighted)])
        if len(idf) != edges[-1]:
            raise NoPlan(f"a TfidfTransformer has {len(idf)} weights for {edges[-1]} columns")
        weighted = [
            round_bag(graph.bag_const(MathFunction.MUL, bag, idf[start:stop]), dtype, compiler)
            for bag, start, stop in zip(weighted, edges[:-1], edges[1:], strict=True)
        ]
    return (weighted if model.norm is None else normalize_bags(weighted, str(model.norm), dtype, compiler)), dtype


def _float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that `check_array(dtype=[numpy.float64, numpy.float32])` gives."""
    return FLOAT32 if dtype == FLOAT32 else FLOAT64


# How a vectorizer reads texts.


def _text_column(matrix: Matrix) -> Text:
    """Return the one column of texts that a vectorizer takes; raises `NoPlan` where it is something else."""
    column = matrix.columns[0] if len(matrix) == 1 else None
    if not isinstance(column, Text):
        raise NoPlan("a vectorizer takes something else than one column of texts")
    if column.categories is not None or column.replaced:
        raise NoPlan("a vectorizer takes a column of texts that are categories, or that an imputer changed")
    return column


def _count_dtype(model: Any) -> np.dtype[Any]:
    """Return the dtype of the counts; raises `NoPlan` where plans have none such."""
    dtype: np.dtype[Any] = np.dtype(model.dtype)
    if dtype.name not in _DTYPES:
        raise NoPlan(f"a vectorizer counts in {dtype}: plans know {', '.join(_DTYPES)}")
    return dtype


def _vocabulary(model: Any) -> tuple[str, ...]:
    """Return the terms of the vocabulary in the order of their columns.

    Raises:
        NoPlan: the vectorizer has no vocabulary, or its columns are not numbered from 0 on.
    """
    vocabulary = getattr(model, "vocabulary_", None)
    if not vocabulary:
        raise NoPlan("a vectorizer has no vocabulary yet")
    ordered = sorted(vocabulary.items(), key=lambda item: int(item[1]))
    if [int(index) for _, index in ordered] != list(range(len(ordered))):
        raise NoPlan("the columns of a vectorizer's vocabulary are not numbered from 0 on")
    return tuple(_encodable(term) for term, _ in ordered)


def _encodable(term: Any) -> str:
    """Return a term; raises `NoPlan` where it is no text, or is one that UTF-8 cannot encode."""
    if not isinstance(term, str):
        raise NoPlan(f"a vectorizer knows {term!r}, which is no text")
    try:
        term.encode()
    except UnicodeEncodeError as error:
        raise NoPlan(f"a vectorizer knows {term!r}, which no text can hold") from error
    return str(term)


def _read_settings(
    model: Any,
    column: Text,
    *,
    binary: bool,
    terms: tuple[str, ...] = (),
    columns: int = 0,
    signed: bool = False,
) -> Reading:
    """Return the settings by which the evaluator reads texts as the vectorizer does.

    Args:
        model: the vectorizer.
        column: the texts.
        binary: whether an n-gram counts once.
        terms: the vocabulary; none where n-grams are hashed.
        columns: the number of columns where n-grams are hashed.
        signed: whether a hashed n-gram counts as 1 or -1.

    Raises:
        NoPlan: a setting is Python code, reads files, or is out of range.
    """
    name = type(model).__name__
    if model.input != "content":
        raise NoPlan(f"a {name} reads files: give it their texts (input='content')")
    if callable(model.analyzer) or model.preprocessor is not None or callable(model.strip_accents):
        raise NoPlan(f"a {name} has an analyzer, preprocessor or strip_accents of its own, which are Python code")
    analyzer = _ANALYZERS[model.analyzer]
    ngram_range = (int(model.ngram_range[0]), int(model.ngram_range[1]))
    if not 1 <= ngram_range[0] <= ngram_range[1] <= MAX_NGRAM_LENGTH:
        raise NoPlan(
            f"a {name} has n-grams of {ngram_range[0]} to {ngram_range[1]}: plans know 1 to {MAX_NGRAM_LENGTH}"
        )
    accents = model.strip_accents or None
    missing = column.missing if isinstance(column.missing, str) else None
    token = _parse_token_pattern(model) if analyzer == Analyzer.WORDS else _Token()
    return Reading(
        analyzer,
        ngram_range,
        folding(accents, lower=bool(model.lowercase)),
        terms,
        columns,
        signed,
        binary,
        _stop_words(model) if analyzer == Analyzer.WORDS else (),
        token.characters,
        token.lengths,
        token.bounds,
        None if analyzer == Analyzer.WORDS else spaces(),
        missing,
    )


def _stop_words(model: Any) -> tuple[str, ...]:
    """Return the stop words, sorted."""
    stop_words = model.get_stop_words() or ()
    return tuple(sorted(_encodable(stop_word) for stop_word in stop_words))


# Token patterns.

# Nothing here can be read in two ways (`?+`, `*+`, `++` give nothing back): otherwise [][][][]… would take for ever.
_ATOM = r"\\[wWdDsS]|\[\^?+\]?+(?:\\.|[^\]\\])*+\]"
_REPEAT = r"\+|\{\d{1,6}(?:,\d{0,6})?\}"
_PATTERN = re.compile(
    rf"(?P<flags>\(\?[aimsu]+\))?(?P<left>\\b)?(?P<open>\((?:\?:)?)?(?P<run>(?:(?:{_ATOM})(?:{_REPEAT})?+)++)(?P<close>\))?"
    r"(?P<right>\\b)?"
)
_PART = re.compile(rf"({_ATOM})({_REPEAT})?")


@dataclass(frozen=True, eq=False)
class _Token:
    """Hold the fields of `Reading` that describe tokens: `token`, `lengths` and `bounds`."""

    characters: npt.NDArray[np.uint32] | None = None
    lengths: tuple[int, int] = (1, 0)
    bounds: npt.NDArray[np.uint32] | None = None


def _parse_token_pattern(model: Any) -> _Token:
    r"""Return a token pattern as the characters, the lengths and the bounds of its tokens.

    Only patterns of one kind of characters are read, for which `re.findall` finds runs that are as long as possible.
    That holds without `\b`, and with `\b` on both sides of characters of words, where no shorter run can match.

    Raises:
        NoPlan: the pattern is another one, or the tokenizer is Python code.
    """
    name, pattern = type(model).__name__, model.token_pattern
    advice = (
        "a token_pattern that a plan can hold is a run of one kind of characters, such as \\b\\w\\w+\\b or [^\\s,]+"
    )
    if model.tokenizer is not None:
        raise NoPlan(f"a {name} has a tokenizer of its own, which is Python code; {advice}")
    parsed = _PATTERN.fullmatch(pattern or "")
    if parsed is None or (parsed["open"] is None) != (parsed["close"] is None):
        raise NoPlan(f"a {name} has the token pattern {pattern}; {advice}")
    flags = parsed["flags"] or ""
    parts = _PART.findall(parsed["run"])
    ranges_of_atom = {atom: matching(flags + atom) for atom, _ in parts}
    characters = next(iter(ranges_of_atom.values()))
    words = matching(rf"{flags}\w")
    if not len(characters) or any(not np.array_equal(ranges, characters) for ranges in ranges_of_atom.values()):
        raise NoPlan(f"a {name} has the token pattern {pattern}, of several kinds of characters; {advice}")
    min_length, max_length = _lengths([repeat for _, repeat in parts])
    if not min_length:
        raise NoPlan(f"a {name} has the token pattern {pattern}, which matches where no character is; {advice}")
    has_word_characters = np.array_equal(characters, words)
    n_bounds = (parsed["left"] is not None) + (parsed["right"] is not None)
    if max_length and n_bounds < 2:
        raise NoPlan(f"a {name} has the token pattern {pattern}, which can cut a run of characters; {advice}")
    if not n_bounds or (has_word_characters and not max_length):
        return _Token(characters, (min_length, 0))
    if n_bounds < 2 or not _within(characters, words):
        raise NoPlan(f"a {name} has the token pattern {pattern}, with ends of words within tokens; {advice}")
    return _Token(characters, (min_length, max_length), words)


def _lengths(repeats: Sequence[str]) -> tuple[int, int]:
    """Return the fewest and the most characters of a run; 0 for any number."""
    min_length, max_length, unbounded = 0, 0, False
    for repeat in repeats:
        if repeat == "+":
            low, high = "1", ""
        elif repeat:
            low, comma, high = repeat.strip("{}").partition(",")
            high = high if comma else low
        else:
            low = high = "1"
        min_length += int(low)
        unbounded = unbounded or not high
        max_length += int(high or 0)
    return min_length, 0 if unbounded else max_length


def _within(inner: npt.NDArray[np.uint32], outer: npt.NDArray[np.uint32]) -> bool:
    """Tell whether each of some ranges of code points lies in one of others."""
    outer_index = np.searchsorted(outer[:, 0], inner[:, 0], side="right") - 1
    return bool((outer_index >= 0).all() and (inner[:, 1] <= outer[outer_index, 1]).all())
