"""Whose certificate lets a bound token in (RFC 8705 §3), over TLS and behind a proxy?"""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from aiohttp.typedefs import Handler
from joserfc.jwk import ECKey, Key

from hello import auth
from hello.sandbox.issuer import Issuer
from hello.server import Runner
from support.api import AUDIENCE, ApiServer, Client, bearer
from support.certificates import Identity, client_tls, identity
from support.logs import reasons
from support.proofs import CLIENT_KEY, bound_to, proof
from support.protecting import new_handler

OTHER_KEY = ECKey.generate_key("P-256")
LOOPBACK = auth.CertificateHeader(proxies=["127.0.0.1"])
NAME = "Client-Cert"


@pytest.fixture
def mine(tmp_path: Path) -> Identity:
    return identity(tmp_path, "mine")


@pytest.fixture
def other(tmp_path: Path) -> Identity:
    return identity(tmp_path, "other")


def application(issuer: Issuer, **options: Any) -> web.Application:
    dpop = options.pop("dpop", "allowed")
    app = web.Application(middlewares=options.pop("middlewares", ()))
    validator = auth.TokenValidator(issuer=issuer.url, audience=AUDIENCE, dpop=dpop)
    auth.setup(app, validator, **options)
    app.router.add_get("/", new_handler())
    return app


Start = Callable[[ApiServer], Awaitable[Client]]


@pytest.fixture
def serve(issuer: Issuer, aiohttp_client: Start) -> Callable[..., Awaitable[Client]]:
    async def start(certificate: Any, **options: Any) -> Client:
        app = application(issuer, client_certificate=certificate, **options)
        return await aiohttp_client(ApiServer(app))

    return start


Serve = Callable[..., Awaitable[Client]]


async def ask(client: Client, token: str, *values: str, name: str = NAME) -> int:
    headers = [*bearer(token).items(), *((name, value) for value in values)]
    async with client.get("/", headers=headers) as response:
        return response.status


def structured(der: bytes) -> str:
    """RFC 9440 §2.1."""
    return f":{base64.b64encode(der).decode()}:"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_over_tls_the_certificate_of_the_connection_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, loop: str
) -> None:
    """The right one, the wrong one, and none; a header of the client changes nothing."""
    factory = asyncio.new_event_loop
    if loop == "uvloop":
        factory = pytest.importorskip(
            "uvloop", reason="uvloop is not for this system"
        ).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_over_tls(tmp_path))
    assert reasons(caplog) == ["401 bound"] * 4
    another = "another client certificate"
    none = "no client certificate: the client has shown none on its connection"
    found = [vars(record)["detail"] for record in caplog.records if "detail" in vars(record)]
    assert found == [another, none, another, another]


async def _over_tls(folder: Path) -> None:
    authority, server = identity(folder, "authority"), identity(folder, "localhost")
    mine, other = (identity(folder, name, by=authority) for name in ("mine", "other"))
    issuer = Issuer(audience=AUDIENCE, url="https://issuer.example.com/")
    validator = auth.TokenValidator(
        issuers=[auth.TrustedIssuer(issuer=issuer.url, audience=AUDIENCE, keys=issuer.key_set())]
    )
    app = web.Application()
    auth.setup(app, validator)
    app.router.add_get("/", new_handler())
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.file)
    tls.load_cert_chain(server.file)
    tls.verify_mode = ssl.CERT_OPTIONAL
    runner = Runner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "localhost", 0, ssl_context=tls)
        await site.start()
        port = runner.addresses[0][1]
        bound, unbound = issuer.mint(claims=mine.bound), issuer.mint()
        for certificate, token, status in [
            (mine, bound, 200),
            (mine, bound, 200),  # from the cache
            (other, bound, 401),
            (None, bound, 401),
            (mine, issuer.mint(claims=other.bound), 401),
            (mine, unbound, 200),
            (None, unbound, 200),
        ]:
            assert await _status(server, certificate, port, bearer(token)) == status
        forged = {**bearer(bound), NAME: structured(mine.der)}
        assert await _status(server, other, port, forged) == 401
    finally:
        await runner.cleanup()


async def _status(
    server: Identity, client: Identity | None, port: int, headers: dict[str, str]
) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(
            f"https://localhost:{port}/", ssl=client_tls(server, client), headers=headers
        ) as response,
    ):
        return response.status


async def test_a_trusted_proxy_hands_the_certificate_over(
    serve: Serve, issuer: Issuer, mine: Identity, other: Identity
) -> None:
    client = await serve(LOOPBACK)
    token = issuer.mint(claims=mine.bound)
    for value in (structured(mine.der), quote(mine.pem), quote(mine.pem, safe="+=/")):
        assert await ask(client, token, value) == 200
    for value in (structured(other.der), quote(other.pem)):
        assert await ask(client, token, value) == 401
    assert await ask(client, issuer.mint(), structured(other.der)) == 200  # bound to nothing
    assert await ask(client, issuer.mint(), "nonsense") == 200


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["{good}", "{good}"],
        ["{good}, {good}"],
        [""],
        [":"],
        ["::"],
        [":é:"],
        ["{base64}"],
        [":{base64}"],
        ["{base64}:"],
        [":{base64};a=1:"],
        ["{good};a=1"],
        [":{base64} :"],
        [":{base64}A:"],
        [":%41{base64}:"],
        ["{pem}{pem}"],
        ["{pem}x"],
        ["-----BEGIN CERTIFICATE-----"],
        ["-----BEGIN CERTIFICATE----------END CERTIFICATE-----"],
        ["-----BEGIN CERTIFICATE-----%0Aa%0A-----END CERTIFICATE-----"],
        ["-----BEGIN CERTIFICATE-----%C3%A9-----END CERTIFICATE-----"],
        ["-----BEGIN CERTIFICATE-----%FF%00-----END CERTIFICATE-----"],
        ["{thumbprint}"],
    ],
)
async def test_what_is_not_one_certificate_is_none(
    serve: Serve,
    issuer: Issuer,
    mine: Identity,
    caplog: pytest.LogCaptureFixture,
    values: list[str],
) -> None:
    client = await serve(LOOPBACK)
    good = structured(mine.der)
    for old, new in {
        "{good}": good,
        "{base64}": good[1:-1],
        "{pem}": quote(mine.pem),
        "{thumbprint}": mine.bound["cnf"]["x5t#S256"],
    }.items():
        values = [value.replace(old, new) for value in values]
    assert await ask(client, issuer.mint(claims=mine.bound), *values) == 401
    assert reasons(caplog) == ["401 bound"]


@pytest.mark.parametrize(
    ("proxies", "status"),
    [
        (["127.0.0.1"], 200),
        (["10.0.0.0/8", "127.0.0.0/8"], 200),
        (["::ffff:127.0.0.1", "127.0.0.1"], 200),
        (["0.0.0.0/0"], 200),
        (["127.0.0.2"], 401),
        (["10.0.0.0/8"], 401),
        (["::/0"], 401),
        (["unix"], 401),
    ],
)
async def test_only_the_header_of_a_trusted_proxy_counts(
    serve: Serve, issuer: Issuer, mine: Identity, proxies: list[str], status: int
) -> None:
    client = await serve(auth.CertificateHeader(proxies=proxies))
    token = issuer.mint(claims=mine.bound)
    assert await ask(client, token, structured(mine.der)) == status


async def test_by_default_no_header_counts(serve: Serve, issuer: Issuer, mine: Identity) -> None:
    client = await serve(None)
    assert await ask(client, issuer.mint(claims=mine.bound), structured(mine.der)) == 401


async def test_the_connection_says_who_the_proxy_is(
    serve: Serve, issuer: Issuer, mine: Identity
) -> None:
    """Not `request.remote`, which a middleware takes from a header that anybody can send."""

    @web.middleware
    async def believes_a_header(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=request.headers["X-Forwarded-For"]))

    client = await serve(
        auth.CertificateHeader(proxies=["10.0.0.1"]), middlewares=[believes_a_header]
    )
    headers = {
        **bearer(issuer.mint(claims=mine.bound)),
        NAME: structured(mine.der),
        "X-Forwarded-For": "10.0.0.1",
    }
    async with client.get("/", headers=headers) as response:
        assert response.status == 401


@pytest.mark.parametrize(
    "proxies",
    [[], "127.0.0.1", ["localhost"], ["10.0.0.1/8"], [""], ["127.0.0.1:80"], ["fe80::1%eth0"], ()],
)
def test_proxies_that_are_none(proxies: Any) -> None:
    with pytest.raises(ValueError, match="proxies"):
        auth.CertificateHeader(proxies=proxies)


async def test_a_function_finds_the_certificate_where_it_is(
    serve: Serve, issuer: Issuer, mine: Identity, other: Identity
) -> None:
    """Sync or async, as DER or as a text."""
    token = issuer.mint(claims=mine.bound)

    async def as_der(_request: web.Request) -> bytes:
        return mine.der

    for function, status in [
        (lambda _request: mine.der, 200),
        (lambda _request: mine.pem, 200),
        (lambda _request: f"\n{mine.pem}\n", 200),
        (as_der, 200),
        (lambda request: request.headers["X-Cert"], 200),
        (lambda _request: other.der, 401),
        (lambda _request: b"", 401),
        (lambda _request: None, 401),
    ]:
        client = await serve(function)
        assert await ask(client, token, quote(mine.pem), name="X-Cert") == status


async def test_a_function_that_fails_lets_nobody_in(
    serve: Serve, issuer: Issuer, mine: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_request: web.Request) -> bytes:
        raise KeyError("X-Cert")

    def refuses(_request: web.Request) -> bytes:
        raise auth.UnauthorizedError

    for function in (fails, refuses, lambda _request: 7, lambda _request: True):
        client = await serve(function)
        assert await ask(client, issuer.mint(claims=mine.bound)) == 401
        assert await ask(client, issuer.mint()) == 200  # it is not asked about that one
    assert reasons(caplog) == ["401 bound"] * 4
    assert sum(record.exc_info is not None for record in caplog.records) == 4


@pytest.mark.parametrize("name", ["Client Cert", "", "Client-Cert:", "Zertifikät", 7, ["A"], None])
def test_headers_that_are_none(name: Any) -> None:
    with pytest.raises(ValueError, match=r"name of CertificateHeader"):
        auth.CertificateHeader(proxies=["10.0.0.7"], name=name)


async def test_what_is_no_function_is_not_taken(validator: auth.TokenValidator) -> None:
    hook: Any = "Client-Cert"
    with pytest.raises(ValueError, match="client_certificate"):
        auth.setup(web.Application(), validator, client_certificate=hook)


async def test_the_metadata_says_that_such_tokens_are_accepted(serve: Serve) -> None:
    for certificate, expected in [(LOOPBACK, True), (None, None)]:
        client = await serve(certificate, resource="https://api.example.com")
        async with client.get("/.well-known/oauth-protected-resource") as response:
            members = await response.json()
        assert members.get("tls_client_certificate_bound_access_tokens") is expected


async def test_without_keys_it_depends_on_what_is_presented(
    issuer: Issuer, mine: Identity, aiohttp_client: Start
) -> None:
    """503 where the token may be good, and 401 where it is not, whatever its key is."""
    issuer.url = "http://127.0.0.1:9/"
    for claims, status in [
        (mine.bound, 503),
        ({"cnf": {"jkt": "x"}}, 401),
        ({"cnf": {**mine.bound["cnf"], "kid": "x"}}, 401),
    ]:
        client = await aiohttp_client(ApiServer(application(issuer, client_certificate=LOOPBACK)))
        assert await ask(client, issuer.mint(claims=claims), structured(mine.der)) == status


async def test_where_dpop_is_required_a_certificate_is_not_enough(
    serve: Serve, issuer: Issuer, mine: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    client = await serve(LOOPBACK, dpop="required")
    assert await ask(client, issuer.mint(claims=mine.bound), structured(mine.der)) == 401
    assert reasons(caplog) == ["401 bearer"]


@pytest.mark.parametrize("certificate", ["mine", "other", None])
@pytest.mark.parametrize("key", [CLIENT_KEY, OTHER_KEY, None])
async def test_a_token_that_is_bound_to_both_needs_both(
    serve: Serve,
    issuer: Issuer,
    mine: Identity,
    other: Identity,
    certificate: str | None,
    key: Key | None,
) -> None:
    client = await serve(LOOPBACK)
    token = issuer.mint(claims={"cnf": {**mine.bound["cnf"], **bound_to()["cnf"]}})
    headers = bearer(token)
    if key is not None:
        text = proof(token, now=issuer.clock(), url=str(client.make_url("/")), key=key)
        headers = {"Authorization": f"DPoP {token}", "DPoP": text}
    if certificate is not None:
        headers[NAME] = structured({"mine": mine, "other": other}[certificate].der)
    async with client.get("/", headers=headers) as response:
        assert response.status == (200 if (certificate, key) == ("mine", CLIENT_KEY) else 401)


async def test_a_wrong_certificate_does_not_use_the_proof_up(
    serve: Serve, issuer: Issuer, mine: Identity, other: Identity
) -> None:
    client = await serve(LOOPBACK)
    token = issuer.mint(claims={"cnf": {**mine.bound["cnf"], **bound_to()["cnf"]}})
    text = proof(token, now=issuer.clock(), url=str(client.make_url("/")))
    for identity_, status in [(other, 401), (mine, 200), (mine, 401)]:
        headers = {
            "Authorization": f"DPoP {token}",
            "DPoP": text,
            NAME: structured(identity_.der),
        }
        async with client.get("/", headers=headers) as response:
            assert response.status == status
