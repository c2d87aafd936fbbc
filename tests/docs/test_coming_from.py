"""Does hello/docs/coming-from.md tell the truth about where one arrives?

The other frameworks are not installed here: of the examples before a move, only the syntax is
checked, for JavaScript by Node.js where there is one, and by counting brackets where there is not.
"""

import re
import shutil
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp_cors
import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import make_mocked_request
from aiohttp.typedefs import Handler
from joserfc.jwk import RSAKey

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.pages import PROJECT, example, examples, row, text
from support.validators import presented

PAGE = "hello/docs/coming-from.md"
FRAMEWORKS = ("express", "fastapi", "flask")


def app_of(framework: str, issuer: Issuer) -> web.Application:
    """What the example after a move makes, for an issuer that is up."""
    code = example(PAGE, f"{framework}-after").replace(
        "https://dev-abc123.eu.auth0.com/", issuer.url
    )
    names: dict[str, Any] = {"__name__": "after"}
    exec(compile(code, PAGE, "exec"), names)
    app = names["create_app"]()
    assert isinstance(app, web.Application)
    return app


ALICE = {"sub": "alice"}
READER = {**ALICE, "scope": "openid read:reports"}
LETTERS = {**ALICE, "email": "alice@example.com", "email_verified": True}
DENIED = {"message": "Permission denied"}
UNKNOWN = {"message": "Requires authentication"}
BAD = {"message": "Bad credentials"}
ROWS: list[tuple[str, str, dict[str, Any] | None, int, dict[str, str]]] = [
    ("express", "GET /health", None, 200, {"status": "up"}),
    ("express", "GET /reports", None, 401, UNKNOWN),
    ("express", "GET /reports", ALICE, 403, DENIED),
    ("express", "GET /reports", READER, 200, {"for": "alice"}),
    ("express", "GET /reports", {**ALICE, "scp": ["read:reports"]}, 200, {"for": "alice"}),
    ("express", "DELETE /users/bob", READER, 403, DENIED),
    ("express", "DELETE /users/bob", {"permissions": ["delete:users"]}, 200, {"deleted": "bob"}),
    ("fastapi", "GET /reports", None, 401, UNKNOWN),
    ("fastapi", "GET /reports", ALICE, 403, DENIED),
    ("fastapi", "GET /reports", READER, 200, {"for": "alice"}),
    ("fastapi", "GET /letters", ALICE, 403, DENIED),
    ("fastapi", "GET /letters", LETTERS, 200, {"to": "alice@example.com"}),
    ("fastapi", "GET /letters", {**LETTERS, "email_verified": 1}, 403, DENIED),
    ("flask", "GET /reports", None, 401, UNKNOWN),
    ("flask", "GET /reports", ALICE, 403, DENIED),
    ("flask", "GET /reports", READER, 200, {"for": "alice"}),
    ("flask", "GET /greeting", None, 200, {"hello": "stranger"}),
    ("flask", "GET /greeting", ALICE, 200, {"hello": "alice"}),
    ("flask", "GET /greeting", {**ALICE, "exp": 1}, 401, BAD),
]


@pytest.mark.parametrize(("framework", "request_line", "claims", "status", "body"), ROWS)
async def test_the_examples_after_a_move_answer(
    sandbox_issuer: Issuer,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    framework: str,
    request_line: str,
    claims: dict[str, Any] | None,
    status: int,
    body: dict[str, str],
) -> None:
    client = await aiohttp_client(ApiServer(app_of(framework, sandbox_issuer)))
    method, path = request_line.split()
    headers = {} if claims is None else bearer(sandbox_issuer.mint(claims=claims))
    async with client.request(method, path, headers=headers) as response:
        assert (response.status, await response.json()) == (status, body)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_route_of_the_examples_is_asked(sandbox_issuer: Issuer, framework: str) -> None:
    asked = {line.replace("/bob", "/{name}") for where, line, *_ in ROWS if where == framework}
    routes = auth.routes(app_of(framework, sandbox_issuer))
    there = {f"{route.method} {route.path}" for route in routes if route.method != "HEAD"}
    assert asked == there


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_examples_after_a_move_are_programs(
    monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    served: list[object] = []
    monkeypatch.setattr(web, "run_app", lambda app, **_where: served.append(app))
    code = compile(example(PAGE, f"{framework}-after"), PAGE, "exec")
    exec(code, {"__name__": "__main__"})
    assert [type(app) for app in served] == [web.Application]


def test_each_example_is_before_or_after_a_move() -> None:
    named = [f"{framework}-{when}" for framework in FRAMEWORKS for when in ("before", "after")]
    assert list(examples(PAGE)) == named


def test_the_example_before_a_move_from_express_is_javascript(tmp_path: Path) -> None:
    """And `test_pages.py` reads those that are Python."""
    code = re.sub(r"//.*|\"[^\"\n]*\"", "", example(PAGE, "express-before"))
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)
    node = shutil.which("node")
    if node is not None:
        script = tmp_path / "before.cjs"
        script.write_text(example(PAGE, "express-before"), "utf-8")
        subprocess.run([node, "--check", script], check=True)


def spans_on_the_right() -> list[str]:
    """Each piece of code in the tables' second columns."""
    rows = re.findall(r"^\| (?!-)(.+?) \| (.+?) \|$", text(PAGE), re.MULTILINE)
    return [span for _, right in rows for span in re.findall(r"`([^`]+)`", right)]


async def nothing_there(_url: str) -> bytes:
    return b"{}"


async def body_of_its_own(_request: web.Request, refusal: auth.AuthError) -> web.Response:
    return web.json_response({"code": refusal.status})


def request_with(token: auth.AccessToken) -> web.Request:
    request = make_mocked_request("GET", "/")
    request[auth.ACCESS_TOKEN] = token
    return request


NAMED = {  # that are no expressions
    "auth.setup",
    "https://",
    "/",
    "aiohttp_client",
    "audience",
    "await request.json()",
    "exp",
    "hello.auth",
    "issuer",
    "python my_api.py",
    "run.py",
    "sandbox_issuer",
    "watchfiles 'python my_api.py'",
    "web.run_app(app)",
}
PLAIN = {"keys=public_key": "auth.TrustedIssuer(issuer=issuer, audience=audience, {})"}


@pytest.mark.parametrize("span", sorted(set(spans_on_the_right()) - NAMED))
async def test_the_code_on_the_right_is_accepted(sandbox_issuer: Issuer, span: str) -> None:
    if re.fullmatch(r"[A-Z0-9_]+", span):
        assert f"\n{span}=" in (PROJECT / ".env.example").read_text("utf-8")
        return
    url, audience = sandbox_issuer.url, sandbox_issuer.audience
    validator = auth.TokenValidator(issuer=url, audience=audience)
    names = {
        "aiohttp_cors": aiohttp_cors,
        "auth": auth,
        "app": web.Application(),
        "web": web,
        "issuer": url,
        "jwks_uri": f"{url}.well-known/jwks.json",
        "audience": audience,
        "secret": b"0123456789abcdef" * 2,
        "public_key": RSAKey.generate_key(2048).as_pem(private=False),
        "validator": validator,
        "request": request_with(await validator.validate(presented(sandbox_issuer.mint()))),
        "one_issuer": auth.TrustedIssuer(issuer=url, audience="a"),
        "another_issuer": auth.TrustedIssuer(issuer="https://b.example.com", audience="b"),
        "check": lambda _token: True,
        "is_revoked": lambda _token: False,
        "fetch": nothing_there,
        "child": web.Application(),
        "files": auth.RouteTable(),
        "refuse": body_of_its_own,
    }
    option = re.match(r"(\w+)=", span)
    if re.match(r"\w+ = ", span):
        exec(span, names)
    elif option is None:
        value = eval(span.removeprefix("@").removeprefix("raise "), names)
        assert value is not None or span.startswith(("auth.setup(", "files.static("))
    elif option[1] == "issuers":
        eval(f"auth.TokenValidator({span})", names)
    else:
        usual = PLAIN.get(span, "auth.TokenValidator(issuer=issuer, audience=audience, {})")
        eval(usual.format(span), names)


# --- What a span alone does not show -------------------------------------------------------------


Serve = Callable[[ApiServer], Awaitable[Client]]


def spans_of(name: str) -> list[str]:
    """The code on the right in the row of this id."""
    return re.findall("`([^`]+)`", row(PAGE, name)[1])


async def hello(request: web.Request) -> web.Response:
    token = request.get(auth.ACCESS_TOKEN)
    return web.json_response({"for": token and token.subject})


async def status(client: Client, path: str, token: str | None = None) -> int:
    async with client.get(path, headers=bearer(token) if token else {}) as response:
        return response.status


async def test_single_routes_ask_for_a_token_and_the_rest_is_open(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Serve, tmp_path: Path
) -> None:
    app = web.Application()
    auth.setup(app, validator)
    [table] = spans_of("rest-open")
    rest = eval(table, {"auth": auth, "web": web})
    rest.get("/open")(hello)
    app.add_routes(rest)
    app.router.add_get("/reports", hello)
    (tmp_path / "a.txt").write_text("a")
    names = {"auth": auth, "web": web, "app": app}
    for span in spans_of("static-files"):
        exec(span.replace('"public"', repr(str(tmp_path))), names)
    client = await aiohttp_client(ApiServer(app))
    asked = [await status(client, path) for path in ("/open", "/files/a.txt", "/reports")]
    assert asked == [200, 200, 401]
    opened = {route.path for route in auth.routes(app) if route.access == "public"}
    assert opened == {"/open", "/files"}
    assert await status(client, "/reports", issuer.mint()) == 200
    with pytest.raises(TypeError):
        auth.public(app)


async def test_two_audiences_by_path_are_kept_apart(issuer: Issuer, aiohttp_client: Serve) -> None:
    [setup] = spans_of("two-audiences")
    app = web.Application()
    for name in "ab":
        child = web.Application()
        validator = auth.TokenValidator(issuer=issuer.url, audience=name)
        eval(setup, {"auth": auth, "child": child, "validator": validator})
        child.router.add_get("/", hello)
        app.add_subapp(f"/{name}", child)
    together = web.Application()
    auth.setup(together, auth.TokenValidator(issuer=issuer.url, audience=["a", "b"]))
    together.router.add_get("/a/", hello)
    [only_a] = re.findall(r"`@(auth.protected\(claims=\{\"aud\".*?)`", text(PAGE))
    of_a = eval(only_a)(web.Application())
    of_a.router.add_get("/", hello)
    together.add_subapp("/only", of_a)
    apart, mixed = [await aiohttp_client(ApiServer(each)) for each in (app, together)]
    for name, other in ("ab", "ba"):
        token = issuer.mint(claims={"aud": name})
        assert await status(apart, f"/{name}/", token) == 200
        assert await status(apart, f"/{other}/", token) == 401
        assert await status(mixed, "/a/", token) == 200
        assert await status(mixed, "/only/", token) == (200 if name == "a" else 403)


@pytest.mark.parametrize("name", ["own-body", "own-body-fastapi", "own-body-flask"])
async def test_refusals_can_have_another_body(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Serve, name: str
) -> None:
    """A middleware inside sees the token, and a handler's refusal is answered as any other."""
    [setup] = spans_of(name)
    app = web.Application()
    eval(setup, {"auth": auth, "app": app, "validator": validator, "refuse": body_of_its_own})
    [read, _] = spans_of("in-middleware")
    [refuse] = spans_of("refuse-in-handler")
    seen: list[str | None] = []

    @web.middleware
    async def inside(request: web.Request, handler: Handler) -> web.StreamResponse:
        token = eval(read, {"auth": auth, "request": request})
        seen.append(token and token.subject)
        return await handler(request)

    async def refusing(_request: web.Request) -> web.Response:
        exec(refuse, {"auth": auth})
        raise AssertionError

    app.middlewares.append(inside)
    app.router.add_get("/", hello)
    app.router.add_get("/refusing", refusing)
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims={"sub": "alice"})
    for path, headers, expected in [
        ("/", {}, {"code": 401}),
        ("/", bearer(token), {"for": "alice"}),
        ("/refusing", bearer(token), {"code": 403}),
    ]:
        async with client.get(path, headers=headers) as response:
            assert await response.json() == expected
    assert seen == ["alice", "alice"]


async def test_no_rule_of_ones_own_puts_a_text_into_the_answer(
    validator: auth.TokenValidator, issuer: Issuer, aiohttp_client: Serve
) -> None:
    """Nor does it make a 401."""

    def check(_token: auth.AccessToken) -> bool:
        return False

    [mark] = spans_of("validators")
    [same] = spans_of("check-with-text")
    assert mark == same
    app = eval(mark.removeprefix("@"), {"auth": auth, "check": check})(web.Application())
    auth.setup(app, validator)
    app.router.add_get("/", hello)
    client = await aiohttp_client(ApiServer(app))
    async with client.get("/", headers=bearer(issuer.mint())) as response:
        assert (response.status, await response.json()) == (403, DENIED)


async def test_a_fetch_of_ones_own_is_the_way_through_a_proxy(issuer: Issuer) -> None:
    urls: list[str] = []

    async def fetch(url: str) -> bytes:
        urls.append(url)
        async with ClientSession() as session, session.get(url) as response:
            return await response.read()

    option, error = spans_of("proxy")
    names = {"auth": auth, "issuer": issuer.url, "audience": issuer.audience, "fetch": fetch}
    validator = eval(f"auth.TokenValidator(issuer=issuer, audience=audience, {option})", names)
    await validator.validate(presented(issuer.mint()))
    await validator.close()
    assert len(urls) == 2

    async def failing(_url: str) -> bytes:
        raise eval(error, names)("the proxy is gone")

    validator = eval(
        f"auth.TokenValidator(issuer=issuer, audience=audience, {option})",
        names | {"fetch": failing},
    )
    with pytest.raises(auth.KeysUnavailableError):
        await validator.validate(presented(issuer.mint()))
    await validator.close()
