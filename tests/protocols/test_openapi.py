from __future__ import annotations

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from fourfold.predictor import Predictor
from fourfold.protocols import JSON, PredictProtocol
from fourfold.protocols.openapi import document, field_schema, json_operation, predict_operation
from fourfold.signature import Field, Signature
from tests.support import make_predictor

FIELDS = (
    Field("bool", "bool"),
    Field("int8", "int8", nullable=True),
    Field("int64", "int64"),
    Field("uint64", "uint64", description="A count."),
    Field("float32", "float32", nullable=True),
    Field("float64", "float64"),
    Field("string", "string", nullable=True),
    Field("closed", "string", categories=("a", "b"), nullable=True),
    Field("open", "string", categories=("a", "b"), open=True),
    Field("grade", "int32", categories=(1, 2)),
    Field("zoned", "timestamp", zone="Europe/Berlin"),
    Field("naive", "timestamp", nullable=True),
    Field("date", "date"),
    Field("binary", "binary"),
    Field("tensor", "float64", shape=(2, 3)),
    Field("labelled", "float32", shape=(2,), labels=("no", "yes"), nullable=True),
)
ROW: dict[str, Any] = {
    "bool": True,
    "int8": -128,
    "int64": 2**63 - 1,
    "uint64": 2**64 - 1,
    "float32": "NaN",
    "float64": -0.5,
    "string": "é",
    "closed": "a",
    "open": "z",
    "grade": 2,
    "zoned": "2024-02-29T12:00:00+01:00",
    "naive": "2024-02-29T12:00:00.5",
    "date": "2024-02-29",
    "binary": "AAE=",
    "tensor": [[1, 2, 3], [4, 5, "Infinity"]],
    "labelled": [0.25, 0.75],
}
SIGNATURE = Signature(FIELDS, FIELDS)
EMPTY = {each.name: None if each.nullable else ROW[each.name] for each in FIELDS}


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return make_predictor(lambda row: row, signature=SIGNATURE, golden=[ROW, EMPTY], version=7)


def document_of(predictor: Predictor) -> dict[str, Any]:
    """The document of a service's main routes."""
    paths = {
        "/predict": {"post": predict_operation(predictor)},
        "/": {"get": json_operation("Home", may_load=True)},
        "/health/live": {"get": json_operation("Live", may_load=False)},
    }
    return document(predictor, paths)


def test_document_is_valid(predictor: Predictor) -> None:
    """The document of every kind of field is valid OpenAPI 3.1, and every reference in it leads somewhere."""
    whole = document_of(predictor)
    OpenAPIV31SpecValidator(whole).validate()
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(whole))) == set(whole["components"]["schemas"])


@pytest.mark.parametrize(
    ("name", "component"),
    [("eta", "EtaRow"), ("flight-delay", "FlightDelayRow"), ("churn_v2.eu", "ChurnV2EuRow"), ("9lives", "9livesRow")],
)
def test_schemas_are_components_with_the_models_name(name: str, component: str) -> None:
    """Each schema stands once, among the components, under a name that says whose it is; the operation is short."""
    predictor = make_predictor(lambda row: row, signature=SIGNATURE, golden=[ROW], name=name)
    whole = document_of(predictor)
    OpenAPIV31SpecValidator(whole).validate()
    schemas = whole["components"]["schemas"]
    assert list(schemas[component]["properties"]) == [field.name for field in FIELDS]
    assert json.dumps(whole).count('"A count. ') == 4  # of a row and its columns, as inputs and as outputs
    assert "properties" not in json.dumps(whole["paths"])


def schema_of(predictor: Predictor, part: str) -> Draft202012Validator:
    """The validator of the operation's schema for a request, a reply or a status in JSON."""
    whole = document_of(predictor)
    operation: Any = whole["paths"]["/predict"]["post"]
    response = operation["responses"].get("200" if part == "reply" else part)
    content = operation["requestBody"]["content"] if part == "request" else response["content"]
    return Draft202012Validator({**content[JSON]["schema"], "components": whole["components"]})


def test_examples_are_what_they_illustrate(predictor: Predictor) -> None:
    """Every example fits its own schema, and the service takes it."""
    found: Any = predict_operation(predictor)
    protocol = PredictProtocol(predictor)
    for part, content in (("request", found["requestBody"]), ("reply", found["responses"]["200"])):
        for example in content["content"][JSON]["examples"].values():
            assert list(schema_of(predictor, part).iter_errors(example["value"])) == []
            if part == "request":
                assert protocol(json.dumps(example["value"]).encode(), {"content-type": JSON}).status == 200


def test_replies_fit_their_schema(predictor: Predictor) -> None:
    """The replies in every form of JSON fit the document."""
    protocol = PredictProtocol(predictor)
    for body in (ROW, [ROW, EMPTY], {"rows": [EMPTY]}, {"columns": {key: [value] for key, value in ROW.items()}}):
        reply = protocol(json.dumps(body).encode(), {"content-type": JSON})
        assert reply.status == 200
        assert list(schema_of(predictor, "reply").iter_errors(json.loads(reply.body))) == []


def test_failures_fit_their_schema(predictor: Predictor) -> None:
    """The replies of failures fit the document, too."""
    for body, status in ((b"{", "400"), (b'{"z": 1}', "422")):
        reply = PredictProtocol(predictor)(body, {"content-type": JSON})
        assert str(reply.status) == status
        assert list(schema_of(predictor, status).iter_errors(json.loads(reply.body))) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bool", 1),
        ("bool", None),
        ("int8", 128),
        ("int64", 1.5),
        ("int64", "1"),
        ("uint64", -1),
        ("float32", "nan"),
        ("closed", "c"),
        ("grade", 3),
        ("naive", "2024-02-29T12:00:00Z"),
        ("tensor", [[1, 2], [3, 4]]),
        ("labelled", [1]),
    ],
)
def test_what_the_service_refuses_the_schema_refuses(predictor: Predictor, field: str, value: object) -> None:
    """A client that validates with the schema finds the errors that the service finds."""
    row = {**ROW, field: value}
    assert PredictProtocol(predictor)(json.dumps(row).encode(), {"content-type": JSON}).status == 422
    assert list(Draft202012Validator(field_schema(SIGNATURE.input(field))).iter_errors(value))


def test_large_integers_are_noted() -> None:
    """A 64-bit integer says that JavaScript's numbers cannot hold all of it."""
    assert "9007199254740991" in field_schema(Field("n", "int64"))["description"]


def test_forms_that_a_field_takes_away_are_left_out() -> None:
    """Where an input field is called `columns`, the document offers no such wrapper."""
    signature = Signature((Field("columns", "float64"),), (Field("y", "float64"),))
    predictor = make_predictor(lambda row: {"y": row["columns"]}, signature=signature, golden=[{"columns": 1}])
    whole = document_of(predictor)
    OpenAPIV31SpecValidator(whole).validate()
    schemas = whole["components"]["schemas"]
    assert set(schemas) == {
        "TinyRow",
        "TinyRows",
        "TinyRequest",
        "TinyAnswer",
        "TinyAnswers",
        "TinyReply",
        "PredictError",
    }
    assert [form.get("$ref") for form in schemas["TinyRequest"]["anyOf"]] == [
        "#/components/schemas/TinyRow",
        None,
        "#/components/schemas/TinyRows",
    ]
    content = predict_operation(predictor)["requestBody"]["content"]
    assert "columns" not in content[JSON]["examples"]
    assert list(schema_of(predictor, "request").iter_errors({"columns": 1})) == []
    assert list(schema_of(predictor, "request").iter_errors({"columns": [1]}))


def test_extra_keys_are_as_the_signature_says(predictor: Predictor) -> None:
    """A signature that ignores extra keys says so to tools, too."""
    open_signature = Signature(FIELDS, FIELDS, extra="ignore")
    tolerant = make_predictor(lambda row: row, signature=open_signature, golden=[ROW])
    row = {**ROW, "extra": 1}
    assert list(schema_of(tolerant, "request").iter_errors(row)) == []
    assert list(schema_of(predictor, "request").iter_errors(row))
