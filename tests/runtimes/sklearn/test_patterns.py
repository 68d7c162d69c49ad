"""Token patterns of packages: those that could take for ever are refused before a text is read."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import fourfold
from fourfold.errors import CorruptPackage
from fourfold.runtimes.sklearn import skops_file
from fourfold.runtimes.sklearn.patterns import UnsafePattern, check_pattern, check_texts

TEXTS = ["a cold night", "a bright day", "cold days", "one more night"]

TAKEN = [
    *(r"(?u)\b\w\w+\b", r"[^,]+", r"\b[a-zA-Z]{3,}\b", r"[A-Za-z]+(?:'[a-z]+)?", r"\w+|[^\w\s]", r"[a-z]+(?:-[a-z]+)*"),
    *(r"\d+\.\d+|\w+", r"\S+", r"(?u)\b\w*[a-zA-Z]\w*\b", r"\d+\.\d+\.\d+", r"\w+@\w+\.\w+", r"(?:[A-Z]\.)+|[A-Za-z]+"),
    *(r"(?i)[a-z]+", r"\b\d{1,3}\b", r"(\w+)", r"(?u)\b\w{1,20}\b", r"[a-z]+ing", r"(?<!\w)\w+(?!\w)", r"#?\w+"),
    *(r"https?://\S+|\w+", r"[\w']+", r"\w+(?:[-']\w+)*", "[a-z\u00e0-\u00ff]+", r"(?:\d{3}-){2}\d{4}", r"."),
    *(
        r"(?u)(?:\b\w+\b|:\))",
        r"\b(?:[a-z]\w*|[0-9]+)\b",
        r"(?s).+?(?=\n)",
        r"[^\W\d_]+",
        r"\w{2,}",
        r"(?x) \w+ # word",
    ),
    *(r"\w{1,20}[a-z]", r"(?:mr|mrs|ms)\.?\w+", r"(?>\w+)", r"\w++", r"(?:a|b|c)+"),
]
REFUSED = [
    *(r".*.*x", r"\w*[a-z]\w*[a-z]\w*1", r"\w*[a-z]\w*1"),
    *(r"(a+)+$", r"(a+)+b", r"(\w+\s?)*$", r"(?u)(\w+\s?)+$", r".*.*.*.*x", r"(a|aa)+$", r"(?:a{1,1000}){1,1000}"),
    *(r"(?:){1,1000000000}", r"(x+x+)+y", r"([a-zA-Z]+)*!", r"(a?){30}a{30}", r"(?=(a+)+b)a", r"(.*a){20}", r"(a*)*b"),
    *(r"((a{1,30}){1,30}){1,30}", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(\w)\1+", "(" * 5000, "(" * 900, r"(?:a?){1,100}b"),
    *(
        r"(?:.|\s)*x.*y.*z",
        r"(?i)(?:AB|ab|a)*c",
        "a{1,30}" * 4 + "b",
        "a?" * 40 + "a" * 40,
        r"(?:ab|a|b)+c",
        r"(?:\w+,?)+;",
    ),
]


@pytest.mark.parametrize("pattern", TAKEN)
def test_patterns_of_models_are_taken(pattern: str) -> None:
    """What people write to split texts into tokens is taken."""
    check_pattern(pattern)


@pytest.mark.parametrize("pattern", REFUSED, ids=lambda pattern: pattern[:30])
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    """What can match a text in exponentially many ways, or in more ways than anybody needs, is not."""
    with pytest.raises(UnsafePattern):
        check_pattern(pattern)


@pytest.mark.parametrize("pattern", [r"(\w+\s?)+$", r"(a+)+b"])
def test_a_skops_file_with_such_a_pattern_is_refused(pattern: str) -> None:
    """Whatever vectorizer has the pattern, and wherever it stands, the file is refused before a text is read."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [0, 1, 0, 1])
    assert np.array_equal(skops_file.loads(skops_file.dumps(model)).predict(TEXTS), model.predict(TEXTS))
    model[0].token_pattern = pattern
    with pytest.raises(
        CorruptPackage, match=r"the token_pattern .* of a TfidfVectorizer could take for ever: a part that"
    ):
        skops_file.loads(skops_file.dumps(model))


def test_an_analyzer_of_characters_needs_no_pattern() -> None:
    """A vectorizer without a pattern is none of this module's business."""
    model = CountVectorizer(analyzer="char", token_pattern=None).fit(TEXTS)
    assert skops_file.loads(skops_file.dumps(model)).token_pattern is None


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"[a-z]+1", "a" * 200_000),
        (r"\w*[a-z]\w*", "a" * 5_000),
        (r"[a-z ]+1", "a b " * 50_000),
        (r".*x", "a b " * 1_000),
    ],
)
def test_golden_texts_that_could_take_for_ever_are_refused(pattern: str, text: str) -> None:
    """A pattern that takes the square or the cube of a text's length is refused with a text that is too long for it."""
    model = TfidfVectorizer(token_pattern=pattern).fit(["ab1 b1 c1x"])
    check_texts(model, [{"text": "a short text", "number": 1.0}])
    with pytest.raises(
        CorruptPackage, match=rf"golden row 1, field 'text': the token_pattern .* of {len(text)} characters"
    ):
        check_texts(model, [{"text": "short"}, {"text": text}])


@pytest.mark.parametrize("pattern", [r"(?u)\b\w\w+\b", r"[^,]+", r"(a+)+b", None])
def test_golden_texts_of_other_models_may_be_long(pattern: str | None) -> None:
    """The default pattern, and a run of one kind of characters, pass through a text once; a pickle may have any."""
    model = TfidfVectorizer().fit(TEXTS)
    model.token_pattern = pattern
    check_texts(model, [{"text": "a" * 1_000_000}, {"text": "words and words " * 10_000}])


def test_a_replay_looks_at_its_texts_first() -> None:
    """A package whose golden text is too long for its pattern is refused before the text is read."""
    model = make_pipeline(TfidfVectorizer(token_pattern=r"[a-z]+(?=1)|\w+1"), LogisticRegression())
    model.fit([f"{text}1" for text in TEXTS], [0, 1, 0, 1])
    with pytest.raises(CorruptPackage, match=r"golden row \d+, field 'text': the token_pattern"):
        fourfold.pack(model, name="slow", rows=[*(f"{text}1" for text in TEXTS), "a" * 300_000 + "1"])
