"""Texts: counts and weights of the words and characters in them.

A vectorizer gives a sparse matrix that may be a million columns wide, so its columns are those of a bag.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fourfold.plan.compile import transforms
from fourfold.plan.compile.bags import normalized, single
from fourfold.plan.compile.columns import FLOAT32, FLOAT64, Compiler, Matrix, NoPlan, Text, runs
from fourfold.plan.format import MathFunction
from fourfold.plan.graph.builder import Bag
from fourfold.plan.graph.text_reading import MAX_NGRAM_LENGTH, Analyzer, Reading
from fourfold.plan.graph.unicode_tables import folding, matching, spaces

__all__: list[str] = []

#: The most columns of hashes.
_MOST_COLUMNS = 1 << 26
_DTYPES = ("int64", "int32", "float64", "float32")
_ANALYZERS = {"word": Analyzer.WORDS, "char": Analyzer.CHARACTERS, "char_wb": Analyzer.WITHIN_WORDS}


# Vectorizers.


@transforms("sklearn.CountVectorizer")
def count_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """How often each n-gram of the vocabulary is in a text."""
    bag, dtype = _counted(model, matrix, compiler)
    return Matrix(compiler.bagged(bag, dtype, finite=True), sparse=True)


@transforms("sklearn.TfidfVectorizer")
def tfidf_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """The counts, weighted by how rare an n-gram is."""
    bag, dtype = _counted(model, matrix, compiler)
    weights = vars(model)["_tfidf"]
    made, dtype = _weighted(weights, [bag], dtype, compiler)
    finite = bool(np.isfinite(getattr(weights, "idf_", 1.0)).all())
    return Matrix(compiler.bagged(made[0], dtype, finite=finite), sparse=True)


@transforms("sklearn.HashingVectorizer")
def hashing_vectorizer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Counts in the columns that n-grams are hashed to."""
    if model.n_features > _MOST_COLUMNS:
        raise NoPlan(f"a HashingVectorizer has {model.n_features} features, more than {_MOST_COLUMNS}")
    column = _text(matrix)
    dtype = _dtype(model)
    reading = _reading(
        model, column, columns=int(model.n_features), signed=bool(model.alternate_sign), binary=bool(model.binary)
    )
    bag = single(compiler.graph.bag(column.index, reading), dtype, compiler)
    if model.norm is not None:
        dtype = _float(dtype)
        bag = normalized([bag], str(model.norm), dtype, compiler)[0]
    return Matrix(compiler.bagged(bag, dtype, finite=True), sparse=True)


@transforms("sklearn.TfidfTransformer")
def tfidf_transformer(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Counts, weighted by how rare an n-gram is."""
    blocks = runs(matrix.columns)
    if sum(stop - start for start, stop in blocks) != len(matrix):
        raise NoPlan("a TfidfTransformer weighs columns that are no counts of a vectorizer")
    bags = [compiler.bag(matrix.columns[start:stop]) for start, stop in blocks]
    made, dtype = _weighted(model, bags, matrix.dtype, compiler)
    columns = [column for bag in made for column in compiler.bagged(bag, dtype, finite=False)]
    return Matrix(tuple(columns), sparse=True)


@transforms("sklearn.FeatureHasher", "sklearn.DictVectorizer")
def of_dicts(model: Any, matrix: Matrix, compiler: Compiler) -> Matrix:
    """Rows that are dicts, or lists of texts, are no columns of a table."""
    raise NoPlan(f"a {type(model).__name__} takes dicts or lists, which no field of a signature holds")


def _counted(model: Any, matrix: Matrix, compiler: Compiler) -> tuple[Bag, np.dtype[Any]]:
    column = _text(matrix)
    dtype = _dtype(model)
    reading = _reading(model, column, terms=_vocabulary(model), binary=bool(model.binary))
    return single(compiler.graph.bag(column.index, reading), dtype, compiler), dtype


# Weights.


def _weighted(
    model: Any, bags: Sequence[Bag], dtype: np.dtype[Any], compiler: Compiler
) -> tuple[list[Bag], np.dtype[Any]]:
    """What a TfidfTransformer makes of counts, of bags side by side."""
    graph = compiler.graph
    dtype = _float(dtype)
    made = list(bags)
    if model.sublinear_tf:
        compiler.approximate("NumPy's logarithm of a TfidfTransformer")
        made = [single(graph.bag_map(MathFunction.LOG, bag), dtype, compiler) for bag in made]
        made = [single(graph.bag_const(MathFunction.ADD, bag, 1.0), dtype, compiler) for bag in made]
    if hasattr(model, "idf_"):
        idf = np.asarray(model.idf_, dtype=np.float64)
        edges = np.cumsum([0, *(bag.width for bag in made)])
        if len(idf) != edges[-1]:
            raise NoPlan(f"a TfidfTransformer has {len(idf)} weights for {edges[-1]} columns")
        made = [
            single(graph.bag_const(MathFunction.MUL, bag, idf[start:stop]), dtype, compiler)
            for bag, start, stop in zip(made, edges[:-1], edges[1:], strict=True)
        ]
    return (made if model.norm is None else normalized(made, str(model.norm), dtype, compiler)), dtype


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What `check_array(dtype=[float64, float32])` makes of a dtype."""
    return FLOAT32 if dtype == FLOAT32 else FLOAT64


# How a vectorizer reads.


def _text(matrix: Matrix) -> Text:
    """The one column of texts that a vectorizer takes."""
    column = matrix.columns[0] if len(matrix) == 1 else None
    if not isinstance(column, Text):
        raise NoPlan("a vectorizer takes something else than one column of texts")
    if column.categories is not None or column.replaced:
        raise NoPlan("a vectorizer takes a column of texts that are categories, or that an imputer changed")
    return column


def _dtype(model: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(model.dtype)
    if dtype.name not in _DTYPES:
        raise NoPlan(f"a vectorizer counts in {dtype}: plans know {', '.join(_DTYPES)}")
    return dtype


def _vocabulary(model: Any) -> tuple[str, ...]:
    """The terms in the order of their columns."""
    vocabulary = getattr(model, "vocabulary_", None)
    if not vocabulary:
        raise NoPlan("a vectorizer has no vocabulary yet")
    ordered = sorted(vocabulary.items(), key=lambda item: int(item[1]))
    if [int(place) for _, place in ordered] != list(range(len(ordered))):
        raise NoPlan("the columns of a vectorizer's vocabulary are not numbered from 0 on")
    return tuple(_encodable(term) for term, _ in ordered)


def _encodable(term: Any) -> str:
    if not isinstance(term, str):
        raise NoPlan(f"a vectorizer knows {term!r}, which is no text")
    try:
        term.encode()
    except UnicodeEncodeError as error:
        raise NoPlan(f"a vectorizer knows {term!r}, which no text can hold") from error
    return str(term)


def _reading(
    model: Any,
    column: Text,
    *,
    binary: bool,
    terms: tuple[str, ...] = (),
    columns: int = 0,
    signed: bool = False,
) -> Reading:
    """The settings of a vectorizer."""
    name = type(model).__name__
    if model.input != "content":
        raise NoPlan(f"a {name} reads files: give it their texts (input='content')")
    if callable(model.analyzer) or model.preprocessor is not None or callable(model.strip_accents):
        raise NoPlan(f"a {name} has an analyzer, preprocessor or strip_accents of its own, which are Python code")
    analyzer = _ANALYZERS[model.analyzer]
    grams = (int(model.ngram_range[0]), int(model.ngram_range[1]))
    if not 1 <= grams[0] <= grams[1] <= MAX_NGRAM_LENGTH:
        raise NoPlan(f"a {name} has n-grams of {grams[0]} to {grams[1]}: plans know 1 to {MAX_NGRAM_LENGTH}")
    accents = model.strip_accents or None
    missing = column.missing if isinstance(column.missing, str) else None
    token = _token(model) if analyzer == Analyzer.WORDS else _Token()
    return Reading(
        analyzer,
        grams,
        folding(accents, lower=bool(model.lowercase)),
        terms,
        columns,
        signed,
        binary,
        _stops(model) if analyzer == Analyzer.WORDS else (),
        token.characters,
        token.lengths,
        token.bounds,
        None if analyzer == Analyzer.WORDS else spaces(),
        missing,
    )


def _stops(model: Any) -> tuple[str, ...]:
    """The tokens that are left out."""
    stops = model.get_stop_words() or ()
    return tuple(sorted(_encodable(each) for each in stops))


# Token patterns.

_ATOM = r"\\[wWdDsS]|\[\^?\]?(?:\\.|[^\]\\])*\]"
_TIMES = r"\+|\{\d+(?:,\d*)?\}"
_PATTERN = re.compile(
    rf"(?P<flags>\(\?[aimsu]+\))?(?P<left>\\b)?(?P<open>\((?:\?:)?)?(?P<run>(?:(?:{_ATOM})(?:{_TIMES})?)+)(?P<close>\))?"
    r"(?P<right>\\b)?"
)
_PART = re.compile(rf"({_ATOM})({_TIMES})?")


@dataclass(frozen=True, eq=False)
class _Token:
    """What tokens are made of, as `Reading` has it."""

    characters: npt.NDArray[np.uint32] | None = None
    lengths: tuple[int, int] = (1, 0)
    bounds: npt.NDArray[np.uint32] | None = None


def _token(model: Any) -> _Token:
    r"""A token pattern as the characters that runs are made of.

    A run of one kind of characters, as long as it goes, is what `findall` finds where it may begin and end anywhere (no
    `\b`), or where both ends are those of a word and all characters are of words, so that no shorter one can match.
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
    kinds = {atom: matching(flags + atom) for atom, _ in parts}
    characters = next(iter(kinds.values()))
    words = matching(rf"{flags}\w")
    if not len(characters) or any(not np.array_equal(each, characters) for each in kinds.values()):
        raise NoPlan(f"a {name} has the token pattern {pattern}, of several kinds of characters; {advice}")
    least, most = _lengths([times for _, times in parts])
    if not least:
        raise NoPlan(f"a {name} has the token pattern {pattern}, which matches where no character is; {advice}")
    of_words = np.array_equal(characters, words)
    sides = (parsed["left"] is not None) + (parsed["right"] is not None)
    if most and sides < 2:
        raise NoPlan(f"a {name} has the token pattern {pattern}, which can cut a run of characters; {advice}")
    if not sides or (of_words and not most):
        return _Token(characters, (least, 0))
    if sides < 2 or not _within(characters, words):
        raise NoPlan(f"a {name} has the token pattern {pattern}, with ends of words within tokens; {advice}")
    return _Token(characters, (least, most), words)


def _lengths(times: Sequence[str]) -> tuple[int, int]:
    """The fewest and the most characters of a run; 0 for any number."""
    least, most, endless = 0, 0, False
    for each in times:
        if each == "+":
            low, high = "1", ""
        elif each:
            low, comma, high = each.strip("{}").partition(",")
            high = high if comma else low
        else:
            low = high = "1"
        least += int(low)
        endless = endless or not high
        most += int(high or 0)
    return least, 0 if endless else most


def _within(inner: npt.NDArray[np.uint32], outer: npt.NDArray[np.uint32]) -> bool:
    """Whether each of some ranges lies in one of others."""
    at = np.searchsorted(outer[:, 0], inner[:, 0], side="right") - 1
    return bool((at >= 0).all() and (inner[:, 1] <= outer[at, 1]).all())
