"""Who is told what was decided about a request, and what if a listener fails?"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector, web
from aiohttp.test_utils import make_mocked_request

from hello import auth
from hello.auth.decisions.decision import Decision, decision_on
from hello.auth.protection import observe
from hello.connections import Runner
from hello.sandbox.issuer import Issuer
from support.api import ApiServer, Client, bearer
from support.clock import FakeClock
from support.logs import json_lines
from support.protecting import new_handler


@pytest.fixture
def decisions() -> list[Decision]:
    return []


@pytest.fixture
async def client(
    validator: auth.TokenValidator,
    aiohttp_client: Callable[[ApiServer], Awaitable[Client]],
    decisions: list[Decision],
) -> Client:
    app = web.Application()
    auth.setup(app, validator)
    observe(app, decisions.append)

    @auth.protected
    async def refuses(_request: web.Request) -> web.Response:
        raise auth.InsufficientScopeError(auth.Reason.CHECK)

    app.router.add_get("/users/{id}", new_handler())
    app.router.add_get("/admin", auth.protected(scopes={"admin"})(new_handler()))
    app.router.add_get("/refuses", refuses)
    app.router.add_get("/public", auth.public(new_handler()))
    app.router.add_get("/optional", auth.optional(new_handler()))
    return await aiohttp_client(ApiServer(app))


async def ask(client: Client, path: str, token: str | None = None) -> None:
    async with client.get(path, headers=bearer(token) if token else {}) as response:
        await response.read()


@pytest.mark.parametrize(
    ("path", "route", "claims", "told"),
    [
        ("/users/7", "/users/{id}", {}, ["allowed"]),
        ("/users/7", "/users/{id}", None, ["no_credentials"]),
        ("/users/7", "/users/{id}", {"exp": 1}, ["expired"]),
        ("/admin", "/admin", {}, ["scope"]),
        ("/admin", "/admin", {"scope": "admin"}, ["allowed"]),
        ("/refuses", "/refuses", {}, ["allowed", "check"]),
        ("/optional", "/optional", None, ["allowed"]),
        ("/optional", "/optional", {"exp": 1}, ["expired"]),
        ("/public", "", None, []),
        ("/nowhere", "", {}, []),
    ],
)
async def test_each_decision_is_told(
    client: Client,
    issuer: Issuer,
    decisions: list[Decision],
    path: str,
    route: str,
    claims: dict[str, object] | None,
    told: list[str],
) -> None:
    token = None if claims is None else issuer.mint(claims={"sub": "alice", **claims})
    await ask(client, path, token)
    assert [decision.outcome for decision in decisions] == told
    for decision in decisions:
        assert (decision.method, decision.route, decision.remote) == ("GET", route, "127.0.0.1")
        assert decision.seconds > 0
        assert abs(decision.at - issuer.clock()) < 60
        assert (decision.subject == "alice") is (token is not None)
        valid = decision.outcome not in ("no_credentials", "expired") and token is not None
        assert decision.issuer == (issuer.url if valid else None)
        assert [each.scopes for each in decision.requirements] == (
            [{"admin"}] if path == "/admin" else []
        )
        if decision.refusal is not None:
            assert decision.refusal.__traceback__ is None  # its frames would hold the token


async def test_a_listener_that_fails_harms_nobody(
    client: Client, issuer: Issuer, decisions: list[Decision], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, until it works again."""
    broken = [True]

    def fails(_decision: Decision) -> None:
        if broken[0]:
            raise OSError

    assert client.app is not None
    observe(client.app, fails)
    for works in (False, False, True, False):
        broken[0] = not works
        async with client.get("/users/7", headers=bearer(issuer.mint())) as response:
            assert response.status == 200
    assert len(decisions) == 4
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"] * 2


@pytest.mark.parametrize(("method", "kept"), [("PROPFIND", "PROPFIND"), ("X" * 8000, "X" * 32)])
def test_no_method_is_kept_that_is_longer_than_methods_are(
    clock: FakeClock, method: str, kept: str
) -> None:
    decision = decision_on(make_mocked_request(method, "/"), None, clock)
    assert decision.method == kept


@pytest.mark.parametrize("has_runner", [True, False])
async def test_a_decision_has_the_id_and_the_address_of_the_lines_in_the_log(
    validator: auth.TokenValidator, tmp_path: Path, *, has_runner: bool
) -> None:
    decisions: list[auth.Decision] = []
    app = web.Application()
    auth.setup(app, validator)
    observe(app, decisions.append)
    app.router.add_get("/", new_handler())
    runner = Runner(app) if has_runner else web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "socket")).start()
    connector = UnixConnector(str(tmp_path / "socket"))
    with json_lines() as log:
        async with ClientSession(connector=connector) as client, client.get("http://a/") as answer:
            assert answer.status == 401
            name = answer.headers.get("X-Request-ID")
        await runner.cleanup()
    [decision] = decisions
    assert (decision.request_id, decision.remote) == (name, "unix")
    [entry] = log.of("hello.auth")
    assert (entry.get("request_id"), entry["peer"]) == (name, "unix")
