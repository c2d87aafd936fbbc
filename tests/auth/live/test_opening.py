"""Where may the token of a WebSocket be, and who is refused before it opens?"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import bearer
from support.clock import FakeClock
from support.live import Live, answered, closed, send_token
from support.logs import faults, reasons
from support.proofs import bound_to, proof

Start = Callable[..., Awaitable[Live]]
PREFIX = "base64url.bearer.authorization.k8s.io."
ANYWHERE = {"subprotocol", "message"}


def k8s(token: str) -> str:
    return PREFIX + base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()


def filled_in(offers: list[str], token: str) -> list[str]:
    return [{"TOKEN": token, "K8S": k8s(token)}.get(name, name) for name in offers]


@pytest.mark.parametrize("also_from", [(), {"subprotocol"}, {"message"}, ANYWHERE])
async def test_a_token_in_the_header_opens_it(live: Start, also_from: Any) -> None:
    there = await live(also_from)
    async with there.opened(there.mint()) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        assert socket.protocol is None


@pytest.mark.parametrize(
    ("offers", "known", "chosen"),
    [
        (["bearer", "TOKEN"], (), "bearer"),
        (["bearer", "TOKEN"], ("v1", "v2"), "bearer"),
        (["bearer", "TOKEN", "v2"], ("v1", "v2"), "v2"),
        (["v2", "v1", "bearer", "TOKEN"], ("v1", "v2"), "v2"),
        (["K8S", "v1"], ("v1",), "v1"),
        (["v1", "K8S"], ["v1"], "v1"),
    ],
)
async def test_a_token_in_a_sub_protocol_opens_it_and_is_not_named_in_the_answer(
    live: Start, caplog: pytest.LogCaptureFixture, offers: list[str], known: Any, chosen: str
) -> None:
    there = await live({"subprotocol"}, protocols=known)
    async with there.opened(protocols=filled_in(offers, there.mint())) as socket:
        assert socket.protocol == chosen
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    assert not caplog.records


@pytest.mark.parametrize("more", [{}, {"type": "auth", "x": [{"access_token": 1}]}])
async def test_a_token_in_the_first_message_is_answered_and_does_not_reach_the_handler(
    live: Start, more: dict[str, Any]
) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        await send_token(socket, there.mint(), **more)
        assert await answered(socket) == {"status": 200, "expires_in": 3600}
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    assert there.received == ["hello"]
    assert [decision.outcome for decision in there.decisions] == ["allowed"]
    assert there.decisions[0].token_id is not None or there.decisions[0].subject is not None


@pytest.mark.parametrize(
    ("also_from", "offers", "status", "reason"),
    [
        ((), [], 401, "no_credentials"),
        ((), ["bearer", "TOKEN"], 401, "no_credentials"),
        ((), ["K8S", "v1"], 401, "no_credentials"),
        ({"message"}, ["bearer", "TOKEN"], 400, None),
        ({"subprotocol"}, [], 401, "no_credentials"),
        ({"subprotocol"}, ["bearer"], 401, "no_credentials"),
        ({"subprotocol"}, ["TOKEN", "bearer"], 401, "no_credentials"),
        ({"subprotocol"}, ["Bearer", "TOKEN"], 401, "no_credentials"),
        ({"subprotocol"}, ["TOKEN"], 401, "no_credentials"),
        ({"subprotocol"}, ["bearer", "v1"], 401, "malformed"),
        ({"subprotocol"}, ["v1", f"{PREFIX}a"], 401, "malformed"),
        ({"subprotocol"}, ["v1", f"{PREFIX}YQ=="], 401, "malformed"),
        ({"subprotocol"}, ["v1", f"{PREFIX}YR"], 401, "malformed"),
        ({"subprotocol"}, ["v1", f"{PREFIX}w6Q"], 401, "malformed"),
        ({"subprotocol"}, ["v1", PREFIX], 401, "malformed"),
        ({"subprotocol"}, ["bearer", "TOKEN", "K8S", "v1"], 401, "several_credentials"),
        ({"subprotocol"}, ["K8S", "K8S", "v1"], 401, "several_credentials"),
        ({"subprotocol"}, ["bearer", "TOKEN", "bearer", "TOKEN"], 401, "several_credentials"),
        ({"subprotocol"}, ["K8S"], 400, None),
        ({"subprotocol"}, ["K8S", "unknown"], 400, None),
    ],
)
async def test_it_does_not_open_with_another_sub_protocol(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    also_from: Any,
    offers: list[str],
    status: int,
    reason: str | None,
) -> None:
    there = await live(also_from, protocols=["v1"])
    token = there.mint()
    assert await there.status(protocols=filled_in(offers, token)) == status
    assert reasons(caplog) == ([f"401 {reason}"] if reason else [])
    assert there.received == []
    assert not faults(caplog)
    for part in (token.split(".")[1], k8s(token).rpartition(".")[2]):
        assert part not in caplog.text


async def test_a_good_token_in_base64url_has_one_spelling(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the padding, as Kubernetes has it."""
    there = await live({"subprotocol"}, protocols=["v1"])
    encoded = next(
        text
        for jti in ("a", "aa", "aaa")
        if (len(text := k8s(there.mint(jti=jti))) - len(PREFIX)) % 4
    )
    assert await there.status(protocols=[encoded, "v1"]) == 101
    padding = "=" * (-(len(encoded) - len(PREFIX)) % 4)
    assert await there.status(protocols=[encoded + padding, "v1"]) == 401
    assert reasons(caplog) == ["401 malformed"]


@pytest.mark.parametrize("claims", [{}, {"aud": "x"}])
async def test_a_token_in_two_places_is_refused_even_if_it_is_the_same(
    live: Start, caplog: pytest.LogCaptureFixture, claims: dict[str, Any]
) -> None:
    there = await live({"subprotocol"})
    token = there.mint()
    assert await there.status(there.mint(**claims), protocols=["bearer", token]) == 401
    assert reasons(caplog) == ["401 several_credentials"]
    other = {"Authorization": "Basic eDp5"}  # it has no token, and browsers send it by themselves
    assert await there.status(headers=other, protocols=["bearer", token]) == 101


@pytest.mark.parametrize("place", ["header", "subprotocol"])
@pytest.mark.parametrize(
    ("claims", "status", "reason"),
    [
        ({"aud": "x"}, 401, "audience"),
        ({"permissions": []}, 403, "permissions"),
        ({"exp": 1}, 401, "expired"),
    ],
)
async def test_a_token_is_refused_before_the_upgrade_with_a_challenge(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    place: str,
    claims: dict[str, Any],
    status: int,
    reason: str,
) -> None:
    there = await live({"subprotocol"})
    token = there.mint(**claims)
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers |= {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    headers |= (
        bearer(token) if place == "header" else {"Sec-WebSocket-Protocol": f"bearer, {token}"}
    )
    async with there.client.get("/feed", headers=headers) as response:
        assert response.status == status
        assert 'error="' in response.headers["WWW-Authenticate"]
    assert reasons(caplog) == [f"{status} {reason}"]


async def test_an_outage_is_told_before_the_upgrade_and_by_1013_after_it(
    live: Start, issuer: Issuer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    down = auth.TokenValidator(issuer="http://127.0.0.1:9/", audience=issuer.audience, clock=clock)
    there = await live(ANYWHERE, validator=down)
    token = there.mint(iss="http://127.0.0.1:9/")
    assert await there.status(token) == 503
    assert await there.status(protocols=["bearer", token]) == 503
    async with there.opened() as socket:
        await send_token(socket, token)
        said = await answered(socket)
        assert (said["status"], said["retry_after"] > 0) == (503, True)
        assert (await closed(socket)).code == 1013
    assert reasons(caplog) == ["503 keys_unavailable"] * 3


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({"aud": "x"}, 4401, "401 audience"),
        ({"permissions": []}, 4403, "403 permissions"),
        (bound_to(), 4401, "401 bound"),
    ],
)
async def test_a_refused_first_message_closes_it_and_says_why(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    claims: dict[str, Any],
    code: int,
    reason: str,
) -> None:
    there = await live({"message"})
    async with there.opened() as socket:
        await send_token(socket, there.mint(**claims))
        await socket.send_str("hello")
        how = await closed(socket)
        assert how.code == code
        assert how.reason.startswith("The access token")
    assert reasons(caplog) == [reason]
    assert there.received == []
    assert [decision.outcome for decision in there.decisions] == [reason.split()[1]]


# --- Bound tokens --------------------------------------------------------------------------------


async def test_a_bound_token_opens_it_with_a_proof_for_the_http_url(live: Start) -> None:
    there = await live()
    token, now = there.mint(**bound_to()), there.issuer.clock()
    url = str(there.client.make_url("/feed"))
    assert url.startswith("http:")
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof(token, now=now, url=url)}
    async with there.opened(headers=headers) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
    assert await there.status(headers=headers) == 401  # the proof was used


async def test_a_bound_token_in_a_sub_protocol_is_refused_even_with_a_proof(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live({"subprotocol"})
    token = there.mint(**bound_to())
    url = str(there.client.make_url("/feed"))
    made = {"DPoP": proof(token, now=there.issuer.clock(), url=url)}
    for headers in ({}, made):
        assert await there.status(headers=headers, protocols=["bearer", token]) == 401
    assert reasons(caplog) == ["401 bound", "401 bound"]


# --- Origins -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "public_url", "status"),
    [
        ("OWN", None, 101),
        ("https://app.example.com", None, 101),
        ("https://evil.example", None, 403),
        ("http://app.example.com", None, 403),
        ("https://app.example.com:444", None, 403),
        ("https://app.example.com.evil.example", None, 403),
        ("https://APP.example.com", None, 403),
        ("null", None, 403),
        ("", None, 403),
        ("https://api.example.com", None, 403),
        ("https://api.example.com", "https://API.example.com:443/v1", 101),
        ("OWN", "https://api.example.com/v1", 403),
        ("http://api.example.com", "https://api.example.com/v1", 403),
        ("\u00e4\r"[:1], None, 403),
    ],
)
async def test_a_page_of_a_foreign_origin_opens_nothing(
    live: Start,
    caplog: pytest.LogCaptureFixture,
    origin: str,
    public_url: str | None,
    status: int,
) -> None:
    there = await live({"message"}, {"public_url": public_url}, origins=["https://app.example.com"])
    own = str(there.client.make_url("/")).rstrip("/")
    headers = {"Origin": own if origin == "OWN" else origin}
    for token in (there.mint(), None):
        assert await there.status(token, headers=headers) == status
    assert reasons(caplog) == (["403 origin"] * 2 if status == 403 else [])
    assert not faults(caplog)


async def test_two_origins_are_refused_and_the_log_has_them_escaped(
    live: Start, caplog: pytest.LogCaptureFixture
) -> None:
    there = await live(origins=["https://app.example.com"])
    twice = [("Origin", "https://app.example.com")] * 2
    headers = [*twice, *bearer(there.mint()).items()]
    async with there.client.get("/feed", headers=headers) as response:
        assert response.status == 403
        assert "WWW-Authenticate" not in response.headers
    [refused] = [each.getMessage() for each in caplog.records]
    assert refused.isascii()


@pytest.mark.parametrize(
    "origins",
    [
        "https://app.example.com",
        ["null"],
        ["*"],
        ["app.example.com"],
        ["https://*.example.com"],
        ["https://app.example.com/"],
        ["https://app.example.com/x"],
        [""],
    ],
)
async def test_what_is_no_origin_cannot_be_allowed(live: Start, origins: Any) -> None:
    there = await live(origins=origins)
    assert await there.status(there.mint()) == 500
    assert isinstance(there.left[0], ValueError)
