"""How is an issuer asked for tokens, and how is a protected application asked with them?"""

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, quote, urljoin, urlsplit
from uuid import uuid4

from aiohttp import ClientResponse, ClientSession, ClientTimeout, CookieJar, web
from joserfc import jwt
from joserfc.jwk import Key

from bench.servers import started
from hello import auth
from real_issuers.report import Report
from support.certificates import Identity
from support.sockets import serving

API = "https://api.example.com"
OTHER_API = "https://other.example.com"
CALLBACK = "http://127.0.0.1:9/callback"  # nobody listens there: only the address is read
SCOPE = "read:reports"
LEEWAY = 5  # the default

_TIMEOUT = ClientTimeout(total=20)
_REDIRECTS = 15
# RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class AskError(Exception):
    """An issuer did not give what was asked for."""


@asynccontextmanager
async def running(
    command: Sequence[str], environ: Mapping[str, str], port: int, log: Path
) -> AsyncIterator[None]:
    """Run an issuer. Its process is ended by its id."""
    # It holds up the event loop. Nothing else is to go on meanwhile, and no process is forgotten.
    with started(command, environ, port, core=None, log=log):
        yield


class Client(NamedTuple):
    """A client of an issuer, and how it says who it is (RFC 6749 §2.3.1, RFC 7523 §2.2)."""

    id: str
    secret: str = ""
    method: str = "client_secret_basic"
    key: Key | None = None

    def credentials(self, audience: str) -> tuple[dict[str, str], dict[str, str]]:
        """Return the headers and the members of a form."""
        if self.method == "client_secret_basic":
            both = f"{quote(self.id, safe='')}:{quote(self.secret, safe='')}".encode()
            return {"Authorization": f"Basic {base64.b64encode(both).decode()}"}, {}
        if self.method == "client_secret_post":
            return {}, {"client_id": self.id, "client_secret": self.secret}
        if self.method == "none":
            return {}, {"client_id": self.id}
        assert self.key is not None
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.id, "sub": self.id, "aud": audience, "iat": now}
        claims |= {"exp": now + 60, "jti": uuid4().hex}
        header = {"alg": "RS256", "kid": self.key.kid}
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        assertion = jwt.encode(header, claims, self.key)
        return {}, {"client_assertion_type": kind, "client_assertion": assertion}


class Issuer:
    """An issuer that runs, as its clients see it."""

    def __init__(self, session: ClientSession, url: str, metadata: Mapping[str, Any]) -> None:
        self.session = session
        self.url = url
        self.metadata = metadata

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str, *places: str) -> AsyncIterator[Self]:
        """Read the metadata of an issuer, from each of the places."""
        async with ClientSession(timeout=_TIMEOUT) as session:
            metadata: dict[str, Any] = {}
            for place in places or (f"{url}/.well-known/openid-configuration",):
                async with session.get(place) as response:
                    response.raise_for_status()
                    metadata |= await response.json()
            if metadata["issuer"] != url:
                raise AskError(f"{url} calls itself {metadata['issuer']}")
            yield cls(session, url, metadata)

    async def post(
        self, endpoint: str, client: Client, key: Key | Identity | None = None, /, **form: str
    ) -> tuple[int, Any]:
        """Return the status and the body, which is JSON or text.

        The client proves to have the key, or shows the certificate.
        """
        headers, credentials = client.credentials(self.url)
        url = self.metadata[endpoint]
        if isinstance(key, Identity):
            headers |= by_proxy(key)
        elif key is not None:
            headers["DPoP"] = _proof(key, url)
        async with self.session.post(url, headers=headers, data=form | credentials) as response:
            return response.status, _parsed(await response.text())

    async def grant(
        self, client: Client, grant_type: str, *, key: Key | Identity | None = None, **form: str
    ) -> dict[str, Any]:
        form["grant_type"] = grant_type
        status, answer = await self.post("token_endpoint", client, key, **form)
        if status != 200 or "access_token" not in answer:
            raise AskError(f"{client.id}, {grant_type}: {status} {answer}")
        return dict(answer)

    async def access_token(
        self, client: Client, *, key: Key | Identity | None = None, **form: str
    ) -> str:
        """Return a token that stands for a client. It is bound to the key, if there is one."""
        answer = await self.grant(client, "client_credentials", key=key, **form)
        return str(answer["access_token"])

    async def exchange(self, client: Client, landed: str) -> dict[str, Any]:
        """Return the tokens for the code in the address that a browser was sent back to."""
        found = parse_qs(urlsplit(landed).query)
        if "code" not in found:
            raise AskError(f"{client.id} got no code: {found}")
        return await self.grant(
            client,
            "authorization_code",
            code=found["code"][0],
            redirect_uri=CALLBACK,
            code_verifier=VERIFIER,
        )

    async def introspect(
        self,
        report: Report,
        what: str,
        token: str,
        client: Client,
        *,
        expected: Mapping[str, Any] | int,
        **form: str,
    ) -> Mapping[str, Any]:
        """Ask about a token, and note what the issuer says."""
        status, answer = await self.post("introspection_endpoint", client, token=token, **form)
        report.said(f"{what} ({client.method})", status, answer, expected=expected)
        return answer if isinstance(answer, dict) else {}

    async def revoke(self, token: str, client: Client, **form: str) -> None:
        status, answer = await self.post("revocation_endpoint", client, token=token, **form)
        if status != 200:
            raise AskError(f"revocation: {status} {answer}")


def by_proxy(identity: Identity) -> dict[str, str]:
    """Return the header by which a proxy hands a client's certificate over (RFC 9440)."""
    return {"Client-Cert": f":{base64.b64encode(identity.der).decode()}:"}


def _proof(key: Key, url: str, token: str | None = None) -> str:
    """Return a DPoP proof for a POST, or for a GET with a token (RFC 9449 §4.2)."""
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)}
    claims = {"jti": uuid4().hex, "htm": "POST", "htu": url, "iat": int(time.time())}
    if token is not None:
        digest = hashlib.sha256(token.encode()).digest()
        ath = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        claims |= {"htm": "GET", "ath": ath}
    return jwt.encode(header, claims, key)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()[:200]


def authorization(client: Client, **parameters: str) -> dict[str, str]:
    """Return the query of a request for a code (RFC 6749 §4.1.1, RFC 7636)."""
    return {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": CALLBACK,
        "state": "a-state",
        "nonce": "a-nonce",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **parameters,
    }


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        if tag == "form" and self.action is None:
            self.action = found.get("action", "")
        elif tag == "input" and found.get("type") != "submit" and "name" in found:
            self.fields[found["name"]] = found.get("value", "")


class Browser:
    """Opens pages as a person would, until it is sent back to the client."""

    def __init__(self, session: ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def opened(cls, headers: Mapping[str, str] | None = None) -> AsyncIterator[Self]:
        """Open one that nobody is logged in with."""
        jar = CookieJar(unsafe=True)  # cookies of addresses
        async with ClientSession(timeout=_TIMEOUT, cookie_jar=jar, headers=headers) as session:
            yield cls(session)

    async def log_in(self, url: str, query: Mapping[str, str], *forms: Mapping[str, str]) -> str:
        """Open a page, and fill in the forms that follow. Return the callback's address."""
        where, form = await self._follow(await self._session.get(url, params=query, **_BY_HAND))
        for filled in forms:
            if form is None:
                break
            fields = {**form.fields, **filled}
            action = urljoin(where, form.action or where)
            headers = {"Referer": where}
            posted = await self._session.post(action, data=fields, headers=headers, **_BY_HAND)
            where, form = await self._follow(posted)
        if form is not None:
            raise AskError(f"{urlsplit(where).path} asks for {sorted(form.fields)}")
        return where

    async def _follow(self, response: ClientResponse) -> tuple[str, _Form | None]:
        for _ in range(_REDIRECTS):
            async with response:
                text = await response.text()
            if response.status not in {302, 303}:
                if response.status != 200:
                    raise AskError(f"{response.url.path}: {response.status} {text[:300]}")
                return str(response.url), _Form(text)
            where = urljoin(str(response.url), response.headers["Location"])
            if where.startswith(CALLBACK):
                return where, None
            response = await self._session.get(where, **_BY_HAND)
        raise AskError("too many redirects")


_BY_HAND: Any = {"allow_redirects": False}


class Api:
    """A protected application, and what it answers."""

    def __init__(self, app: web.Application, url: str, session: ClientSession) -> None:
        self.app = app
        self._url = url
        self._session = session

    async def get(self, token: str, path: str = "/any") -> tuple[int, str]:
        """Return the status, and the reason or what the handler saw."""
        return await self._get({"Authorization": f"Bearer {token}"}, path)

    async def get_with(self, proof: str, token: str) -> tuple[int, str]:
        """Return the same for a token that is sent with a DPoP proof."""
        return await self._get({"Authorization": f"DPoP {token}", "DPoP": proof}, "/any")

    async def get_over_tls(self, certificate: Identity, token: str) -> tuple[int, str]:
        """Return the same for a token that is sent by a client with a certificate."""
        return await self._get(
            {"Authorization": f"Bearer {token}", **by_proxy(certificate)}, "/any"
        )

    def prove(self, key: Key, token: str) -> str:
        """Return a DPoP proof for a request with a token."""
        return _proof(key, f"{self._url}/any", token)

    async def _get(self, headers: dict[str, str], path: str) -> tuple[int, str]:
        async with self._session.get(self._url + path, headers=headers) as response:
            return response.status, str((await response.json())["text"])


@asynccontextmanager
async def protected(*trusted: auth.TrustedIssuer, **options: Any) -> AsyncIterator[Api]:
    """Serve an application that trusts some issuers."""
    app = web.Application()
    certificates = auth.CertificateHeader(proxies=["127.0.0.1"])
    validator = auth.TokenValidator(issuers=trusted, **options)
    auth.setup(app, validator, refuse=_refuse, client_certificate=certificates)
    app.router.add_get("/any", _any)
    app.router.add_get("/reports", _reports)
    async with serving(app) as port, ClientSession(timeout=_TIMEOUT) as session:
        yield Api(app, f"http://127.0.0.1:{port}", session)


async def _any(request: web.Request) -> web.Response:
    token = auth.token(request)
    scopes = " ".join(sorted(token.scopes))
    return web.json_response({"text": f"sub `{token.subject}`, scopes `{scopes}`"})


@auth.protected(scopes={SCOPE})
async def _reports(request: web.Request) -> web.Response:
    return await _any(request)


async def _refuse(_request: web.Request, refusal: auth.AuthError) -> web.Response:
    return web.json_response({"text": refusal.reason.value})


class Asking:
    """Sends one kind of token of one issuer to an application, and notes the answers."""

    def __init__(self, api: Api, report: Report, kind: str) -> None:
        self.api = api
        self._report = report
        self._kind = kind

    async def send(
        self, what: str, token: str, expected: int | tuple[int, str], path: str = "/any"
    ) -> None:
        got = await self.api.get(token, path)
        self._report.answered(self._kind, what, got=got, expected=expected)
        if got[0] != 200:
            explained = await auth.explain(self.api.app, token)
            told = explained.advice or " ".join(
                lacking for *_, lacking in explained.routes if lacking
            )
            self._report.advice.append((self._report.issuer, f"{self._kind}: {what}", told))

    async def send_bound(self, token: str, key: Key, other: Key) -> None:
        """Send a token that is bound to a key: with a proof, with it again, with another key's."""
        proof = self.api.prove(key, token)
        for what, sent, expected in (
            ("a token that is bound by DPoP, with its proof", proof, 200),
            ("the same, with the same proof", proof, (401, "replayed")),
            ("the same, with another key's proof", self.api.prove(other, token), (401, "bound")),
        ):
            got = await self.api.get_with(sent, token)
            self._report.answered(self._kind, what, got=got, expected=expected)

    async def send_certified(self, token: str, mine: Identity, other: Identity) -> None:
        """Send a token that is bound to a certificate: with it, without it, and with another."""
        sent = "a token that is bound to a certificate"
        for what, got, expected in (
            (f"{sent}, with it", await self.api.get_over_tls(mine, token), 200),
            ("the same, with another one", await self.api.get_over_tls(other, token), 401),
        ):
            self._report.answered(self._kind, what, got=got, expected=expected)
        await self.send(f"{sent}, without it", token, (401, "bound"))


def changed(token: str) -> str:
    """Return a token with one letter of its end changed, where no bits are padding."""
    position = len(token) - 10
    letter = "A" if token[position] != "A" else "B"
    return token[:position] + letter + token[position + 1 :]


def with_claims(token: str, **claims: object) -> str:
    """Return a signed token whose claims were changed afterwards."""
    header, payload, signature = token.split(".")
    text = json.dumps({**opened(payload), **claims}).encode()
    return ".".join((header, base64.urlsafe_b64encode(text).decode().rstrip("="), signature))


def opened(part: str) -> dict[str, Any]:
    """Return what a part of a JWT says."""
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return dict(found)


def look(report: Report, what: str, token: str) -> None:
    """Note the header and the claims of a token, if it has any."""
    if token.count(".") == 2:
        header, payload, _signature = token.split(".")
        report.looks(what, {"header": opened(header), "claims": opened(payload)})
