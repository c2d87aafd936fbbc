"""How are the tokens of Debian's glewlwyd answered?"""

import asyncio
import gzip
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from string import Template
from typing import Any

from aiohttp import ClientSession
from joserfc.jwk import RSAKey

from hello import auth
from real_issuers.asking import (
    API,
    CALLBACK,
    OTHER_API,
    SCOPE,
    AskError,
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
from real_issuers.installing import HERE, debian_version, from_debian
from real_issuers.kinds import Opaque, Signed, asks, send_rotated, send_signed
from real_issuers.report import Report
from support.program import free_port

MACHINE = Client("machine", "machine-secret")
WEB = Client("web", "web-secret")
WEB_POST = WEB._replace(method="client_secret_post")
API_BASIC = Client("api-basic", "api-basic-secret")
UNSCOPED = "read:nothing"  # in place of the scope that is required


class Server:
    """Starts and restarts at one port, with one database."""

    def __init__(self, folder: Path) -> None:
        self._unpacked = from_debian(folder / "glewlwyd", "glewlwyd", "glewlwyd-common")
        self.version = debian_version(self._unpacked, "glewlwyd")
        self._port = free_port()
        self._log = folder / "glewlwyd.log"
        self.url = f"http://127.0.0.1:{self._port}/api/oidc"
        database = folder / "glewlwyd.db"
        database.unlink(missing_ok=True)
        tables = self._unpacked / "usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz"
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(gzip.decompress(tables.read_bytes()).decode())
        self._settings = folder / "glewlwyd.conf"
        settings = Template((HERE / "glewlwyd.conf").read_text("utf-8")).substitute(
            port=self._port, unpacked=self._unpacked, database=database
        )
        self._settings.write_text(settings, "utf-8")
        self._is_new = True

    @asynccontextmanager
    async def started(self, *keys: RSAKey, lifetime: int = 600) -> AsyncIterator[Issuer]:
        libraries = ":".join(map(str, self._unpacked.glob("usr/lib/*-linux-gnu*")))
        command = [str(self._unpacked / "usr/bin/glewlwyd"), f"--config-file={self._settings}"]
        environ = {"LD_LIBRARY_PATH": libraries}
        async with running(command, environ, self._port, self._log):
            async with ClientSession(f"http://127.0.0.1:{self._port}/api/") as session:
                await self._configure(session, keys, lifetime)
            async with Issuer.at(self.url) as issuer:
                yield issuer

    async def _configure(
        self, session: ClientSession, keys: tuple[RSAKey, ...], lifetime: int
    ) -> None:
        """Do what an administrator does in the server's own pages."""
        admin = await log_in_with_password(session, "admin")
        plugin = {
            "module": "oidc",
            "name": "oidc",
            "display_name": "oidc",
            "parameters": _parameters(self.url, keys, lifetime),
        }
        if not self._is_new:
            await _call(session, admin, "PUT", "mod/plugin/oidc", plugin)
            await _call(session, admin, "PUT", "mod/plugin/oidc/reset")
            return
        self._is_new = False
        await _call(session, admin, "POST", "mod/plugin", plugin)
        for name in (SCOPE, UNSCOPED):
            scope = {
                "name": name,
                "display_name": name,
                "description": name,
                "password_required": False,
                "password_max_age": 0,
                "scheme": {},
                "scheme_required": {},
            }
            await _call(session, admin, "POST", "scope", scope)
        scopes = ["openid", SCOPE, UNSCOPED]
        alice = {"username": "alice", "password": "password", "enabled": True, "scope": scopes}
        await _call(session, admin, "POST", "user", alice)
        for client, types in (
            (MACHINE, ["client_credentials"]),
            (API_BASIC, ["client_credentials"]),
            (WEB, ["code", "refresh_token", "client_credentials"]),
        ):
            settings = {
                "client_id": client.id,
                "name": client.id,
                "enabled": True,
                "confidential": True,
                "client_secret": client.secret,
                "password": client.secret,
                "token_endpoint_auth_method": ["client_secret_basic", "client_secret_post"],
                "authorization_type": types,
                "redirect_uri": [CALLBACK],
                "resource": [API, OTHER_API],
                "scope": [SCOPE, UNSCOPED],
            }
            await _call(session, admin, "POST", "client", settings)


def _parameters(url: str, keys: tuple[RSAKey, ...], lifetime: int) -> dict[str, Any]:
    """Return the settings of the plugin that is the issuer."""
    private = [{**key.as_dict(private=True), "alg": "RS256", "use": "sig"} for key in keys]
    return {
        "iss": url,
        "jwt-type": "rsa",
        "jwt-key-size": "256",
        "jwks-private": json.dumps({"keys": private}),
        "jwks-show": True,
        "subject-type": "public",
        "access-token-duration": lifetime,
        "refresh-token-duration": 3600,
        "code-duration": 60,
        "refresh-token-rolling": True,
        "refresh-token-one-use": "never",
        "allow-non-oidc": True,  # which client_credentials are
        "auth-type-code-enabled": True,
        "auth-type-client-enabled": True,
        "auth-type-refresh-enabled": True,
        "auth-type-token-enabled": False,
        "auth-type-id-token-enabled": True,
        "auth-type-password-enabled": False,
        "auth-type-device-enabled": False,
        "pkce-allowed": True,
        "pkce-method-plain-allowed": False,
        "introspection-revocation-allowed": True,
        "introspection-revocation-allow-target-client": True,
        "introspection-revocation-auth-scope": [],
        "resource-allowed": True,
        "resource-scope": {},
        "resource-client-property": "resource",
        "resource-scope-and-client-property": False,
    }


async def log_in_with_password(session: ClientSession, name: str) -> dict[str, str]:
    """Return the headers of a session."""
    person = {"username": name, "password": "password"}
    async with session.post("auth/", json=person) as response:
        response.raise_for_status()
        # Its empty Domain keeps the cookie from being sent back by a cookie jar.
        return {"Cookie": response.headers["Set-Cookie"].split(";")[0]}


async def _call(
    session: ClientSession,
    headers: dict[str, str],
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> None:
    async with session.request(method, f"{path}/", json=body, headers=headers) as response:
        if response.status != 200:
            raise AskError(f"{method} {path}: {response.status} {await response.text()}")


async def ask(folder: Path) -> Report:
    server = await asyncio.to_thread(Server, folder)
    report = Report(f"glewlwyd {server.version}")
    trusted = auth.TrustedIssuer(issuer=server.url, audience=API)
    key = RSAKey.generate_key(2048, {"kid": "a"})
    async with server.started(key, lifetime=1) as issuer:
        brief = (await _log_in(issuer))["access_token"]
        await asyncio.sleep(2.5)
        said = "an expired access token"
        await issuer.introspect(report, said, brief, WEB, expected={"active": False})
    async with server.started(key) as issuer:
        # It reckons with its setting of now, not with the token's exp.
        said = "the same, after its setting of a lifetime was raised"
        await issuer.introspect(report, said, brief, WEB, expected={"active": True})
        tokens = await _signed(issuer, report, brief)
        await send_signed(report, trusted, tokens)
        opaque = await _asked_about(issuer, report)
        async with protected(trusted) as api:
            asking = Asking(api, report, "JWT")
            sent = "a token that was revoked, without introspection"
            await asking.send(sent, opaque.revoked, 200)
            nowhere = await issuer.access_token(MACHINE, scope=SCOPE)
            look(report, "access token that was requested without a resource", nowhere)
            sent = "a token that was requested without a resource"
            await asking.send(sent, nowhere, (401, "audience"))
        await _send_asking(report, server.url, opaque)
    await send_rotated(report, trusted, server.started, _mint)
    return report


async def _send_asking(report: Report, issuer: str, tokens: Opaque) -> None:
    """Send tokens to an application that asks about opaque ones. These access tokens are JWTs."""
    async with asks(issuer, API, WEB) as api:
        asking = Asking(api, report, "JWT, with introspection")
        await asking.send(
            "a program's token, which is verified without asking", tokens.program, 200
        )
        await asking.send("a changed token", changed(tokens.program), (401, "signature"))
        await asking.send("the refresh token", tokens.refresh, (401, "inactive"))
        await asking.send("the ID token", str(tokens.id_token), (401, "audience"))


async def _mint(issuer: Issuer) -> str:
    return await issuer.access_token(MACHINE, resource=API, scope=SCOPE)


async def _log_in(issuer: Issuer, resource: str = API, scope: str = SCOPE) -> dict[str, Any]:
    """Return the tokens of a person."""
    root = issuer.url.removesuffix("oidc")
    async with ClientSession(root) as session:
        alice = await log_in_with_password(session, "alice")
        grant = {"scope": f"openid {SCOPE} {UNSCOPED}"}
        await _call(session, alice, "PUT", "auth/grant/web", grant)
    query = authorization(WEB, scope=f"openid {scope}", resource=resource, g_continue="")
    async with Browser.opened(headers=alice) as browser:
        landed = await browser.log_in(issuer.metadata["authorization_endpoint"], query)
    return await issuer.exchange(WEB, landed)


async def _signed(issuer: Issuer, report: Report, brief: str) -> Signed:
    token = await _mint(issuer)
    person = await _log_in(issuer)
    refresh = person["refresh_token"]
    renewed = await issuer.grant(WEB, "refresh_token", refresh_token=refresh)
    look(report, "access token of a program", token)
    look(report, "access token of a person", person["access_token"])
    look(report, "ID token", person["id_token"])
    return Signed(
        program=token,
        unscoped=await issuer.access_token(MACHINE, resource=API, scope=UNSCOPED),
        other=await issuer.access_token(MACHINE, resource=OTHER_API, scope=SCOPE),
        brief=brief,
        person=person,
        renewed=renewed["access_token"],
    )


async def _asked_about(issuer: Issuer, report: Report) -> Opaque:
    """Return tokens of one client, for it alone may ask about them."""
    person = await _log_in(issuer)
    program = await issuer.access_token(WEB, resource=API, scope=SCOPE)
    unscoped = await issuer.access_token(WEB, resource=API, scope=UNSCOPED)
    other = (await _log_in(issuer, resource=OTHER_API))["access_token"]
    tokens = Opaque(
        program=program,
        person=person["access_token"],
        unscoped=unscoped,
        other=other,
        revoked=(await _log_in(issuer))["access_token"],
        brief=None,
        refresh=person["refresh_token"],
        id_token=person["id_token"],
    )
    await issuer.revoke(tokens.revoked, WEB)
    active = {"active": True, "token_type": "bearer", "aud": API}
    inactive = {"active": False}
    for what, token, expected in (
        ("a program's access token", tokens.program, active),
        ("a person's access token", tokens.person, active),
        ("an access token for another API", other, {**active, "aud": OTHER_API}),
        ("an access token with another scope", unscoped, active),
        ("a revoked access token", tokens.revoked, inactive),
        ("a changed access token", changed(tokens.program), inactive),
        ("a refresh token", tokens.refresh, {"active": True, "token_type": "refresh_token"}),
        ("an ID token", person["id_token"], {"active": True, "token_type": "id_token"}),
    ):
        await issuer.introspect(report, what, token, WEB, expected=expected)
    hint = {"token_type_hint": "access_token"}
    for what, token in (("a refresh token", tokens.refresh), ("an ID token", person["id_token"])):
        said = f"{what}, with token_type_hint=access_token"
        await issuer.introspect(report, said, token, WEB, expected=inactive, **hint)
    said = "a person's access token"
    await issuer.introspect(report, said, tokens.person, WEB_POST, expected={})
    said = "an access token of another client"
    await issuer.introspect(report, said, tokens.person, API_BASIC, expected=inactive)
    wrong = WEB._replace(secret="wrong")
    said = "an access token, with a wrong secret"
    await issuer.introspect(report, said, tokens.person, wrong, expected=401)
    return tokens
