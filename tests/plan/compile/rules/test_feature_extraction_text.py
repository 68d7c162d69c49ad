"""Test the rules of vectorizers of texts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import MaxAbsScaler, Normalizer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR, LinearSVC
from sklearn.tree import DecisionTreeRegressor

from fourfold.plan import _evaluator
from fourfold.plan.compile import transform
from fourfold.plan.compile.columns import Compiler, Matrix, NoPlan, Numeric, Text
from fourfold.plan.graph.builder import Graph, Output
from tests.plan.comparison import assert_close, assert_exact, compiled

RANDOM = random.Random(11)

#: Characters that are folded, cut or counted in ways of their own.
STRANGE = (
    *("a", "b", "B", "Z", "9", "_", "-", "'", ".", ":", " ", "  ", "\t", "\n", "\x00", "\x1c", "\u2003", "\u200b"),
    *("ß", "\u1e9e", "İ", "\u0307", "Σ", "\u03c3", "ς", "É", "é", "e\u0301", "\u0345", "\u00ad", "ʰ", "ǅ", "Ά"),
    *(
        "Ⅷ",
        "ﬁ",
        "½",
        "²",
        "٣",
        "Å",
        "\u2126",
        "\ufdfa",
        "한",
        "글",
        "가",
        "ᄀ",
        "あ",
        "漢",
        "\U0001d518",
        "😀",
        "\U0001e900",
    ),
    *("the", "and"),
)
PATTERNS = (
    *(r"(?u)\b\w\w+\b", r"(?u)\b\w+\b", r"\w{1,}", r"\S+", r"[^\s,]+", r"\b[a-zA-Z]{2,}\b", r"(?i)\b[a-z]+\b"),
    *(r"\b\w{2,3}\b", r"(?a)\b\w+\b", r"\b[^\d\W]+\b", r"(\w+)", "[a-zéΣ\u03c3ς]+", r"\d+", r"\b[a-z]{1,2}\b"),
    *(r"(?a)[\w-]+", r"(?a)\b[a-z_]+\b", r"\b(\w\w+)\b", r"\b\w+", r"(?:\w{2}\w{1,})"),
)


def strange_text(length: int) -> str:
    """Draw a text of unusual characters, of any characters, or of words with sigmas."""
    kind = RANDOM.random()
    if kind < 0.6:
        return "".join(RANDOM.choice(STRANGE) for _ in range(length))
    if kind < 0.8:
        points = [RANDOM.randrange(RANDOM.choice((0x3000, 0xD800, 0x110000))) for _ in range(length)]
        return "".join(chr(point) for point in points if not 0xD800 <= point < 0xE000)
    return " ".join(
        "".join(RANDOM.choice("abΣ\u03c3'") for _ in range(RANDOM.randrange(1, 5))) for _ in range(length // 3)
    )


def texts_of(count: int, lengths: Sequence[int] = (0, 1, 2, 5, 20, 60, 200)) -> list[str]:
    """Draw some unusual texts."""
    return [strange_text(RANDOM.choice(lengths)) for _ in range(count)]


def bags(model: Any, texts: Sequence[str], matrix: Matrix | None = None) -> np.ndarray:
    """Return what a vectorizer's plan makes of texts together; check that each alone has the same."""
    compiler = Compiler(Graph([("text", "string")]))
    made = transform(model, Matrix((Text(0),)) if matrix is None else matrix, compiler)
    assert made.sparse
    numbers = compiler.numbers(made.columns)
    plan = compiler.graph.plan([Output("out", "float64", numbers=numbers, tensor=True)])
    run = _evaluator.Evaluator(plan, (("text", 11, False, None, 0),))
    rows = run.many([{"text": text} for text in texts])
    assert isinstance(rows, list)
    assert [run.one({"text": text}) for text in texts[:20]] == rows[:20]
    return np.array([row["out"] for row in rows])


def assert_same(model: Any, texts: Sequence[str]) -> None:
    """Check that a vectorizer's plan gives the vectorizer's bits."""
    expected = model.transform(texts).toarray().astype(np.float64)
    got = bags(model, texts)
    for text, left, right in zip(texts, expected, got, strict=True):
        if left.tobytes() != right.tobytes():
            pytest.fail(f"{model}: {text[:300]!r} in the columns {np.flatnonzero(left != right)[:9]}")


def drawn(seed: int) -> tuple[Any, list[str]]:
    """Return a vectorizer with drawn settings, and texts that it was not fitted to."""
    draw = random.Random(seed)
    least = draw.randrange(1, 4)
    settings: dict[str, Any] = {
        "lowercase": draw.random() < 0.7,
        "strip_accents": draw.choice([None, None, "ascii", "unicode"]),
        "analyzer": draw.choice(["word", "word", "char", "char_wb"]),
        "ngram_range": (least, least + draw.randrange(3)),
        "binary": draw.random() < 0.2,
        "dtype": draw.choice([np.float64, np.float32]),
    }
    if settings["analyzer"] == "word":
        settings["token_pattern"] = draw.choice(PATTERNS)
        settings["stop_words"] = draw.choice([None, None, ["the", "ab", "é", "b", "and"]])
    kind = draw.choice([CountVectorizer, TfidfVectorizer, HashingVectorizer])
    if kind is HashingVectorizer:
        columns = draw.choice([7, 64, 1000])
        norm = draw.choice([None, "l1", "l2"])
        model: Any = kind(n_features=columns, alternate_sign=draw.random() < 0.7, norm=norm, **settings)
    else:
        settings["max_features"] = draw.choice([5, 100, 1500])
        if kind is TfidfVectorizer:
            settings |= {"norm": draw.choice([None, "l1", "l2"]), "use_idf": draw.random() < 0.7}
        else:
            settings["dtype"] = draw.choice([np.int64, np.int32, np.float64, np.float32])
        model = kind(**settings)
    return model, texts_of(40)


@pytest.mark.filterwarnings("ignore:Your stop_words may be inconsistent:UserWarning")
@pytest.mark.filterwarnings("ignore:.*will not be used.*:UserWarning")
@pytest.mark.seeds(150, sweep=3000)
def test_vectorizers_with_drawn_settings_give_the_originals_bits(seed: int) -> None:
    """For all settings, texts of characters of all planes have the same counts and weights, to the bit."""
    model, texts = drawn(seed)
    try:
        model.fit([*texts_of(40), "abc def and the x1 the abc def and x1 abc and the"])
    except ValueError as error:
        assert "empty vocabulary" in str(error)  # scikit-learn's own refusal of a few draws  # noqa: PT017
        return
    assert_same(model, texts)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_token_patterns_find_what_expressions_find(pattern: str) -> None:
    """Tokens are those of `re.findall`: a wide vectorizer's hashes would differ otherwise."""
    model = HashingVectorizer(n_features=1 << 12, norm=None, alternate_sign=False, token_pattern=pattern)
    assert_same(model, texts_of(60))


LONG = {
    "words": " ".join("".join(RANDOM.choices("abcdeéΣ", k=RANDOM.randrange(1, 6))) for _ in range(18_000)),
    "one word": "x" * 100_000,
    "long words": ("x" * 5000 + " ") * 20,
    "one term": "ab " * 40_000,
    "sigmas": "Σ" * 30_000,
    "ignored beside a sigma": "a" + "'" * 30_000 + "Σ" + "'" * 30_000 + "b",
    "white space": " \t" * 50_000,
    "what unfolds": "\ufdfa" * 5000,
    "a long word among short ones": "ab cd " * 500 + "é" * 40_000 + " ab cd" * 500,
    "empty": "",
    "NUL": "a\x00b c\x00\x00d ab\x00",
}


@pytest.mark.parametrize(
    "model",
    [
        CountVectorizer(ngram_range=(1, 2), max_features=3000),
        CountVectorizer(analyzer="char", ngram_range=(1, 4), max_features=3000),
        CountVectorizer(analyzer="char_wb", ngram_range=(2, 4), strip_accents="unicode", max_features=3000),
        TfidfVectorizer(ngram_range=(1, 3), max_features=3000),
        HashingVectorizer(n_features=3001, ngram_range=(1, 3)),
        HashingVectorizer(n_features=3001, ngram_range=(1, 3), stop_words=["x" * 3000, "ab"], norm=None),
        HashingVectorizer(n_features=3001, ngram_range=(2, 3), token_pattern=r"\b\w{1,3000}\b", norm=None),
        HashingVectorizer(n_features=3001, analyzer="char", ngram_range=(1, 4), norm=None),
        HashingVectorizer(n_features=3001, analyzer="char_wb", ngram_range=(60, 64), norm=None),
    ],
    ids=lambda model: f"{type(model).__name__}-{model.analyzer}-{model.ngram_range}",
)
def test_long_texts_are_read_to_their_end(model: Any) -> None:
    """Texts of a hundred thousand characters, also with tokens as long, have the same counts."""
    texts = list(LONG.values())
    if not isinstance(model, HashingVectorizer):
        model.fit([texts[0][:9000], "x" * 50, "ab cd " * 3])
    assert_same(model, texts)


def test_a_vocabulary_may_be_given() -> None:
    """A vectorizer with a given vocabulary counts its terms; a term that is no token is never counted."""
    model = CountVectorizer(vocabulary={"two words": 2, "Upper": 0, "ab": 1}, ngram_range=(1, 2))
    assert_same(model, ["AB Two  words", "two words two words", "Upper upper ab"])


def test_weights_of_counts_side_by_side() -> None:
    """Counts of two vectorizers are weighted together, and divided by one norm."""
    texts = texts_of(80)
    made = make_union(CountVectorizer(max_features=60), CountVectorizer(analyzer="char", max_features=70))
    model = make_pipeline(made, TfidfTransformer()).fit(texts)
    assert_same(model, texts)


def test_logarithms_of_counts_are_said_to_be_approximate() -> None:
    """A sublinear frequency needs NumPy's logarithm: the plan says so, and is close."""
    texts = ["ab " * (number % 9) + "cd ef cd" for number in range(60)]
    model = make_pipeline(TfidfVectorizer(sublinear_tf=True), Ridge(solver="sparse_cg"))
    assert_close(model.fit(texts, np.arange(60.0)), texts, ulp=16)


# Models.

WORDS = ("good", "bad", "Films", "ÉTÉ", "été", "ΣΑΣ", "night", "day", "a", "the", "of", "x1", "don't", "日本")
TEXTS = [" ".join(RANDOM.choice(WORDS) for _ in range(RANDOM.randrange(12))) for _ in range(120)]
LABELS = np.array(["p", "q", "r"])[[len(text) % 3 for text in TEXTS]]
NUMBERS = np.array([len(text) * 0.37 + text.count("good") for text in TEXTS])
FRAME = pd.DataFrame(
    {
        "text": TEXTS,
        "n": np.random.default_rng(0).normal(size=120),
        "k": [RANDOM.choice("uvw") for _ in TEXTS],
    }
)


@pytest.mark.parametrize(
    "steps",
    [
        (CountVectorizer(), LinearSVC()),
        (TfidfVectorizer(ngram_range=(1, 2)), SGDClassifier(random_state=0)),
        (TfidfVectorizer(dtype=np.float32), LinearSVC()),
        (HashingVectorizer(n_features=1 << 12), SGDClassifier(random_state=0)),
        (CountVectorizer(), TfidfTransformer(), LinearSVC()),
        (TfidfVectorizer(), SelectKBest(chi2, k=8), LinearSVC()),
        (TfidfVectorizer(), MaxAbsScaler(), LinearSVC()),
        (CountVectorizer(), StandardScaler(with_mean=False), LinearSVC()),
        (CountVectorizer(), Normalizer("max"), LinearSVC()),
        (TfidfVectorizer(dtype=np.float32), Normalizer("l1"), LinearSVC()),
        (make_union(TfidfVectorizer(), CountVectorizer(analyzer="char", ngram_range=(1, 2))), LinearSVC()),
    ],
    ids=lambda steps: "-".join(type(step).__name__ for step in steps),
)
def test_linear_models_of_texts_give_the_originals_bits(steps: tuple[Any, ...]) -> None:
    """Sums over a sparse matrix have a defined order, so labels and scores are exact."""
    model = make_pipeline(*steps).fit(TEXTS, LABELS)
    assert_exact(model, TEXTS, ["predict", "decision_function"])


def test_logarithms_of_float32_leave_no_bound_where_the_answer_is_float64() -> None:
    """One bit of a float32 that NumPy decides is many of a float64, so the plan states no bound."""
    numbers = np.arange(len(TEXTS), dtype=np.float64)
    weights = TfidfVectorizer(dtype=np.float32, sublinear_tf=True, norm=None)
    made, _, _ = compiled(make_pipeline(weights, SVR(kernel="linear")).fit(TEXTS, numbers), TEXTS)
    said = "the output prediction is float64, and rests on float32 ones whose last bits a library decides"
    assert made.unbounded == said
    made, _, _ = compiled(make_pipeline(TfidfVectorizer(sublinear_tf=True), SVR()).fit(TEXTS, numbers), TEXTS)
    assert made.approximations
    assert not made.unbounded


def test_a_classifier_of_texts_has_close_probabilities() -> None:
    """A logistic regression's probabilities are close."""
    assert_close(make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS), TEXTS, ["predict_proba"])


def test_forests_of_texts_give_the_originals_bits() -> None:
    """Trees read the columns that they test, of a vocabulary too wide to be made numbers."""
    filler = [" ".join(f"w{number}" for number in range(first, first + 500)) for first in range(0, 10_000, 500)]
    texts, labels = [*TEXTS, *filler], [*LABELS, *(["p"] * len(filler))]
    model = make_pipeline(CountVectorizer(), RandomForestClassifier(8, random_state=0)).fit(texts, labels)
    assert len(model[0].vocabulary_) > 10_000
    assert_exact(model, TEXTS, ["predict", "predict_proba"])


def test_a_projection_of_texts_gives_the_originals_bits() -> None:
    """A truncated SVD of a sparse matrix is a sum in a defined order, on which a tree decides exactly."""
    model = make_pipeline(TfidfVectorizer(), TruncatedSVD(4, random_state=0), DecisionTreeRegressor(random_state=0))
    assert_exact(model.fit(TEXTS, NUMBERS), TEXTS)


def test_scores_of_float32_are_summed_in_float32() -> None:
    """Where both the texts' weights and the model's are float32, so is every product and sum."""
    model = make_pipeline(TfidfVectorizer(dtype=np.float32), LogisticRegression()).fit(TEXTS, LABELS)
    assert model[-1].coef_.dtype == np.float32
    assert_exact(model, TEXTS, ["decision_function"])


@pytest.mark.parametrize("vectorizer", [CountVectorizer(), HashingVectorizer(n_features=1 << 13)])
@pytest.mark.parametrize("last", ["text", "n"])
def test_texts_beside_numbers_in_a_sparse_matrix(vectorizer: Any, last: str) -> None:
    """Sums go through texts, numbers and categories in the order of the columns, whatever it is."""
    parts = {
        "text": ("t", vectorizer, "text"),
        "k": ("k", OneHotEncoder(handle_unknown="ignore"), ["k"]),
        "n": ("n", StandardScaler(), ["n"]),
    }
    order = ["n", "k", "text"] if last == "text" else ["text", "k", "n"]
    columns = ColumnTransformer([parts[name] for name in order], sparse_threshold=1.0)
    model = make_pipeline(columns, Ridge(solver="sparse_cg")).fit(FRAME, NUMBERS)
    assert model[0].sparse_output_
    assert_exact(model, FRAME)


def test_texts_in_an_array_are_close() -> None:
    """Texts and numbers in an array, rather than a sparse matrix, are summed by a BLAS."""
    parts = [("t", TfidfVectorizer(), "text"), ("n", StandardScaler(), ["n"])]
    model = make_pipeline(ColumnTransformer(parts, sparse_threshold=0.0), Ridge()).fit(FRAME, NUMBERS)
    assert_close(model, FRAME)


# What no plan holds.


def shouted(text: str) -> str:
    """A preprocessor."""
    return text.upper()


@pytest.mark.filterwarnings("ignore:The parameter 'token_pattern' will not be used:UserWarning")
@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tokenizer": str.split}, "tokenizer of its own, which is Python code; a token_pattern that a plan can hold"),
        ({"preprocessor": shouted}, "which are Python code"),
        ({"analyzer": str.split}, "which are Python code"),
        ({"strip_accents": shouted}, "which are Python code"),
        ({"input": "file"}, "reads files"),
        ({"token_pattern": "[]" * 400 + "x"}, "one kind of characters, such as"),
        ({"token_pattern": r"[a-z]\w+"}, "of several kinds of characters"),
        ({"token_pattern": r"\w+@\w+"}, "one kind of characters, such as"),
        ({"token_pattern": r"\w+(?=\s)"}, "one kind of characters, such as"),
        ({"token_pattern": r"\w{2,3}"}, "which can cut a run of characters"),
        ({"token_pattern": r"\w{0,}"}, "which matches where no character is"),
        ({"token_pattern": r"\b\w{0,2}\b"}, "which matches where no character is"),
        ({"token_pattern": r"\b[\w-]+\b"}, "with ends of words within tokens"),
        ({"token_pattern": r"\b[a-z]+"}, "with ends of words within tokens"),
        ({"ngram_range": (1, 65)}, "n-grams of 1 to 65: plans know 1 to 64"),
        ({"dtype": np.uint8}, "counts in uint8"),
    ],
)
def test_what_is_code_or_another_kind_of_pattern_has_no_plan(settings: dict[str, Any], why: str) -> None:
    """A vectorizer with Python code or another kind of pattern says why it has no plan, and what would have one."""
    fitted = CountVectorizer().fit(["some texts"])
    model = CountVectorizer(**settings)
    model.vocabulary_ = fitted.vocabulary_
    with pytest.raises(NoPlan, match=why.replace("(", r"\(")):
        bags(model, ["some texts"])


def test_what_is_no_column_of_texts_has_no_plan() -> None:
    """Numbers, several columns, categories, an unfitted vocabulary and dicts have no plan."""
    compiler = Compiler(Graph([("text", "string"), ("x", "float64")]))
    number, text = Numeric(compiler.graph.number(1)), Text(0)
    model = CountVectorizer().fit(["some texts"])
    for columns in ((number,), (text, text), (Text(0, categories=("a", "b")),), (Text(0, replaced=(("a", "b"),)),)):
        with pytest.raises(NoPlan):
            transform(model, Matrix(columns), compiler)
    for other in (CountVectorizer(), FeatureHasher(), DictVectorizer(), HashingVectorizer(n_features=1 << 28)):
        with pytest.raises(NoPlan):
            transform(other, Matrix((text,)), compiler)
    with pytest.raises(NoPlan, match="no counts of a vectorizer"):
        transform(TfidfTransformer(), Matrix((number,)), compiler)


def test_a_text_that_an_imputer_put_there_is_read() -> None:
    """Where a value is missing, the text of an imputer is read instead."""
    compiler = Compiler(Graph([("text", "string")]))
    model = CountVectorizer().fit(["none here", "other words"])
    made = transform(model, Matrix((Text(0, missing="none here", nullable=True),)), compiler)
    plan = compiler.graph.plan([Output("out", "float64", numbers=compiler.numbers(made.columns), tensor=True)])
    run = _evaluator.Evaluator(plan, (("text", 11, True, None, 0),))
    assert run.one({"text": None}) == run.one({"text": "here, none"}) == {"out": [1.0, 1.0, 0.0, 0.0]}


def test_more_vectorizers_than_there_is_room_for_have_no_plan() -> None:
    """A union of too many vectorizers has no plan and says so; equal readings count once."""
    words = [f"w{number}" for number in range(70)]
    union = make_union(*(CountVectorizer(vocabulary=[word]) for word in words))
    with pytest.raises(NoPlan, match="reads too many texts: a plan has at most 64 bags"):
        compiled(make_pipeline(union, LinearSVC()).fit(TEXTS, LABELS), TEXTS, ["predict"])
    union = make_union(*(CountVectorizer() for _ in words))
    assert_exact(make_pipeline(union, SGDClassifier(random_state=0)).fit(TEXTS, LABELS), TEXTS, ["predict"])


def test_more_columns_than_can_be_spread_have_no_plan() -> None:
    """A model that needs a wide vocabulary as numbers has no plan, and says what helps."""
    model = make_pipeline(HashingVectorizer(n_features=1 << 13), DecisionTreeRegressor()).fit(TEXTS, NUMBERS)
    assert_exact(model, TEXTS)
    with pytest.raises(NoPlan, match="8192 columns of texts where numbers are needed"):
        compiled(HashingVectorizer(n_features=1 << 13), TEXTS)
