"""What does a client see, request by request?"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestServer

from hello import auth
from hello.app import create_app
from hello.sandbox.issuer import Issuer
from support.answers import INSUFFICIENT, INVALID, NO_TOKEN, challenge, description
from support.api import ORIGIN, SECURITY_HEADERS, ApiServer, Client, bearer, config_for

PUBLIC = "/api/messages/public"
PROTECTED = "/api/messages/protected"
ADMIN = "/api/messages/admin"
DOCUMENT = "/api/openapi.json"


class Says(NamedTuple):
    """What an answer says to a program: its one member, its value where that is fixed, and more."""

    member: str
    value: str | None = None
    challenge: dict[str, str] | None = None


MESSAGE = Says("text")
UNAUTHENTICATED = Says("message", auth.UnauthorizedError.message, NO_TOKEN)
BAD = Says("message", auth.InvalidTokenError.message, INVALID)
DENIED = Says("message", auth.InsufficientScopeError.message, INSUFFICIENT)
UNAVAILABLE = Says("message", auth.UnavailableError.message)
NOT_FOUND = Says("message", HTTPStatus.NOT_FOUND.phrase)

VALID = "(a valid token)"

AiohttpClient = Callable[[TestServer], Awaitable[Client]]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "authorization", "status", "says"),
    [
        (PUBLIC, [], 200, MESSAGE),
        (PUBLIC, [f"Bearer {VALID}"], 200, MESSAGE),
        (PUBLIC, ["Bearer nonsense"], 200, MESSAGE),
        (PROTECTED, [f"Bearer {VALID}"], 200, MESSAGE),
        (PROTECTED, [f"bEaReR {VALID}"], 200, MESSAGE),
        (ADMIN, [f"Bearer {VALID}"], 200, MESSAGE),
        (PROTECTED, [], 401, UNAUTHENTICATED),
        (ADMIN, [], 401, UNAUTHENTICATED),
        (PROTECTED, [""], 401, UNAUTHENTICATED),
        (PROTECTED, ["Bearer"], 401, UNAUTHENTICATED),
        (PROTECTED, ["Bearer "], 401, UNAUTHENTICATED),
        (PROTECTED, ["Basic YWxpY2U6c2VjcmV0"], 401, UNAUTHENTICATED),
        (PROTECTED, [f"BearerX {VALID}"], 401, UNAUTHENTICATED),
        (PROTECTED, [VALID], 401, UNAUTHENTICATED),
        (ADMIN, ["Bearer nonsense"], 401, BAD),
        (PROTECTED, ["Bearer nonsense"], 401, BAD),
        (PROTECTED, [f"Bearer  {VALID}"], 401, BAD),
        (PROTECTED, [f"Bearer {VALID} x"], 401, BAD),
        (PROTECTED, [f"Bearer {VALID},{VALID}"], 401, BAD),
        (PROTECTED, [f"Bearer {VALID}="], 401, BAD),
        (PROTECTED, [f'Bearer "{VALID}"'], 401, BAD),
        (PROTECTED, [f"Bearer {VALID}"] * 2, 401, BAD),
        (PROTECTED, ["Basic eA==", f"Bearer {VALID}"], 401, BAD),
        ("/", [], 404, NOT_FOUND),
        ("/api/messages/invalid", [], 404, NOT_FOUND),
        ("/api/messages/invalid", [f"Bearer {VALID}"], 404, NOT_FOUND),
        (f"{PROTECTED}/", [], 404, NOT_FOUND),
    ],
)
async def test_routes(
    api: Client,
    issuer: Issuer,
    method: str,
    path: str,
    authorization: list[str],
    status: int,
    says: Says,
) -> None:
    token = issuer.mint()
    headers = [("Authorization", value.replace(VALID, token)) for value in authorization]
    async with api.request(method, path, headers=headers) as response:
        assert response.status == status
        await check(response, says, has_body=method != "HEAD")


async def check(response: ClientResponse, says: Says, *, has_body: bool = True) -> None:
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    if says.challenge is None:
        assert "WWW-Authenticate" not in response.headers
    else:
        assert challenge(response.headers) == says.challenge
    if not has_body:
        assert await response.read() == b""
        return
    [(member, value)] = (await response.json()).items()
    assert member == says.member
    assert isinstance(value, str)
    assert value == says.value if says.value is not None else value


async def test_each_route_has_a_message_of_its_own(api: Client, issuer: Issuer) -> None:
    texts = set()
    for path in (PUBLIC, PROTECTED, ADMIN):
        async with api.get(path, headers=bearer(issuer.mint())) as response:
            texts.add((await response.json())["text"])
    assert len(texts) == 3


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense"])
async def test_the_document_is_for_everybody(api: Client, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method in ("GET", "HEAD"):
        async with api.request(method, DOCUMENT, headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    async with api.post(DOCUMENT) as response:
        assert response.status == 405


@pytest.mark.parametrize("where", ["query", "cookie", "form"])
async def test_a_token_anywhere_but_in_the_header_is_none(
    api: Client, issuer: Issuer, where: str
) -> None:
    token = issuer.mint()
    url = f"{PROTECTED}?access_token={token}" if where == "query" else PROTECTED
    cookies = {"access_token": token} if where == "cookie" else None
    data = {"access_token": token} if where == "form" else None
    async with api.get(url, cookies=cookies, data=data) as response:
        assert response.status == 401
        await check(response, UNAUTHENTICATED)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [PUBLIC, PROTECTED, ADMIN])
async def test_a_wrong_method_is_told_the_right_ones(api: Client, method: str, path: str) -> None:
    async with api.request(method, path) as response:
        assert response.status == 405
        await check(response, Says("message", HTTPStatus.METHOD_NOT_ALLOWED.phrase))
        assert set(response.headers["Allow"].split(",")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("permissions", "status"),
    [
        ({}, 403),
        ({"permissions": []}, 403),
        ({"permissions": ["read:messages"]}, 403),
        ({"permissions": ["read:admin-messages-too"]}, 403),
        ({"scope": "read:admin-messages"}, 403),
        ({"permissions": ["read:admin-messages"]}, 200),
        ({"permissions": ["a", "read:admin-messages", "b"]}, 200),
    ],
)
async def test_the_admin_message_asks_for_a_permission_where_one_is_configured(
    aiohttp_client: AiohttpClient, issuer: Issuer, permissions: dict[str, object], status: int
) -> None:
    config = config_for(issuer, ADMIN_PERMISSION="read:admin-messages")
    api = await aiohttp_client(ApiServer(create_app(config)))
    async with api.get(ADMIN, headers=bearer(issuer.mint(claims=permissions))) as response:
        assert response.status == status
        await check(response, DENIED if status == 403 else MESSAGE)


async def test_a_challenge_says_one_of_a_few_fixed_phrases(api: Client, issuer: Issuer) -> None:
    """Of its own for what a client can do something about, and the same for all else."""

    async def told(*tokens: str) -> str:
        headers = [("Authorization", f"Bearer {token}") for token in tokens]
        async with api.get(PROTECTED, headers=headers) as response:
            assert response.status == 401
            await check(response, BAD)
            return description(response.headers)

    def but(**claims: object) -> str:
        return issuer.mint(claims=claims)

    expired, early, several = await told(but(exp=1)), await told(but(nbf=9e9)), await told("a", "b")
    invalid = await told("nonsense")
    assert len({expired, early, several, invalid}) == 4
    assert await told(but(exp=2, sub="alice")) == expired
    assert await told(but(aud="https://b.example.com")) == invalid
    assert await told(but(iss="https://b.example.com/")) == invalid


async def test_an_issuer_that_is_down_is_a_503(
    aiohttp_client: AiohttpClient, issuer: Issuer
) -> None:
    token = issuer.mint(claims={"iss": "http://localhost:9/"})
    issuer.url = "http://localhost:9/"
    api = await aiohttp_client(ApiServer(create_app(config_for(issuer))))
    async with api.get(PROTECTED, headers=bearer(token)) as response:
        assert response.status == 503
        await check(response, UNAVAILABLE)
        assert response.headers["Retry-After"] == "1"
    async with api.get(PUBLIC) as response:
        assert response.status == 200


async def boom(_request: web.Request) -> web.Response:
    raise ZeroDivisionError("secret detail")


async def bad_gateway(_request: web.Request) -> web.Response:
    raise web.HTTPBadGateway(text="secret detail")


class NameOnlyError(web.HTTPClientError):
    status_code = 499


async def nameless(_request: web.Request) -> web.Response:
    raise NameOnlyError(reason="secret detail")


async def moved(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/elsewhere")


async def test_a_status_without_a_name_is_an_error_all_the_same(api_with_failures: Client) -> None:
    async with api_with_failures.get("/nameless") as response:
        assert response.status == 499
        await check(response, Says("message"))
        assert "secret" not in await response.text()


@pytest.mark.parametrize(
    ("path", "status"), [("/boom", 500), ("/bad-gateway", 502), ("/moved", 302)]
)
async def test_a_failure_says_no_more_than_its_status(
    api_with_failures: Client, path: str, status: int
) -> None:
    async with api_with_failures.get(path, allow_redirects=False) as response:
        assert response.status == status
        assert "secret" not in await response.text()
        if status >= 500:
            assert await response.json() == {"message": HTTPStatus(status).phrase}


EVERY_ANSWER = [
    ("GET", PUBLIC, {}, 200),
    ("HEAD", PUBLIC, {}, 200),
    ("GET", DOCUMENT, {}, 200),
    ("GET", PROTECTED, bearer(VALID), 200),
    ("GET", ADMIN, bearer(VALID), 403),
    ("GET", PROTECTED, {}, 401),
    ("GET", PROTECTED, bearer("nonsense"), 401),
    ("GET", "/nowhere", {}, 404),
    ("POST", PUBLIC, {}, 405),
    ("OPTIONS", PROTECTED, {"Access-Control-Request-Method": "GET"}, 200),
    ("OPTIONS", PROTECTED, {"Access-Control-Request-Method": "PUT"}, 403),
    ("OPTIONS", PROTECTED, {}, 403),
    ("OPTIONS", "/nowhere", {"Access-Control-Request-Method": "GET"}, 404),
    ("GET", PUBLIC, {"Expect": "the-impossible"}, 417),
    ("GET", "/boom", {}, 500),
    ("GET", "/bad-gateway", {}, 502),
    ("GET", "/moved", {}, 302),
]


@pytest.fixture
async def api_with_failures(aiohttp_client: AiohttpClient, issuer: Issuer) -> Client:
    """The API with an admin permission, and with some routes that fail."""
    app = create_app(config_for(issuer, ADMIN_PERMISSION="read:admin-messages"))
    failing = {"/boom": boom, "/bad-gateway": bad_gateway, "/moved": moved, "/nameless": nameless}
    for path, handler in failing.items():
        app.router.add_get(path, auth.public(handler))
    return await aiohttp_client(ApiServer(app))


@pytest.mark.parametrize(("method", "path", "headers", "status"), EVERY_ANSWER)
@pytest.mark.parametrize("origin", [ORIGIN, "http://localhost:4041", "null", None])
async def test_every_answer_has_security_headers_and_cors_for_one_origin(
    api_with_failures: Client,
    issuer: Issuer,
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
    origin: str | None,
) -> None:
    headers = {name: value.replace(VALID, issuer.mint()) for name, value in headers.items()}
    if origin is not None:
        headers["Origin"] = origin
    if method == "OPTIONS" and status == 200 and origin != ORIGIN:
        status = 403  # a preflight from elsewhere
    async with api_with_failures.request(
        method, path, headers=headers, allow_redirects=False
    ) as response:
        assert response.status == status
        answer = response.headers
        assert {name: answer[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert "Server" not in answer
        assert "X-Powered-By" not in answer
        assert answer["Vary"] == "Origin"
        assert answer.get("Access-Control-Allow-Origin") == (ORIGIN if origin == ORIGIN else None)
        assert ("Access-Control-Expose-Headers" in answer) is (origin == ORIGIN)
        assert "Access-Control-Allow-Credentials" not in answer
        assert origin is None or origin not in await response.text()


async def test_a_preflight_is_told_what_it_may_ask_for(api: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    async with api.options(PROTECTED, headers=asked) as response:
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Methods"] == "GET"
        allowed = response.headers["Access-Control-Allow-Headers"].lower().split(",")
        assert set(allowed) == {"authorization", "content-type"}
        assert response.headers["Access-Control-Max-Age"] == "86400"


async def test_a_preflight_for_another_header_is_refused_without_an_echo(api: Client) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-something",
    }
    async with api.options(PROTECTED, headers=asked) as response:
        assert response.status == 403
        await check(response, Says("message", HTTPStatus.FORBIDDEN.phrase))
        assert "Access-Control-Allow-Headers" not in response.headers
