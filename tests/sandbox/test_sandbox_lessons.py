"""What may the demo client's page learn and change in the sandbox, and who else may not?"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from aiohttp import ClientSession
from joserfc.jwk import Key

from hello.sandbox.lessons.flaws import FLAWS
from hello.tokens.jwt.compact import parse
from support.api import AUDIENCE, bearer
from support.sandbox_walk import Sandbox, sandbox

ROUTES = ["request", "check", "flawed-token", "issuer"]
REASONS = {
    "expired": "expired",
    "audience": "audience",
    "signature": "signature",
    "unknown_key": "unknown_key",
    "bound": "bound",
}


@pytest.fixture
async def there(keys: list[Key]) -> AsyncIterator[Sandbox]:
    async with sandbox(key=keys[0]) as there:
        yield there


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def lesson(
    session: ClientSession, there: Sandbox, name: str, asked: Mapping[str, Any], status: int = 200
) -> Any:
    url = f"{there.client}/lessons/{name}"
    async with session.post(url, json=asked, headers={"Origin": there.client}) as response:
        assert response.status == status
        return await response.json()


async def ask_api(
    session: ClientSession, there: Sandbox, token: str, *, origin: str | None = None, path: str = ""
) -> tuple[int, str]:
    """Send a token as the page does. Return the status, and the id of the request."""
    headers = {**bearer(token), "Origin": origin or there.client}
    url = f"{there.api}/api/messages/{path or 'protected'}"
    async with session.get(url, headers=headers) as response:
        return response.status, response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "origins",
    [[], ["null"], ["http://localhost:1"], ["{}.evil.example"], ["{}/"], ["{}", "{}"], ["{} {}"]],
)
async def test_no_other_page_learns_or_changes_anything(
    session: ClientSession, there: Sandbox, origins: list[str]
) -> None:
    headers = [("Origin", origin.replace("{}", there.client)) for origin in origins]
    asked = {"on": False, "flaw": "expired", "shortLived": True}
    for name in ROUTES:
        url = f"{there.client}/lessons/{name}"
        async with session.post(url, json=asked, headers=headers) as response:
            assert response.status == 403
            assert "Access-Control-Allow-Origin" not in response.headers
    assert await lesson(session, there, "issuer", {}) == {"on": True, "shortLived": False}


async def test_what_a_form_or_a_link_could_send_is_refused(
    session: ClientSession, there: Sandbox
) -> None:
    for name in ROUTES:
        url = f"{there.client}/lessons/{name}"
        for content_type in ("text/plain", "application/x-www-form-urlencoded"):
            headers = {"Origin": there.client, "Content-Type": content_type}
            async with session.post(url, data=b'{"on": false}', headers=headers) as response:
                assert response.status == 415
        async with session.get(url) as response:
            assert response.status == 404
    assert (await lesson(session, there, "issuer", {}))["on"] is True


async def test_another_page_gets_no_leave_to_send_json(
    session: ClientSession, there: Sandbox
) -> None:
    preflight = {
        "Origin": "http://localhost:1",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    for name in ROUTES:
        url = f"{there.client}/lessons/{name}"
        async with session.options(url, headers=preflight) as response:
            assert response.status == 405
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"on": NaN}', b"\xff", b"[" * 999])
async def test_what_is_no_object_is_not_understood(
    session: ClientSession, there: Sandbox, body: bytes
) -> None:
    headers = {"Origin": there.client, "Content-Type": "application/json"}
    for name in ROUTES:
        url = f"{there.client}/lessons/{name}"
        async with session.post(url, data=body, headers=headers) as response:
            assert response.status == 404


UNKNOWN: list[tuple[str, dict[str, Any]]] = [
    ("request", {}),
    ("request", {"id": "unknown"}),
    ("request", {"id": ["x"]}),
    ("check", {}),
    ("check", {"token": "", "scheme": "Bearer"}),
    ("check", {"token": 1, "scheme": "Bearer"}),
    ("check", {"token": "x", "scheme": "Basic"}),
    ("flawed-token", {}),
    ("flawed-token", {"flaw": "none"}),
    ("flawed-token", {"flaw": ["expired"]}),
    ("flawed-token", {"flaw": "expired", "key": 1}),
    ("flawed-token", {"flaw": "expired", "key": "k" * 44}),
]


async def test_what_is_not_known_is_a_404(session: ClientSession, there: Sandbox) -> None:
    for name, asked in UNKNOWN:
        await lesson(session, there, name, asked, status=404)


def test_each_flaw_has_a_reason() -> None:
    assert REASONS.keys() == FLAWS.keys()


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("key", [None, "k" * 43])
async def test_a_flawed_token_is_refused_for_its_flaw(
    session: ClientSession, there: Sandbox, flaw: str, key: str | None
) -> None:
    asked = {"flaw": flaw, "key": key}
    token = (await lesson(session, there, "flawed-token", asked))["token"]
    bound_to = parse(token).claims.get("cnf", {}).get("jkt")
    assert bound_to == key or (flaw == "bound" and len(bound_to) == 43)
    status, request = await ask_api(session, there, token)
    assert status == 401
    if key is None:
        seen = await lesson(session, there, "request", {"id": request})
        assert f"refused 401 {REASONS[flaw]}:" in "\n".join(seen["log"])


async def test_the_api_is_witnessed_without_its_tokens(
    session: ClientSession, there: Sandbox
) -> None:
    token = there.issuer.mint()
    preflight = {
        "Origin": there.client,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    url = f"{there.api}/api/messages/protected"
    async with session.options(url, headers=preflight) as response:
        assert response.status == 200
    status, request = await ask_api(session, there, token)
    assert status == 200
    seen = await lesson(session, there, "request", {"id": request})
    assert seen["request"].startswith("GET /api/messages/protected HTTP/1.1\n")
    assert f"Authorization: Bearer …{token[-4:]}" in seen["request"]
    assert seen["answer"].startswith("HTTP/1.1 200 OK\n")
    assert f"X-Request-ID: {request}" in seen["answer"]
    assert f"X-Request-ID: {request}" in seen["answer"]
    assert "Strict-Transport-Security" in seen["answer"]
    assert seen["preflight"]["request"].startswith("OPTIONS ")
    assert "Access-Control-Max-Age: 86400" in seen["preflight"]["answer"]
    assert token not in str(seen)
    assert parse(token).signing_input.decode() not in str(seen)


async def test_the_line_of_the_log_has_the_reason_that_the_answer_has_not(
    session: ClientSession, there: Sandbox
) -> None:
    status, request = await ask_api(session, there, "x")
    assert status == 401
    seen = await lesson(session, there, "request", {"id": request})
    [line] = seen["log"]
    assert "refused 401 malformed: GET /api/messages/protected" in line
    assert f"request={request}" in line
    assert seen["preflight"] is None


async def test_a_challenge_is_shown_as_it_was_sent(session: ClientSession, there: Sandbox) -> None:
    headers = {**bearer("x"), "Origin": there.client}
    async with session.get(f"{there.api}/api/messages/protected", headers=headers) as response:
        challenge = response.headers["WWW-Authenticate"]
    assert 'Bearer realm="api"' in challenge
    asked = {"id": response.headers["X-Request-ID"]}
    seen = await lesson(session, there, "request", asked)
    assert f"\nWWW-Authenticate: {challenge}\n" in seen["answer"]


async def test_no_request_fills_the_memory_with_lines(
    session: ClientSession, there: Sandbox
) -> None:
    _status, request = await ask_api(session, there, "x")
    about = {"request_id": request, "peer": "-"}
    for _ in range(30):
        logging.getLogger("hello").warning("once more", extra=about)
    seen = await lesson(session, there, "request", {"id": request})
    assert len(seen["log"]) == 20


async def test_requests_of_other_origins_are_not_remembered(
    session: ClientSession, there: Sandbox
) -> None:
    _status, request = await ask_api(session, there, "x", origin="http://localhost:1")
    await lesson(session, there, "request", {"id": request}, status=404)


async def test_only_the_latest_hundred_are_remembered(
    session: ClientSession, there: Sandbox
) -> None:
    requests = [(await ask_api(session, there, "x"))[1] for _ in range(101)]
    await lesson(session, there, "request", {"id": requests[0]}, status=404)
    await lesson(session, there, "request", {"id": requests[1]})


async def test_a_token_is_explained_as_at_a_terminal(
    session: ClientSession, there: Sandbox
) -> None:
    token = there.issuer.mint(claims={"aud": "https://other.example.com"})
    asked = {"token": token, "scheme": "Bearer"}
    text = (await lesson(session, there, "check", asked))["text"]
    assert "https://other.example.com" in text
    assert AUDIENCE in text
    assert token not in text


async def test_a_proof_is_explained_with_its_token(session: ClientSession, there: Sandbox) -> None:
    asked = {"token": there.issuer.mint(claims={"cnf": {"jkt": "k" * 43}}), "scheme": "DPoP"}
    alone = await lesson(session, there, "check", asked)
    together = await lesson(session, there, "check", {**asked, "proof": "x"})
    assert alone["text"] != together["text"]


async def test_while_the_issuer_is_off_the_last_good_keys_are_used(
    session: ClientSession, there: Sandbox
) -> None:
    good = there.issuer.mint()
    unknown = (await lesson(session, there, "flawed-token", {"flaw": "unknown_key"}))["token"]
    assert (await ask_api(session, there, good))[0] == 200
    assert await lesson(session, there, "issuer", {"on": False}) == {
        "on": False,
        "shortLived": False,
    }
    async with session.get(there.issuer.url) as response:
        assert response.status == 503
        assert there.client in await response.text()
    async with session.get(f"{there.issuer.url}assets/page.css") as response:
        assert response.status == 200
    assert (await ask_api(session, there, good))[0] == 200
    assert (await ask_api(session, there, unknown))[0] == 503
    assert (await lesson(session, there, "issuer", {"on": True}))["on"] is True
    async with session.get(there.issuer.url) as response:
        assert response.status == 200


async def test_the_page_of_an_issuer_that_is_off_leads_to_its_own_client_alone(
    session: ClientSession, there: Sandbox
) -> None:
    await lesson(session, there, "issuer", {"on": False})
    evil = "https://evil.example.com"
    asked = {"redirect_uri": evil, "returnTo": evil, "post_logout_redirect_uri": evil}
    headers = {"Origin": evil, "Referer": evil, "Host": "evil.example.com"}
    for path in ("", "authorize", "v2/logout", "oidc/logout", "evil.example.com"):
        url = f"{there.issuer.url}{path}"
        async with session.get(url, params=asked, headers=headers) as response:
            assert response.status == 503
            html = await response.text()
        assert re.findall(r'<a href="([^"]*)"', html) == [f"{there.client}/"]
        assert "evil" not in html


async def test_tokens_can_be_short_lived_for_a_while(
    session: ClientSession, there: Sandbox
) -> None:
    for short, seconds in ((True, 30), ("yes", 30), (False, 86400)):
        await lesson(session, there, "issuer", {"shortLived": short})
        claims = parse(there.issuer.mint()).claims
        assert claims["exp"] - claims["iat"] == seconds
