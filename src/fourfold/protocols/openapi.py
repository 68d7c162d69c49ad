"""Describe `/predict` as OpenAPI 3.1, from a signature."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fourfold.codecs import json_rows
from fourfold.codecs.formats import ARROW, CSV, JSON, JSON_LINES, PARQUET
from fourfold.package.golden import read_golden
from fourfold.predictor import Predictor
from fourfold.protocols.replies import MAX_ROW_ERRORS
from fourfold.signature.field import FLOATS, INTEGERS, Field
from fourfold.signature.label_columns import LabelColumns

__all__ = [
    "STATUS_DESCRIPTIONS",
    "answer_response",
    "component_name",
    "component_schemas",
    "document",
    "field_schema",
    "json_operation",
    "operation_texts",
    "predict_operation",
    "request_body",
]

#: Larger integers may lose digits where all numbers are float64, as in JavaScript (`Number.MAX_SAFE_INTEGER`).
_MAX_SAFE_INTEGER = 2**53 - 1
#: The most golden rows, and categories of a field, that become examples.
_MAX_EXAMPLES = 2
#: The most columns of a CSV reply that are named.
_MAX_SHOWN_COLUMNS = 12

_CSV = "A line of column names, then a line a row"

STATUS_DESCRIPTIONS = {
    "400": "The body is not what its media type says, or a parameter has no such value.",
    "406": "The service writes none of the media types that the client accepts.",
    "413": "The body is too long.",
    "415": "The service does not read the media type of the body.",
    "422": "Rows do not fit the signature; every one of them is named, and none has been answered.",
    "500": "The engine failed on rows that fit the signature, or there is a bug.",
    "503": "The service is loading, stopping, or has too many rows waiting: try again.",
}


def field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON Schema of a field's values."""
    schema = _with_description(_tensor_schema(field) if field.shape else _scalar_schema(field), field)
    if field.nullable:
        schema = _nullable_schema(schema)
    return schema


def _scalar_schema(field: Field) -> dict[str, Any]:
    if field.categories is not None and not field.open:
        return {"type": _json_type(field), "enum": list(field.categories)}
    if field.dtype in INTEGERS:
        low, high = INTEGERS[field.dtype]
        schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
        if field.dtype in ("int32", "int64"):
            schema["format"] = field.dtype
    elif field.dtype in FLOATS:
        size = "double" if field.dtype == "float64" else "float"
        return {"anyOf": [{"type": "number", "format": size}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    elif field.dtype == "timestamp" and field.zone is None:
        schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$"}
    else:
        schema = {
            "bool": {"type": "boolean"},
            "string": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "date": {"type": "string", "format": "date"},
            "binary": {"type": "string", "contentEncoding": "base64"},
        }[field.dtype].copy()
    if field.categories:
        schema["examples"] = list(field.categories[:_MAX_EXAMPLES])
    return schema


def _json_type(field: Field) -> str:
    types = {"string": "string", "bool": "boolean", **dict.fromkeys(FLOATS, "number")}
    return types.get(field.dtype, "integer")


def _tensor_schema(field: Field) -> dict[str, Any]:
    schema = _scalar_schema(Field(field.name, field.dtype))
    for size in reversed(field.shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


def _with_description(schema: dict[str, Any], field: Field) -> dict[str, Any]:
    notes = [field.description] if field.description else []
    if field.labels:
        notes.append(f"The elements are {', '.join(field.labels)}.")
    if field.dtype == "timestamp":
        notes.append(f"With an offset; in the zone {field.zone}." if field.zone else "Without an offset.")
    if field.dtype in ("int64", "uint64") and not field.categories:
        notes.append(f"Beyond ±{_MAX_SAFE_INTEGER}, a reader whose numbers are all float64 loses digits.")
    return {**schema, "description": " ".join(notes)} if notes else schema


def _nullable_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that also allows null: as a list of types where there is a type, which tools support best."""
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    nullable = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        nullable["enum"] = [*schema["enum"], None]
    return nullable


def _row_schema(fields: Sequence[Field], *, all_required: bool, additional: bool) -> dict[str, Any]:
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in fields},
        "additionalProperties": additional,
    }
    required = [field.name for field in fields if all_required or not field.nullable]
    if required:
        schema["required"] = required
    return schema


def _columns_schema(fields: Sequence[Field], *, all_required: bool, additional: bool) -> dict[str, Any]:
    schema = _row_schema(fields, all_required=all_required, additional=additional)
    schema["properties"] = {name: {"type": "array", "items": value} for name, value in schema["properties"].items()}
    return schema


def _object_with(key: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "rows", "count"],
            "properties": {
                "code": {"type": "string", "description": "A word for programs."},
                "message": {"type": "string", "description": "A sentence for people."},
                "rows": {
                    "type": "array",
                    "description": f"The first {MAX_ROW_ERRORS} values at fault.",
                    "items": {
                        "type": "object",
                        "required": ["row", "field", "code", "expected", "got"],
                        "properties": {
                            "row": {
                                "type": ["integer", "null"],
                                "description": "The row's index in the request, from 0; null where a column is wrong.",
                            },
                            "field": {"type": ["string", "null"]},
                            "code": {"type": "string"},
                            "expected": {"type": "string"},
                            "got": {"type": "string"},
                        },
                    },
                },
                "count": {"type": "integer", "description": "How many values are at fault."},
            },
        }
    },
}


def component_name(predictor: Predictor, role: str) -> str:
    """Return the name of a schema in a document: `EtaRow` for the role `Row` and the model `eta`."""
    if role == "Error":
        return "PredictError"
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[._-]+", predictor.name)) + role


def component_schemas(predictor: Predictor, refer: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Return the schemas of requests and replies by their roles; forms whose key is an input's name are left out.

    Args:
        predictor: the predictor behind the route.
        refer: gives the schema that refers to that of a role.
    """
    signature = predictor.signature
    allows_extra = signature.extra == "ignore"
    columns = _columns_schema(signature.inputs, all_required=False, additional=allows_extra)
    answers = _columns_schema(signature.outputs, all_required=True, additional=False)
    schemas = {
        "Row": _row_schema(signature.inputs, all_required=False, additional=allows_extra),
        "Rows": _object_with("rows", _array_of(refer("Row"))),
        "Columns": _object_with("columns", columns),
        "Request": {"anyOf": [refer("Row"), _array_of(refer("Row")), refer("Rows"), refer("Columns")]},
        "Answer": _row_schema(signature.outputs, all_required=True, additional=False),
        "Answers": _object_with("rows", _array_of(refer("Answer"))),
        "AnswerColumns": _object_with("columns", answers),
        "Reply": {"anyOf": [refer("Answer"), _array_of(refer("Answer")), refer("Answers"), refer("AnswerColumns")]},
        "Error": _ERROR_SCHEMA,
    }
    for key, index, roles in (("rows", 2, ("Rows", "Answers")), ("columns", 3, ("Columns", "AnswerColumns"))):
        if any(field.name == key for field in signature.inputs):
            for role, union in zip(roles, ("Request", "Reply"), strict=True):
                del schemas[role]
                schemas[union]["anyOf"][index] = None
    for union in ("Request", "Reply"):
        schemas[union]["anyOf"] = [form for form in schemas[union]["anyOf"] if form is not None]
    return schemas


def _array_of(schema: Any) -> dict[str, Any]:
    return {"type": "array", "items": schema}


def _reference(predictor: Predictor, role: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{component_name(predictor, role)}"}


def predict_operation(predictor: Predictor) -> dict[str, Any]:
    """Return the operation object of a route that predicts; it refers to the components of `document`."""
    error = {JSON: {"schema": _reference(predictor, "Error")}}
    return {
        **operation_texts(predictor),
        "requestBody": request_body(predictor, _reference(predictor, "Request")),
        "responses": {
            "200": answer_response(predictor, _reference(predictor, "Reply")),
            **{code: {"description": text, "content": error} for code, text in STATUS_DESCRIPTIONS.items()},
        },
    }


def operation_texts(predictor: Predictor) -> dict[str, Any]:
    """Return what a route that predicts does in words, and the parameters of its query."""
    parameters = _parameters(predictor)
    return {
        "summary": f"Predict with {predictor.name}",
        "description": "The reply has the form of the request, or the media type that Accept asks for; "
        "outputs are in the order of the rows.",
        **({"parameters": parameters} if parameters else {}),
    }


def request_body(predictor: Predictor, schema: Any) -> dict[str, Any]:
    """Return the request body object of a route that predicts, with `schema` for the forms in JSON."""
    return {"required": True, "content": _content(predictor, schema, _examples(predictor)[0], f"{_CSV}.")}


def answer_response(predictor: Predictor, schema: Any) -> dict[str, Any]:
    """Return the response object of an answer, with `schema` for the forms in JSON."""
    return {
        "description": "The outputs.",
        "headers": {
            "x-fourfold-model": {"schema": {"type": "string"}, "description": "The model and its version."},
            "x-fourfold-digest": {"schema": {"type": "string"}, "description": "The package's digest."},
        },
        "content": _content(predictor, schema, _examples(predictor)[1], _describe_csv(predictor)),
    }


def _parameters(predictor: Predictor) -> list[dict[str, Any]]:
    """Return the parameters of the query: those that can change something for this signature."""
    signature = predictor.signature
    nullable = [field.name for field in signature.inputs if field.nullable]
    has_label_columns = LabelColumns(signature.outputs).fields != signature.outputs
    parameters = [_absent_parameter(nullable)] if nullable else []
    parameters.append({**_EXTRA_PARAMETER, "schema": {"enum": ["forbid", "ignore"], "default": predictor.extra}})
    return [*parameters, *([_ARRAYS_PARAMETER] if has_label_columns else [])]


def _describe_csv(predictor: Predictor) -> str:
    """Return what a reply in CSV looks like, in words."""
    names = [field.name for field in LabelColumns(predictor.signature.outputs).fields]
    shown = ", ".join(names[:_MAX_SHOWN_COLUMNS])
    return f"{_CSV}. The columns: {shown}{', …' if len(names) > _MAX_SHOWN_COLUMNS else ''}."


_EXTRA_PARAMETER = {
    "name": "extra",
    "in": "query",
    "required": False,
    "description": "What becomes of keys and columns that are no fields: an error (`forbid`), or nothing (`ignore`).",
}

_ARRAYS_PARAMETER = {
    "name": "arrays",
    "in": "query",
    "required": False,
    "schema": {"type": "boolean", "default": False},
    "description": "In CSV an output with labels has a column for each of them. `true` asks for one column instead, "
    "whose cells are arrays in JSON.",
}


def _absent_parameter(nullable: Sequence[str]) -> dict[str, Any]:
    """Return the parameter that names the columns that a table may lack."""
    return {
        "name": "absent",
        "in": "query",
        "required": False,
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "string", "enum": list(nullable)}},
        "description": "The fields that are missing in every row and have no column in the table. Without it, a table "
        "that lacks a field's column is refused; a row in JSON may lack a key.",
    }


def _content(predictor: Predictor, schema: Any, examples: Sequence[Mapping[str, Any]], csv: str) -> dict[str, Any]:
    """Return the content object of a request or a reply.

    Args:
        predictor: the predictor behind the route.
        schema: the schema of the forms in JSON.
        examples: the first rows.
        csv: what the table looks like in CSV, in words.
    """
    named_examples: dict[str, Any] = {"one row": {"value": examples[0]}, "rows": {"value": list(examples)}}
    if all(field.name != "columns" for field in predictor.signature.inputs):
        named_examples["columns"] = {"value": {"columns": {key: [row[key] for row in examples] for key in examples[0]}}}
    return {
        JSON: {"schema": schema, "examples": named_examples},
        JSON_LINES: {"schema": {"type": "string", "description": "A JSON object a line, one for each row."}},
        CSV: {"schema": {"type": "string", "description": csv}},
        ARROW: {"schema": {"type": "string", "format": "binary", "description": "An Arrow IPC stream."}},
        PARQUET: {"schema": {"type": "string", "format": "binary", "description": "A Parquet file."}},
    }


def _examples(predictor: Predictor) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    golden = read_golden(predictor.package)
    inputs = json_rows.encode(golden.inputs[:_MAX_EXAMPLES], predictor.signature.inputs)
    outputs = json_rows.encode(golden.outputs[:_MAX_EXAMPLES], predictor.signature.outputs)
    return json.loads(inputs), json.loads(outputs)


def json_operation(summary: str, *, may_load: bool) -> dict[str, Any]:
    """Return the operation object of a GET route that replies with JSON.

    Args:
        summary: what the route shows.
        may_load: whether it replies with status 503 until the package is loaded.
    """
    responses: dict[str, Any] = {"200": {"description": summary, "content": {JSON: {"schema": {"type": "object"}}}}}
    if may_load:
        responses["503"] = {"description": "The package is still being loaded."}
    return {"summary": summary, "responses": responses}


def document(predictor: Predictor, paths: Mapping[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI 3.1 document.

    Args:
        predictor: the predictor behind the routes.
        paths: the operations by path; they may refer to the document's components.
    """
    schemas = component_schemas(predictor, lambda role: _reference(predictor, role))
    version = "unversioned" if predictor.version is None else str(predictor.version)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": predictor.name,
            "version": version,
            "description": f"The package {predictor.name}, {predictor.digest}.",
        },
        "paths": dict(paths),
        "components": {"schemas": {component_name(predictor, role): schema for role, schema in schemas.items()}},
    }
