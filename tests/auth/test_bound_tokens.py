"""Requests with bound tokens: what is sent, and what do the challenges say (RFC 9449 §7)?"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiohttp import web

from hello import auth
from hello.sandbox.issuer import Issuer
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.logs import reasons
from support.proofs import bound_to, proof
from support.protecting import new_handler

Start = Callable[[ApiServer], Awaitable[Client]]
ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA PS256 RS256"'


@pytest.fixture
def serve(issuer: Issuer, aiohttp_client: Start) -> Callable[..., Awaitable[Client]]:
    async def start(
        dpop: Any = "allowed", routes: Sequence[web.RouteDef] = (), **setup: Any
    ) -> Client:
        app = web.Application()
        app.add_routes(routes)
        validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, dpop=dpop)
        auth.setup(app, validator, **setup)
        app.router.add_get("/", new_handler())
        app.router.add_get("/a%2Fb/{rest:.*}", new_handler())
        app.router.add_get("/public", auth.public(new_handler()))
        app.router.add_get("/optional", auth.optional(new_handler()))
        app.router.add_get("/scope", auth.protected(scopes={"x"})(new_handler()))
        return await aiohttp_client(ApiServer(app))

    return start


Serve = Callable[..., Awaitable[Client]]


def dpop_headers(
    client: Client, issuer: Issuer, token: str, path: str = "/", **changes: Any
) -> Any:
    url = changes.pop("url", str(client.make_url(path)))
    return {
        "Authorization": f"DPoP {token}",
        "DPoP": proof(token, now=issuer.clock(), url=url, **changes),
    }


async def answer(client: Client, path: str, headers: Any) -> tuple[int, str | None]:
    async with client.get(path, headers=headers) as response:
        return response.status, response.headers.get("WWW-Authenticate")


async def test_a_bound_token_with_its_proof_is_let_in(serve: Serve, issuer: Issuer) -> None:
    client = await serve()
    token = issuer.mint(claims=bound_to())
    for path in ("/", "/?q=1", "/a%2Fb/x", "/optional"):
        headers = dpop_headers(client, issuer, token, path)
        headers["Authorization"] = headers["Authorization"].replace("DPoP", "dpop")
        assert (await answer(client, path, headers))[0] == 200


@pytest.mark.parametrize(
    ("mode", "no_token", "bad_token"),
    [
        (
            "allowed",
            f'Bearer realm="api", DPoP {ALGS}',
            (
                'Bearer realm="api", error="invalid_token", '
                f'error_description="The access token is invalid", DPoP {ALGS}'
            ),
        ),
        (
            "required",
            f"DPoP {ALGS}",
            f'DPoP error="invalid_token", error_description="The access token is invalid", {ALGS}',
        ),
        (
            "off",
            'Bearer realm="api"',
            (
                'Bearer realm="api", error="invalid_token", '
                'error_description="The access token is invalid"'
            ),
        ),
    ],
)
async def test_the_challenges_name_what_is_accepted(
    serve: Serve, issuer: Issuer, mode: str, no_token: str, bad_token: str
) -> None:
    client = await serve(mode)
    assert await answer(client, "/", {}) == (401, no_token)
    assert await answer(client, "/", bearer(issuer.mint(claims={"aud": "x"}))) == (401, bad_token)
    token = issuer.mint(claims=bound_to())
    assert await answer(client, "/", bearer(token)) == (401, bad_token)  # bound, and unproved


async def test_an_error_is_told_to_the_scheme_that_was_used(
    serve: Serve, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    """On 401 and on 403 alike."""
    client = await serve()
    token = issuer.mint(claims=bound_to())
    headers = dpop_headers(client, issuer, token, "/scope")
    status, challenge = await answer(client, "/scope", headers)
    assert status == 403
    assert challenge == (
        'Bearer realm="api", scope="x", DPoP error="insufficient_scope", error_description="The '
        f'access token lacks what this resource requires", {ALGS}, scope="x"'
    )
    status, challenge = await answer(client, "/", {"Authorization": f"DPoP {token}"})
    assert status == 401
    assert challenge == (
        'Bearer realm="api", DPoP error="invalid_dpop_proof", '
        f'error_description="The DPoP proof is invalid", {ALGS}'
    )
    expired = issuer.mint(claims={**bound_to(), "exp": 1})
    status, challenge = await answer(client, "/", dpop_headers(client, issuer, expired))
    assert status == 401
    assert challenge == (
        'Bearer realm="api", DPoP error="invalid_token", '
        f'error_description="The access token expired", {ALGS}'
    )
    assert reasons(caplog) == ["403 scope", "401 proof", "401 expired"]


@pytest.mark.parametrize("mode", ["allowed", "required"])
async def test_another_scheme_or_nothing_behind_it_is_no_credentials(
    serve: Serve, issuer: Issuer, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    client = await serve(mode)
    for value in ("DPoP", "DPoP ", "DPoPx abc", "Basic eA=="):
        assert (await answer(client, "/", {"Authorization": value}))[0] == 401
    assert set(reasons(caplog)) == {"401 no_credentials"}
    assert (await answer(client, "/optional", {"Authorization": "DPoP "}))[0] == 200


async def test_where_it_is_off_every_error_is_told_to_bearer(serve: Serve) -> None:
    client = await serve("off")
    both = [("Authorization", "DPoP x"), ("Authorization", "Bearer x")]
    assert await answer(client, "/", both) == (
        401,
        (
            'Bearer realm="api", error="invalid_token", '
            'error_description="Credentials were sent more than once"'
        ),
    )


async def test_where_it_is_off_the_scheme_is_another_one(
    serve: Serve, issuer: Issuer, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve("off")
    token = issuer.mint(claims=bound_to())
    assert (await answer(client, "/", dpop_headers(client, issuer, token)))[0] == 401
    assert reasons(caplog) == ["401 no_credentials"]


async def test_two_proof_headers_are_refused(serve: Serve, issuer: Issuer) -> None:
    client = await serve()
    token = issuer.mint(claims=bound_to())
    headers = [*dpop_headers(client, issuer, token).items()]
    headers.append(("DPoP", dict(headers)["DPoP"]))
    assert (await answer(client, "/", headers))[0] == 401


@pytest.mark.parametrize(
    "public_url", ["https://api.example.com/v1", "https://api.example.com/v1/"]
)
async def test_the_address_may_be_the_one_that_clients_see(
    serve: Serve, issuer: Issuer, public_url: str
) -> None:
    client = await serve(public_url=public_url)
    token = issuer.mint(claims=bound_to())
    for url, expected in (
        ("https://api.example.com/v1/public/../", 200),
        ("https://API.example.com:443/v1/?q", 200),
        ("https://api.example.com/", 401),
        ("http://api.example.com/v1/", 401),
        (str(client.make_url("/")), 401),
    ):
        headers = dpop_headers(client, issuer, token, url=url)
        assert (await answer(client, "/", headers))[0] == expected, url


@pytest.mark.parametrize(
    "public_url",
    [
        "",
        "api.example.com",
        "ftp://a.example.com",
        "https://",
        # Behind these, the path of a request would not count.
        "https://a.example.com/v1?a",
        "https://a.example.com/?",
        "https://a.example.com/v1#",
        "https://a.example.com/%",
    ],
)
def test_a_public_url_that_is_none(validator: auth.TokenValidator, public_url: str) -> None:
    with pytest.raises(ValueError, match="public_url"):
        auth.setup(web.Application(), validator, public_url=public_url)


async def test_the_next_nonce_comes_with_the_answer(serve: Serve, issuer: Issuer) -> None:
    """So a client never has to repeat a request while it goes on (§8.2)."""
    nonces = auth.Nonces("0123456789abcdef" * 2)
    client = await serve(auth.DPoP(nonces=nonces))
    token = issuer.mint(claims=bound_to())
    async with client.get("/", headers=dpop_headers(client, issuer, token)) as response:
        nonce = response.headers["DPoP-Nonce"]
        assert response.status == 401
        assert "use_dpop_nonce" in response.headers["WWW-Authenticate"]
    headers = dpop_headers(client, issuer, token, nonce=nonce)
    async with client.get("/", headers=headers) as response:
        assert response.status == 200
        assert nonces.accepts(response.headers["DPoP-Nonce"], issuer.clock())
    async with client.get("/public") as response:
        assert "DPoP-Nonce" not in response.headers


async def test_the_metadata_says_which_proofs_are_good(serve: Serve) -> None:
    path = "/.well-known/oauth-protected-resource"
    for mode, required in (("allowed", False), ("required", True)):
        client = await serve(mode, resource="https://api.example.com")
        async with client.get(path) as response:
            members = await response.json()
        assert members["dpop_signing_alg_values_supported"] == ALGS[6:-1].split(" ")
        assert members.get("dpop_bound_access_tokens_required", False) is required
    client = await serve("off", resource="https://api.example.com")
    async with client.get(path) as response:
        assert not any(name.startswith("dpop") for name in await response.json())


async def test_pages_may_send_proofs_and_read_nonces(api: Client) -> None:
    """CORS, for the client's own origin."""
    headers = {
        "Origin": "http://localhost:4040",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,dpop",
    }
    async with api.options("/api/messages/protected", headers=headers) as response:
        assert response.status == 200
        allowed = response.headers["Access-Control-Allow-Headers"].lower()
        assert "dpop" in allowed
    async with api.get("/api/messages/public", headers=headers) as response:
        assert "DPoP-Nonce" in response.headers["Access-Control-Expose-Headers"]


async def test_each_answer_has_the_next_nonce(serve: Serve, issuer: Issuer) -> None:
    """One that a handler raises, one that it sends itself, and a refusal, too."""

    async def raises(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    async def streams(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Cache-Control": "private, no-store"})
        await response.prepare(request)
        await response.write_eof()
        return response

    client = await serve(
        auth.DPoP(nonces=auth.Nonces("0123456789abcdef" * 2)),
        routes=[web.get("/raises", raises), web.get("/streams", streams)],
    )
    token = issuer.mint(claims=bound_to())
    nonce = None
    for path, status in [
        ("/", 401),
        ("/raises", 302),
        ("/streams", 200),
        ("/scope", 403),
        ("/", 200),
    ]:
        headers = dpop_headers(client, issuer, token, path, **({"nonce": nonce} if nonce else {}))
        async with client.get(path, headers=headers, allow_redirects=False) as response:
            assert response.status == status
            nonce = response.headers["DPoP-Nonce"]
            assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize(
    ("more", "status"), [({}, 200), ({"public_url": "https://other.example.com"}, 401)]
)
async def test_an_application_within_another_does_not_take_a_proof_for_a_replay(
    issuer: Issuer, aiohttp_client: Start, more: dict[str, Any], status: int
) -> None:
    """Both ask the same validator. It is asked again only if it would see another request."""
    validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE)
    app, inner = web.Application(), web.Application()
    inner.router.add_get("/", new_handler())
    auth.setup(inner, validator, **more)
    auth.setup(app, validator)
    app.add_subapp("/inner/", inner)
    client = await aiohttp_client(ApiServer(app))
    token = issuer.mint(claims=bound_to())
    headers = dpop_headers(client, issuer, token, "/inner/")
    assert (await answer(client, "/inner/", headers))[0] == status
    assert (await answer(client, "/inner/", headers))[0] == 401  # now it is one
