"""Mount a predictor in FastAPI."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from enum import Enum
from typing import Any, Union

from fastapi import APIRouter, Response, params
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, RootModel, create_model

from fourfold.codecs.formats import JSON
from fourfold.embed.on_error import OnError
from fourfold.embed.starlette import endpoint, route_name
from fourfold.errors import shorten
from fourfold.predictor import Predictor
from fourfold.protocols import PredictProtocol, openapi

__all__ = ["check_dependencies", "check_tags", "router"]

#: What FastAPI replies with, unless the app has a handler of its own, where a parameter of a dependency is wrong.
_DEPENDENCY_ERROR = {
    "type": "object",
    "description": "A parameter of one of the app's dependencies is wrong.",
    "required": ["detail"],
    "properties": {"detail": {"type": "array", "items": {"type": "object"}}},
}
#: Status codes that only the service has.
_SERVICE_ONLY = {"503"}


def router(
    protocol: PredictProtocol,
    path: str,
    on_error: OnError | None,
    dependencies: Sequence[params.Depends],
    tags: Sequence[str | Enum],
) -> APIRouter:
    """Return a router with the route `POST path`; see `fourfold.embed.fastapi_router`."""
    predictor = protocol.predictor
    models = _Models(predictor)
    responses: dict[int | str, dict[str, Any]] = {200: _with_model(models, predictor)}
    for code, text in openapi.STATUS_DESCRIPTIONS.items():
        if code in _SERVICE_ONLY:
            continue
        if on_error is not None:
            responses[int(code)] = {"description": f"{text} The body is the app's own."}
        elif code == "422":
            model = _any_of([models.error, models.dependency_error])
            responses[422] = {"description": f"{text} Or a parameter of a dependency is wrong.", "model": model}
        else:
            responses[int(code)] = {"description": text, "model": models.error}
    request = {"$ref": f"#/components/schemas/{models.request.__name__}"}
    api_router = APIRouter()
    api_router.add_api_route(
        path,
        endpoint(protocol, on_error, jsonable_encoder),
        methods=["POST"],
        name=route_name(protocol),
        response_class=Response,
        responses=responses,
        dependencies=dependencies,
        tags=list(tags) or None,
        openapi_extra={**openapi.operation_texts(predictor), "requestBody": openapi.request_body(predictor, request)},
    )
    return api_router


def _with_model(models: _Models, predictor: Predictor) -> dict[str, Any]:
    """Return the response of an answer, whose schema FastAPI takes from the model."""
    response = openapi.answer_response(predictor, {})
    del response["content"][JSON]["schema"]
    return {**response, "model": models.reply}


class _Models:
    """Hold a pydantic model for each schema of a predictor: FastAPI makes components of them, with names of its own.

    Where two schemas of an app have one name, pydantic renames both, and all references that it made. The document of
    a request's body is written by hand, because FastAPI must not read the body; so the name of its schema tells what is
    in it, and no other schema has it.

    Attributes:
        request: the forms of a request in JSON.
        reply: the forms of a reply in JSON. It mentions the request, so that this becomes a component as well.
        error: the body of a failure.
        dependency_error: FastAPI's own body where a parameter of a dependency is wrong.
    """

    def __init__(self, predictor: Predictor) -> None:
        schemas = openapi.component_schemas(predictor, lambda role: role)
        content = json.dumps(schemas, sort_keys=True).encode()
        self._digest = hashlib.sha256(content).hexdigest()[:8]
        self._predictor = predictor
        self.error = self._model("Error", schemas["Error"])
        self.dependency_error = _model_of("DependencyError", _DEPENDENCY_ERROR, __name__)
        request_forms, reply_forms = (
            self._forms(schemas, *roles)
            for roles in (("Row", "Rows", "Columns"), ("Answer", "Answers", "AnswerColumns"))
        )
        self.request = self._union(f"Request_{self._digest}", request_forms)
        self.reply = self._union("Reply", [*reply_forms, self.request], mentions_last=True)

    def _forms(self, schemas: dict[str, Any], row_role: str, rows_role: str, columns_role: str) -> list[Any]:
        row = self._model(row_role, schemas[row_role])
        forms: list[Any] = [row, list[row]]  # type: ignore[valid-type]
        if rows_role in schemas:
            name = openapi.component_name(self._predictor, rows_role)
            config = ConfigDict(extra="forbid")
            forms.append(create_model(name, __config__=config, __module__=self._module, rows=(list[row], ...)))  # type: ignore[valid-type]
        if columns_role in schemas:
            forms.append(self._model(columns_role, schemas[columns_role]))
        return forms

    @property
    def _module(self) -> str:
        """Return a module's name, with which pydantic tells two schemas of one name apart."""
        return f"schema_{self._digest}"

    def _model(self, role: str, schema: dict[str, Any]) -> type[BaseModel]:
        return _model_of(openapi.component_name(self._predictor, role), schema, self._module)

    def _union(self, role: str, forms: Sequence[Any], *, mentions_last: bool = False) -> type[BaseModel]:
        def write_schema(_: type[BaseModel], core_schema: Any, handler: Any) -> dict[str, Any]:
            schema = handler.resolve_ref_schema(handler(core_schema))
            if mentions_last:
                schema["x-request"] = schema["anyOf"].pop()
            return dict(schema)

        root: Any = RootModel[_any_of(forms)]  # type: ignore[misc]
        members = {"__module__": self._module, "__get_pydantic_json_schema__": classmethod(write_schema)}
        return type(openapi.component_name(self._predictor, role), (root,), members)


def _any_of(forms: Sequence[Any]) -> Any:
    """Return the union of types that are known only here."""
    return Union[tuple(forms)]  # noqa: UP007


def _model_of(name: str, schema: dict[str, Any], module: str) -> type[BaseModel]:
    """Return a model whose schema is written by hand; nothing is ever checked with it."""
    members = {"__module__": module, "__get_pydantic_json_schema__": classmethod(lambda *_: {"title": name, **schema})}
    return type(name, (BaseModel,), members)


def check_dependencies(dependencies: object) -> Sequence[params.Depends]:
    """Return dependencies as FastAPI takes them.

    Raises:
        TypeError: they are no list of `Depends(…)`.
    """
    if not isinstance(dependencies, list | tuple) or not all(isinstance(item, params.Depends) for item in dependencies):
        raise TypeError(
            f"dependencies: expected a list such as [fastapi.Depends(check_key)]; got {shorten(dependencies)}"
        )
    return dependencies


def check_tags(tags: object) -> Sequence[str | Enum]:
    """Return tags as FastAPI takes them.

    Raises:
        TypeError: they are no list of texts.
    """
    if not isinstance(tags, list | tuple) or not all(isinstance(tag, str | Enum) for tag in tags):
        raise TypeError(f"tags: expected a list of texts, such as ['models']; got {shorten(tags)}")
    return tags
