"""What may a check decide by the request, and what is left of the request for the handler?"""

import asyncio
import functools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import FormData, web

from hello import auth
from hello.sandbox.issuer import Issuer
from hello.tokens import AccessToken, Requirement, check_requirements
from support.answers import challenge
from support.api import AUDIENCE, bearer
from support.logs import codes, faults, reasons
from support.naming import naming
from support.protecting import Serve, new_handler, status

OWNERS = {"7": "alice"}


def owns(token: auth.AccessToken, request: web.Request) -> bool:
    return OWNERS.get(request.match_info["number"]) == token.subject


async def owns_says_the_database(token: auth.AccessToken, request: web.Request) -> bool:
    await asyncio.sleep(0)
    return owns(token, request)


class Owner:
    def __call__(self, token: auth.AccessToken, request: web.Request) -> bool:
        return owns(token, request)

    async def method(self, token: auth.AccessToken, request: web.Request) -> bool:
        return owns(token, request)


def owns_with(_kind: str, token: auth.AccessToken, request: web.Request) -> bool:
    return owns(token, request)


def with_default(token: auth.AccessToken, request: web.Request | None = None) -> bool:
    return request is not None and owns(token, request)


def by_position(token: auth.AccessToken, request: web.Request, /) -> bool:
    return owns(token, request)


def and_more(token: auth.AccessToken, request: web.Request, *more: Any, **named: Any) -> bool:
    return owns(token, request) and not more and not named


def with_an_option(token: auth.AccessToken, request: web.Request, strict: str = "yes") -> bool:
    return bool(strict) and owns(token, request)


TAKE_THE_REQUEST: list[Callable[..., Any]] = [
    owns,
    owns_says_the_database,
    Owner(),
    Owner().method,
    functools.partial(owns_with, "reports"),
    with_default,
    by_position,
    and_more,
    with_an_option,
    lambda token, incoming: OWNERS.get(incoming.match_info["number"]) == token.subject,
]


@pytest.mark.parametrize("check", TAKE_THE_REQUEST)
async def test_a_check_sees_the_request(
    serve: Serve, issuer: Issuer, check: Callable[..., Any]
) -> None:
    client = await serve(web.get("/{number}", auth.protected(check=check)(new_handler())))
    alice, bob = issuer.mint(claims={"sub": "alice"}), issuer.mint(claims={"sub": "bob"})
    assert await status(client, alice, "/7") == 200
    assert await status(client, alice, "/8") == 403
    assert await status(client, bob, "/7") == 403


def strict_alone(token: auth.AccessToken, strict: str = "yes") -> bool:
    return strict == "yes" and token.subject == "alice"


TAKE_THE_TOKEN: list[Callable[..., Any]] = [
    strict_alone,
    lambda token: token.subject == "alice",
    lambda *arguments: len(arguments) == 1 and arguments[0].subject == "alice",
    lambda token, *more: not more and token.subject == "alice",
    lambda token, **more: not more and token.subject == "alice",
    lambda token, *, request=None: request is None and token.subject == "alice",
    functools.partial(strict_alone, strict="yes"),
]


@pytest.mark.parametrize("check", TAKE_THE_TOKEN)
async def test_a_check_of_the_token_alone_gets_nothing_else(
    serve: Serve, issuer: Issuer, check: Callable[..., Any]
) -> None:
    client = await serve(web.get("/", auth.protected(check=check)(new_handler())))
    assert await status(client, issuer.mint(claims={"sub": "alice"})) == 200
    assert await status(client, issuer.mint(claims={"sub": "bob"})) == 403


@pytest.mark.parametrize(
    "check",
    [
        lambda: True,
        lambda _token, _request, _more: True,
        lambda _token, *, _request: True,
        lambda *, token: token,
        lambda **named: bool(named),
    ],
)
def test_a_check_that_cannot_be_called_fails_where_it_is_written(check: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=naming("check", "AccessToken", "request")):
        auth.protected(check=check)


def asks_for_the_request_first(_incoming: web.Request, _token: auth.AccessToken) -> bool:
    return True


def written_as_text(_incoming: "web.Request", _token: "auth.AccessToken") -> bool:
    return True


written_as_text.__annotations__["_incoming"] = "web.Request"


@pytest.mark.parametrize(
    "check",
    [
        lambda request, token: request is token,
        lambda request: request is not None,
        lambda request=None: request is not None,
        asks_for_the_request_first,
        written_as_text,
    ],
)
def test_a_check_that_wants_the_request_first_fails_where_it_is_written(
    check: Callable[..., Any],
) -> None:
    with pytest.raises(TypeError, match=r"check\(token, request\)"):
        auth.protected(check=check)


def test_a_check_whose_parameters_are_unknown_gets_the_token_alone() -> None:
    assert not Requirement(check=min).check_takes_request


async def raises(_token: auth.AccessToken, _request: web.Request) -> bool:
    raise ZeroDivisionError("secret detail")


async def raises_an_answer(_token: auth.AccessToken, _request: web.Request) -> bool:
    raise web.HTTPFound("/in")


async def never_ends(_token: auth.AccessToken, _request: web.Request) -> bool:
    await asyncio.Event().wait()
    return True


def says(value: object) -> Callable[[auth.AccessToken, web.Request], Any]:
    return lambda _token, _request: value


@pytest.mark.parametrize(
    ("check", "faults_logged"),
    [
        (raises, 1),
        (raises_an_answer, 1),
        (never_ends, 1),
        (says(1), 1),
        (says(None), 1),
        (says("yes"), 1),
        (says(web.Response()), 1),
        (says(value=False), 0),
    ],
)
async def test_only_true_lets_a_request_through(
    aiohttp_client: Any,
    issuer: Issuer,
    caplog: pytest.LogCaptureFixture,
    check: Callable[..., Any],
    faults_logged: int,
) -> None:
    app = web.Application()
    validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, hook_timeout=0.01)
    auth.setup(app, validator)
    app.router.add_post("/", auth.protected(check=check)(new_handler()))
    client = await aiohttp_client(app)
    answer = await client.post("/", headers=bearer(issuer.mint()), data="x" * 100)
    assert answer.status == 403
    assert challenge(answer.headers)["error"] == "insufficient_scope"
    logged = [fault for fault in faults(caplog) if fault.levelno == logging.ERROR]
    assert len(logged) == faults_logged
    assert codes(caplog) == ["check"] * faults_logged
    assert reasons(caplog) == ["403 check"]


async def test_a_request_goes_through_after_its_token_and_not_before(
    serve: Serve, issuer: Issuer
) -> None:
    asked: list[object] = []

    def check(token: auth.AccessToken, _request: web.Request) -> bool:
        asked.append(token.subject)
        return True

    marked = auth.protected(check=check, permissions={"p"})(new_handler())
    client = await serve(web.get("/", marked))
    assert await status(client) == 401
    assert await status(client, issuer.mint(claims={"exp": 1})) == 401
    assert await status(client, issuer.mint()) == 403
    assert not asked
    assert await status(client, issuer.mint(claims={"permissions": ["p"], "sub": "a"})) == 200
    assert asked == ["a"]


@pytest.mark.parametrize("read_first", ["read", "text", "json"])
@pytest.mark.parametrize("then", ["read", "text", "json", "content", "nothing"])
async def test_a_body_that_a_check_read_is_there_for_the_handler(
    serve: Serve, issuer: Issuer, read_first: str, then: str
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        await getattr(request, read_first)()
        return bool((await request.json())["owner"] == "alice")

    @auth.protected(check=check)
    async def handler(request: web.Request) -> web.Response:
        if then == "nothing":
            return web.Response(text="{}")
        if then == "content":
            return web.Response(body=b"".join([part async for part in request.content]))
        read = await getattr(request, then)()
        return web.json_response(read) if then == "json" else web.Response(body=read)

    client = await serve(web.post("/", handler))
    for owner, expected in [("alice", 200), ("bob", 403), ("alice", 200)]:  # by one connection
        body = {"owner": owner, "more": "x" * 300_000}
        answer = await client.post("/", headers=bearer(issuer.mint()), json=body)
        assert answer.status == expected
        if expected == 200:
            assert await answer.json(content_type=None) == ({} if then == "nothing" else body)


@pytest.mark.parametrize("read_first", ["read", "text", "nothing"])
@pytest.mark.parametrize("then", ["post", "multipart"])
async def test_a_form_that_a_check_read_is_there_for_the_handler(
    serve: Serve, issuer: Issuer, read_first: str, then: str
) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        return read_first == "nothing" or len(await getattr(request, read_first)()) > 1000

    @auth.protected(check=check)
    async def handler(request: web.Request) -> web.Response:
        if then == "post":
            file = (await request.post())["file"]
            assert isinstance(file, web.FileField)
            return web.Response(body=file.file.read())
        part: Any = await (await request.multipart()).next()
        return web.Response(body=await part.read())

    client = await serve(web.post("/", handler))
    form = FormData()
    form.add_field("file", b"\x00a" * 100_000, filename="a.bin")
    answer = await client.post("/", headers=bearer(issuer.mint()), data=form)
    assert (answer.status, await answer.read()) == (200, b"\x00a" * 100_000)


async def test_an_empty_body_stays_empty(serve: Serve, issuer: Issuer) -> None:
    async def check(_token: auth.AccessToken, request: web.Request) -> bool:
        return await request.read() == b""

    @auth.protected(check=check)
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.read() + await request.content.read())

    client = await serve(web.get("/", handler))
    answer = await client.get("/", headers=bearer(issuer.mint()))
    assert (answer.status, await answer.read()) == (200, b"")


async def test_a_tenant_reads_only_its_own_host(serve: Serve, issuer: Issuer) -> None:
    def tenant_is_of_the_host(token: auth.AccessToken, request: web.Request) -> bool:
        return token.claims.get("org_id") == request.host.partition(".")[0]

    marked = auth.protected(check=tenant_is_of_the_host)(new_handler())
    client = await serve(web.get("/", marked))
    token = issuer.mint(claims={"org_id": "acme"})
    for host, expected in [("acme.example", 200), ("other.example", 403)]:
        assert await status(client, token, headers={"Host": host}) == expected


@pytest.mark.parametrize("validators", [1, 2])
async def test_the_checks_of_a_sub_application_and_its_handler_see_the_same_body(
    aiohttp_client: Any, issuer: Issuer, validator: auth.TokenValidator, validators: int
) -> None:
    async def is_small(_token: auth.AccessToken, request: web.Request) -> bool:
        return len(await request.read()) < 10

    @auth.protected(check=owns)
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=await request.content.read())

    part, app = auth.protected(check=is_small)(web.Application()), web.Application()
    part.router.add_post("/{number}", handler)
    auth.setup(app, validator)
    if validators == 2:
        auth.setup(part, auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE))
    app.add_subapp("/part", part)
    client = await aiohttp_client(app)
    for data, number, expected in [("abc", 7, 200), ("a" * 10, 7, 403), ("abc", 8, 403)]:
        headers = bearer(issuer.mint(claims={"sub": "alice"}))
        answer = await client.post(f"/part/{number}", headers=headers, data=data)
        assert answer.status == expected
        if expected == 200:
            assert await answer.text() == data


async def test_where_no_request_is_given_such_a_check_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    claims = {"iss": "https://issuer.example/", "sub": "alice", "exp": 2}
    token = AccessToken.of("", {}, claims)
    asked = [Requirement(check=says(value=True))]
    with pytest.raises(auth.InsufficientScopeError):
        await check_requirements(asked, token)
    assert len(faults(caplog)) == 1
    await check_requirements(asked, token, request=object())


async def test_an_explanation_says_which_routes_decide_by_the_request(
    issuer: Issuer, validator: auth.TokenValidator
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    marked = auth.protected(check=owns, permissions={"p"})(new_handler())
    app.router.add_get("/{number}", marked)
    for permissions, status_ in [(["p"], ""), ([], "403")]:
        token = issuer.mint(claims={"permissions": permissions})
        [(_method, _path, said)] = (await auth.explain(app, token)).routes
        assert "owns" in said
        assert ("403" in said) == (status_ == "403")
    await validator.close()
