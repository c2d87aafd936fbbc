"""Does hello/auth/coming-from.md tell the truth about where one arrives?

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
from aiohttp import web
from joserfc.jwk import RSAKey

from conftest import ApiServer, Client, bearer
from hello import auth
from hello.sandbox.issuer import Issuer
from pages import PROJECT, blocks, text

PAGE = "hello/auth/coming-from.md"
PYTHON = blocks(PAGE, "python")
BEFORE = [block for block in PYTHON if block.startswith("# before: ")]
AFTER = {
    block.splitlines()[0].removeprefix("# after: "): block
    for block in PYTHON
    if block.startswith("# after: ")
}


def app_of(framework: str, issuer: Issuer) -> web.Application:
    """What the example after a move makes, for an issuer that is up."""
    code = AFTER[framework].replace("https://dev-abc123.eu.auth0.com/", issuer.url)
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
    ("Express", "GET /health", None, 200, {"status": "up"}),
    ("Express", "GET /reports", None, 401, UNKNOWN),
    ("Express", "GET /reports", ALICE, 403, DENIED),
    ("Express", "GET /reports", READER, 200, {"for": "alice"}),
    ("Express", "GET /reports", {**ALICE, "scp": ["read:reports"]}, 200, {"for": "alice"}),
    ("Express", "DELETE /users/bob", READER, 403, DENIED),
    ("Express", "DELETE /users/bob", {"permissions": ["delete:users"]}, 200, {"deleted": "bob"}),
    ("FastAPI", "GET /reports", None, 401, UNKNOWN),
    ("FastAPI", "GET /reports", ALICE, 403, DENIED),
    ("FastAPI", "GET /reports", READER, 200, {"for": "alice"}),
    ("FastAPI", "GET /letters", ALICE, 403, DENIED),
    ("FastAPI", "GET /letters", LETTERS, 200, {"to": "alice@example.com"}),
    ("FastAPI", "GET /letters", {**LETTERS, "email_verified": 1}, 403, DENIED),
    ("Flask", "GET /reports", None, 401, UNKNOWN),
    ("Flask", "GET /reports", ALICE, 403, DENIED),
    ("Flask", "GET /reports", READER, 200, {"for": "alice"}),
    ("Flask", "GET /greeting", None, 200, {"hello": "stranger"}),
    ("Flask", "GET /greeting", ALICE, 200, {"hello": "alice"}),
    ("Flask", "GET /greeting", {**ALICE, "exp": 1}, 401, BAD),
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


@pytest.mark.parametrize("framework", AFTER)
def test_every_route_of_the_examples_is_asked(sandbox_issuer: Issuer, framework: str) -> None:
    asked = {line.replace("/bob", "/{name}") for where, line, *_ in ROWS if where == framework}
    routes = auth.routes(app_of(framework, sandbox_issuer))
    there = {f"{route.method} {route.path}" for route in routes if route.method != "HEAD"}
    assert asked == there


@pytest.mark.parametrize("framework", AFTER)
def test_the_examples_after_a_move_are_programs(
    monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    served: list[object] = []
    monkeypatch.setattr(web, "run_app", lambda app, **_where: served.append(app))
    exec(compile(AFTER[framework], PAGE, "exec"), {"__name__": "__main__"})
    assert [type(app) for app in served] == [web.Application]


def test_each_python_example_is_before_or_after_a_move() -> None:
    assert len(BEFORE) + len(AFTER) == len(PYTHON)
    assert set(AFTER) == {"Express", "FastAPI", "Flask"}


@pytest.mark.parametrize("block", BEFORE)
def test_the_examples_before_a_move_are_python(block: str) -> None:
    compile(block, PAGE, "exec", dont_inherit=True)


@pytest.mark.parametrize("block", blocks(PAGE, "js"))
def test_the_examples_before_a_move_are_javascript(tmp_path: Path, block: str) -> None:
    assert block.startswith("// before: ")
    code = re.sub(r"//.*|\"[^\"\n]*\"", "", block)
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)
    node = shutil.which("node")
    if node is not None:
        script = tmp_path / "before.cjs"
        script.write_text(block, "utf-8")
        subprocess.run([node, "--check", script], check=True)


def spans_on_the_right() -> list[str]:
    """Each piece of code in the tables' second columns."""
    rows = re.findall(r"^\| (?!-)(.+?) \| (.+?) \|$", text(PAGE), re.MULTILINE)
    return [span for _, right in rows for span in re.findall(r"`([^`]+)`", right)]


NAMED = {  # that are no expressions
    "https://",
    "/",
    "aiohttp_client",
    "audience",
    "await request.json()",
    "exp",
    "issuer",
    "python my_api.py",
    "run.py",
    "sandbox_issuer",
    "RouteTableDef",
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
        "issuer": url,
        "jwks_uri": f"{url}.well-known/jwks.json",
        "audience": audience,
        "secret": b"0123456789abcdef" * 2,
        "public_key": RSAKey.generate_key(2048).as_pem(private=False),
        "validator": validator,
        "request": {auth.ACCESS_TOKEN: await validator.validate(sandbox_issuer.mint())},
        "one_issuer": auth.TrustedIssuer(issuer=url, audience="a"),
        "another_issuer": auth.TrustedIssuer(issuer="https://b.example.com", audience="b"),
        "check": lambda _token: True,
        "is_revoked": lambda _token: False,
    }
    option = re.match(r"(\w+)=", span)
    if option is None:
        value = eval(span.removeprefix("@"), names)
        assert value is not None or span.startswith("auth.setup(")
    elif option[1] == "issuers":
        eval(f"auth.TokenValidator({span})", names)
    else:
        usual = PLAIN.get(span, "auth.TokenValidator(issuer=issuer, audience=audience, {})")
        eval(usual.format(span), names)
