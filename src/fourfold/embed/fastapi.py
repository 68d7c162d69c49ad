"""Mount a predictor in FastAPI."""

from __future__ import annotations

from fastapi import APIRouter, Response

from fourfold.embed.starlette import endpoint
from fourfold.protocols import PredictProtocol
from fourfold.protocols.openapi import predict_operation

__all__ = ["router"]


def router(protocol: PredictProtocol, path: str) -> APIRouter:
    """Return a router with the route `POST path`; see `fourfold.embed.fastapi_router`."""
    api_router = APIRouter()
    api_router.add_api_route(
        path,
        endpoint(protocol),
        methods=["POST"],
        response_class=Response,
        openapi_extra=predict_operation(protocol.predictor),
    )
    return api_router
