"""What may the demo client's page do in the sandbox, and how is every other page kept from it?

Any page in the browser can send requests to this machine. So each route wants the `Origin` of the
demo client, which a page cannot choose, and JSON, which another page cannot send without being
asked first (CORS). There is no GET.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import hdrs, web

from hello.auth.explaining import explain
from hello.sandbox.issuer import Issuer
from hello.tokens.jwt.strict_json import load_object
from hello.tokens.presented import BEARER, DPOP

from .flaws import flawed_token
from .switch import Switch
from .witness import Witness

_SHORT_SECONDS = 30
_MAX_THUMBPRINT = 43  # characters of a SHA-256 in base64url

Lesson = Callable[[Mapping[str, Any]], Awaitable[object | None]]


def lesson_routes(
    origin: str, *, api: web.Application, witness: Witness, issuer: Issuer, switch: Switch
) -> list[web.RouteDef]:
    """Return the routes of the sandbox's lessons, for the pages of one origin alone."""
    usual_lifetime = issuer.lifetime

    async def request(asked: Mapping[str, Any]) -> object | None:
        return witness.about(str(asked.get("id")))

    async def check(asked: Mapping[str, Any]) -> object | None:
        """Say what `run.py --check-token` says about the token."""
        token, scheme, proof = (asked.get(name) for name in ("token", "scheme", "proof"))
        if not isinstance(token, str) or not token or scheme not in (BEARER, DPOP):
            return None
        proofs = (proof,) if isinstance(proof, str) else ()
        return {"text": str(await explain(api, token, scheme=scheme, proofs=proofs))}

    async def flawed(asked: Mapping[str, Any]) -> object | None:
        key = asked.get("key")
        if not (key is None or (isinstance(key, str) and len(key) <= _MAX_THUMBPRINT)):
            return None
        token = flawed_token(issuer, str(asked.get("flaw")), key)
        return None if token is None else {"token": token}

    async def change_issuer(asked: Mapping[str, Any]) -> object:
        if isinstance(asked.get("on"), bool):
            switch.on = asked["on"]
        if isinstance(asked.get("shortLived"), bool):
            issuer.lifetime = _SHORT_SECONDS if asked["shortLived"] else usual_lifetime
        return {"on": switch.on, "shortLived": issuer.lifetime == _SHORT_SECONDS}

    return [
        web.post("/lessons/request", _for_page(origin, request)),
        web.post("/lessons/check", _for_page(origin, check)),
        web.post("/lessons/flawed-token", _for_page(origin, flawed)),
        web.post("/lessons/issuer", _for_page(origin, change_issuer)),
    ]


def _for_page(
    origin: str, lesson: Lesson
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.headers.getall(hdrs.ORIGIN, []) != [origin]:
            return web.json_response({"error": "not this page"}, status=403)
        if request.content_type != "application/json":
            return web.json_response({"error": "not JSON"}, status=415)
        try:
            answer = await lesson(load_object(await request.read()))
        except ValueError:
            answer = None
        if answer is None:
            return web.json_response({"error": "not known"}, status=404)
        return web.json_response(answer, headers={hdrs.CACHE_CONTROL: "no-store"})

    return handler
