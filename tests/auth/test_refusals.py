"""What hears a client that is refused, and what the log?"""

from collections.abc import Awaitable, Callable

import pytest
from aiohttp import ClientPayloadError, web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.answers import INSUFFICIENT, challenge
from support.api import ApiServer, Client, bearer
from support.logs import refused
from support.protecting import Serve, new_handler, status

READ = "read:reports"


async def test_a_handler_can_refuse_too(serve: Serve, issuer: Issuer) -> None:
    async def handler(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.PERMISSIONS, scope={"write", "read"})

    client = await serve(web.get("/", handler))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert response.status == 403
        assert challenge(response.headers) == INSUFFICIENT | {"scope": "read write"}


async def test_a_refusal_in_the_middle_of_an_answer_ends_the_connection(
    serve: Serve, issuer: Issuer
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise auth.InvalidTokenError(auth.Reason.EXPIRED)

    client = await serve(web.get("/", handler))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert response.status == 200
        with pytest.raises(ClientPayloadError):
            await response.read()


@pytest.mark.parametrize(
    ("claims", "line"),
    [
        (None, "refused 401 no_credentials: GET /reports/{number} sub=-"),
        ({}, "refused 403 permissions: GET /reports/{number} sub='sandbox@clients'"),
        (
            {"exp": 1},
            "refused 401 expired: GET /reports/{number} sub='sandbox@clients'",
        ),
        ({"exp": 1, "sub": 7}, "refused 401 expired: GET /reports/{number} sub=-"),
        (
            {"iss": "https://x/"},
            "refused 401 issuer: GET /reports/{number} sub=-",
        ),
        (
            {"sub": "a\nb\x1b[31m\u2028é"},
            r"refused 403 permissions: GET /reports/{number} sub='a\nb\x1b[31m\u2028\xe9'",
        ),
    ],
)
async def test_a_refusal_is_one_line_in_the_log(
    serve: Serve,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, object] | None,
    line: str,
) -> None:
    """Of one form, letter by letter: it is what an operator's tools read."""
    handler = auth.protected(permissions={READ})(new_handler())
    client = await serve(web.get("/reports/{number}", handler))
    token = None if claims is None else issuer.mint(claims=claims)
    await status(client, token, path="/reports/7?secret=1")
    [message] = caplog.messages
    assert message.startswith(f"{line} from=127.0.0.1")


async def test_a_refusal_without_a_route_is_logged_without_one(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    @web.middleware
    async def refuse(request: web.Request, handler: object) -> web.StreamResponse:
        raise auth.UnauthorizedError

    app = web.Application()
    auth.setup(app, validator)
    app.middlewares.append(refuse)
    client = await aiohttp_client(ApiServer(app))
    assert await status(client, path="/nowhere") == 401
    assert refused(caplog) == [(401, "no_credentials", "GET", "-", "-")]
