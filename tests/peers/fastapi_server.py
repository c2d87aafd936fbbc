"""FastAPI with auth0-fastapi-api, as in that library's README."""

import os
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI
from fastapi_plugin import Auth0FastAPI

ISSUER = os.environ["ISSUER"]  # https, since the library takes a domain and nothing else


async def fetch(url: str) -> Any:
    """The issuer of the comparison speaks http, whatever its tokens' `iss` says."""
    async with httpx.AsyncClient() as client:
        document = (await client.get(url.replace("https://", "http://", 1))).json()
    return {**document, "issuer": ISSUER} if "issuer" in document else document


app = FastAPI()
auth0 = Auth0FastAPI(
    domain=ISSUER.removeprefix("https://").removesuffix("/"),
    audience=os.environ["AUDIENCE"],
    custom_fetch=fetch,
)


@app.get("/api/messages/public")
async def public_message() -> dict[str, str]:
    return {"text": "This is a public message."}


@app.get("/api/messages/protected")
async def protected_message(
    _claims: Annotated[dict[str, Any], Depends(auth0.require_auth())],
) -> dict[str, str]:
    return {"text": "This is a protected message."}
