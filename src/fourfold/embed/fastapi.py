"""The mount in FastAPI."""

from __future__ import annotations

from fastapi import APIRouter, Response

from fourfold.embed.starlette import endpoint
from fourfold.predictor import Predictor
from fourfold.protocols.openapi import operation

__all__ = ["router"]


def router(predictor: Predictor, path: str, max_body_bytes: int) -> APIRouter:
    """A router with `POST path`; as `fourfold.embed.fastapi_router`."""
    made = APIRouter()
    made.add_api_route(
        path,
        endpoint(predictor, max_body_bytes),
        methods=["POST"],
        response_class=Response,
        openapi_extra=operation(predictor),
    )
    return made
