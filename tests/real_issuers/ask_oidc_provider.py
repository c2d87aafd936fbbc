"""How are the tokens of npm's oidc-provider answered?"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from hello import auth
from real_issuers.asking import (
    API,
    CALLBACK,
    OTHER_API,
    SCOPE,
    Asking,
    Browser,
    Client,
    Issuer,
    authorization,
    changed,
    look,
    protected,
    running,
)
from real_issuers.installing import from_npm
from real_issuers.kinds import (
    INTROSPECTION,
    Opaque,
    Signed,
    asks,
    send_opaque,
    send_restarted,
    send_rotated,
    send_signed,
    send_unasked,
)
from real_issuers.report import Report
from support.certificates import identity
from support.program import free_port

# By its configuration, the tokens for these are opaque.
OPAQUE_API = "https://opaque.example.com"
OTHER_OPAQUE_API = "https://opaque-other.example.com"

MACHINE = Client("machine", "machine-secret")
BRIEF = Client("brief", "brief-secret")  # its tokens last for a second
CERTIFIED = Client("certified", "certified-secret")
WEB = Client("web", "web-secret")
API_KEY = RSAKey.generate_key(2048, {"kid": "api-key"})
API_BASIC = Client("api-basic", "api-basic-secret")
API_POST = Client("api-post", "api-post-secret", "client_secret_post")
API_PRIVATE_KEY = Client("api-key", method="private_key_jwt", key=API_KEY)


class Server:
    """Starts and restarts at one port."""

    def __init__(self, folder: Path) -> None:
        self._program = from_npm(folder / "oidc-provider", "oidc_provider_server.js")
        self._port = free_port()
        self._log = folder / "oidc-provider.log"
        self.url = f"http://127.0.0.1:{self._port}"
        package = self._program.parent / "node_modules/oidc-provider/package.json"
        self.version = str(json.loads(package.read_text("utf-8"))["version"])

    @asynccontextmanager
    async def started(self, *keys: Key) -> AsyncIterator[Issuer]:
        environ = {
            "PORT": str(self._port),
            "CALLBACK": CALLBACK,
            "KEYS": _key_set(*keys, private=True),
            "API_KEYS": _key_set(API_KEY, private=False),
        }
        command = ["node", str(self._program)]
        async with (
            running(command, environ, self._port, self._log),
            Issuer.at(self.url) as issuer,
        ):
            yield issuer


def _key_set(*keys: Key, private: bool) -> str:
    return json.dumps({"keys": [{**key.as_dict(private=private), "use": "sig"} for key in keys]})


async def ask(folder: Path) -> Report:
    server = await asyncio.to_thread(Server, folder)
    report = Report(f"oidc-provider {server.version}")
    trusted = auth.TrustedIssuer(issuer=server.url, audience=API)
    async with server.started(RSAKey.generate_key(2048, {"kid": "a"})) as issuer:
        await send_signed(report, trusted, await _signed(issuer, report))
    await send_rotated(report, trusted, server.started, _mint_signed)
    await _send_algorithms(server, report)
    key = RSAKey.generate_key(2048, {"kid": "a"})
    async with server.started(key) as issuer:
        tokens = await _opaque(issuer, report)
        clients = (API_BASIC, API_POST, API_PRIVATE_KEY)
        await send_unasked(report, server.url, OPAQUE_API, tokens)
        await send_opaque(report, server.url, OPAQUE_API, clients, tokens)
        await _send_bound(issuer, report)
        await _send_certified(issuer, report, folder)
        # The refresh token is of the same client.
        of_client = tokens._replace(program=tokens.person, unscoped=None)
        await send_opaque(
            report, server.url, "web", (API_BASIC,), of_client, audience_claim="client_id"
        )
    await send_restarted(
        report, server.url, OPAQUE_API, API_BASIC, lambda: server.started(key), _mint_opaque
    )
    return report


async def _send_algorithms(server: Server, report: Report) -> None:
    """Send JWTs that are not signed with RS256."""
    keys: list[Key] = [
        RSAKey.generate_key(2048, {"kid": "rsa"}),
        ECKey.generate_key("P-256", {"kid": "ec"}),
        OKPKey.generate_key("Ed25519", {"kid": "okp"}),
    ]
    async with server.started(*keys) as issuer:
        for algorithm in ("PS256", "ES256", "EdDSA"):
            audience = f"https://{algorithm.lower()}.example.com"
            token = await issuer.access_token(MACHINE, resource=audience, scope=SCOPE)
            for algorithms, expected in (([algorithm], 200), (None, (401, "algorithm"))):
                trusted = auth.TrustedIssuer(
                    issuer=server.url, audience=audience, algorithms=algorithms
                )
                accepts = "RS256 alone" if algorithms is None else algorithm
                async with protected(trusted) as api:
                    sent = f"a token signed with {algorithm}, where {accepts} is accepted"
                    await Asking(api, report, "JWT").send(sent, token, expected)


async def _send_bound(issuer: Issuer, report: Report) -> None:
    """Send tokens that are bound to a key by DPoP, with their proof and without it."""
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    signed = await issuer.access_token(MACHINE, key=key, resource=API, scope=SCOPE)
    look(report, "access token that is bound by DPoP", signed)
    sent = "a token that is bound by DPoP, without a proof"
    async with protected(auth.TrustedIssuer(issuer=issuer.url, audience=API)) as api:
        asking = Asking(api, report, "JWT")
        await asking.send(sent, signed, (401, "bound"))
        await asking.send_bound(signed, key, other)
    opaque = await issuer.access_token(MACHINE, key=key, resource=OPAQUE_API, scope=SCOPE)
    said = "an access token that is bound by DPoP"
    expected = {"active": True, "token_type": "DPoP"}
    await issuer.introspect(report, said, opaque, API_BASIC, expected=expected)
    if INTROSPECTION is not None:
        async with asks(issuer.url, OPAQUE_API, API_BASIC) as api:
            asking = Asking(api, report, "opaque")
            await asking.send(sent, opaque, (401, "bound"))
            await asking.send_bound(opaque, key, other)


async def _send_certified(issuer: Issuer, report: Report, folder: Path) -> None:
    """Send tokens that are bound to a certificate."""
    mine, other = identity(folder, "mine"), identity(folder, "other")
    signed = await issuer.access_token(CERTIFIED, key=mine, resource=API, scope=SCOPE)
    look(report, "access token that is bound to a certificate", signed)
    async with protected(auth.TrustedIssuer(issuer=issuer.url, audience=API)) as api:
        await Asking(api, report, "JWT").send_certified(signed, mine, other)
    opaque = await issuer.access_token(CERTIFIED, key=mine, resource=OPAQUE_API, scope=SCOPE)
    said = "an access token that is bound to a certificate"
    expected = {"active": True, "token_type": "Bearer"}
    await issuer.introspect(report, said, opaque, API_BASIC, expected=expected)
    async with asks(issuer.url, OPAQUE_API, API_BASIC) as api:
        await Asking(api, report, "opaque").send_certified(opaque, mine, other)


async def _mint_signed(issuer: Issuer) -> str:
    return await issuer.access_token(MACHINE, resource=API, scope=SCOPE)


async def _mint_opaque(issuer: Issuer) -> str:
    return await issuer.access_token(MACHINE, resource=OPAQUE_API, scope=SCOPE)


async def _log_in(issuer: Issuer, resource: str) -> dict[str, Any]:
    """Return the tokens of a person."""
    query = authorization(
        WEB, scope=f"openid offline_access {SCOPE}", resource=resource, prompt="consent"
    )
    endpoint = issuer.metadata["authorization_endpoint"]
    logs_in: dict[str, str] = {"login": "alice", "password": "any"}
    consents: dict[str, str] = {}
    async with Browser.opened() as browser:
        landed = await browser.log_in(endpoint, query, logs_in, consents)
    return await issuer.exchange(WEB, landed)


async def _signed(issuer: Issuer, report: Report) -> Signed:
    token = await _mint_signed(issuer)
    person = await _log_in(issuer, API)
    refresh = person["refresh_token"]
    renewed = await issuer.grant(WEB, "refresh_token", refresh_token=refresh)
    look(report, "access token of a program", token)
    look(report, "access token of a person", person["access_token"])
    look(report, "ID token", person["id_token"])
    status, answer = await issuer.post("revocation_endpoint", MACHINE, token=token)
    report.said("the revocation of a JWT", status, answer, expected=400)
    await issuer.introspect(report, "an access token, JWT", token, API_BASIC, expected=400)
    return Signed(
        program=token,
        unscoped=await issuer.access_token(MACHINE, resource=API),
        other=await issuer.access_token(MACHINE, resource=OTHER_API, scope=SCOPE),
        brief=await issuer.access_token(BRIEF, resource=API, scope=SCOPE),
        person=person,
        renewed=renewed["access_token"],
    )


async def _opaque(issuer: Issuer, report: Report) -> Opaque:
    person = await _log_in(issuer, OPAQUE_API)
    unscoped = await issuer.access_token(MACHINE, resource=OPAQUE_API)
    other = await issuer.access_token(MACHINE, resource=OTHER_OPAQUE_API, scope=SCOPE)
    brief = await issuer.access_token(BRIEF, resource=OPAQUE_API, scope=SCOPE)
    tokens = Opaque(
        program=await _mint_opaque(issuer),
        person=person["access_token"],
        unscoped=unscoped,
        other=other,
        revoked=await _mint_opaque(issuer),
        brief=brief,
        refresh=person["refresh_token"],
        id_token=person["id_token"],
    )
    await issuer.revoke(tokens.revoked, MACHINE)
    await asyncio.sleep(1.5)
    active = {"active": True, "iss": issuer.url, "aud": OPAQUE_API, "token_type": "Bearer"}
    elsewhere = {**active, "aud": OTHER_OPAQUE_API}
    inactive = {"active": False}
    hint = {"token_type_hint": "access_token"}
    for client in (API_BASIC, API_POST, API_PRIVATE_KEY):
        await issuer.introspect(
            report, "a program's access token", tokens.program, client, expected=active
        )
    for what, token, expected in (
        ("a person's access token", tokens.person, active),
        ("an access token for another API", other, elsewhere),
        ("an access token without scopes", unscoped, active),
        ("a revoked access token", tokens.revoked, inactive),
        ("an expired access token", brief, inactive),
        ("a changed access token", changed(tokens.program), inactive),
        ("a refresh token", tokens.refresh, {"active": True}),
        ("an ID token", person["id_token"], 400),
    ):
        await issuer.introspect(report, what, token, API_BASIC, expected=expected)
    said = "a refresh token, with token_type_hint=access_token"
    await issuer.introspect(
        report, said, tokens.refresh, API_BASIC, expected={"active": True}, **hint
    )
    wrong = API_BASIC._replace(secret="wrong")
    said = "an access token, with a wrong secret"
    await issuer.introspect(report, said, tokens.program, wrong, expected=401)
    return tokens
