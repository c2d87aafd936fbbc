"""In which ways can an issuer fail, over real sockets, and who waits for it meanwhile?"""

import asyncio
import json
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import Key

from hello.auth import TokenValidator
from hello.sandbox.issuer import OMIT, Issuer, issuer_app
from hello.sandbox.issuer.signing import changed
from support.api import AUDIENCE
from support.clock import FakeClock
from support.validators import signing_keys

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

_T = TypeVar("_T")

METADATA = "/.well-known/openid-configuration"
OAUTH_METADATA = "/.well-known/oauth-authorization-server"
JWKS = "/.well-known/jwks.json"

LIMIT = 512 * 1024
BOMB = 16 * 1024 * 1024
PATIENCE = 30  # seconds, for an answer that comes

Answer = Callable[["FailingIssuer", web.Request], Awaitable[web.StreamResponse]]
"""Answers a request in the issuer's stead."""


class FailingIssuer(Issuer):
    """An issuer that fails as it is told, while it runs.

    `answers`, by path, take the place of its own. `trap` is another server of the same documents,
    `untrusted` the same with a certificate that nobody vouches for; `trapped` counts who asked.
    """

    @classmethod
    @asynccontextmanager
    async def serving(cls, key: Key, clock: FakeClock) -> AsyncIterator[Self]:
        issuer = cls(audience=AUDIENCE, key=key, clock=clock.time)
        trap = web.Application()
        trap.router.add_get("/{path:.*}", issuer._trap)
        app = issuer_app(issuer)
        app.middlewares.append(issuer._answer)  # behind the one that counts
        async with _running(trap) as runner, _running(app) as issuer._runner:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_self_signed()).start()
            issuer.trap = f"http://127.0.0.1:{runner.addresses[0][1]}"
            issuer.untrusted = f"https://127.0.0.1:{runner.addresses[1][1]}"
            # Bound and not listening: while the issuer is down its port is nobody else's.
            with socket.socket() as reserved:
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                reserved.bind(("127.0.0.1", 0))
                issuer.port = reserved.getsockname()[1]
                issuer.url = f"http://127.0.0.1:{issuer.port}/"
                await issuer.start()
                yield issuer

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.answers: dict[str, Answer] = {}
        self.trapped = 0
        self.trap = self.untrusted = ""
        self.port = 0
        self._runner: web.AppRunner

    async def start(self) -> None:
        """Listen, and answer as an issuer should. Of its metadata there is one address."""
        self.answers.clear()
        self.answers[OAUTH_METADATA] = status(404)
        if not self._runner.sites:
            await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_port=True).start()

    async def stop(self) -> None:
        """Refuse connections."""
        for site in list(self._runner.sites):
            await site.stop()

    def hold(self, path: str) -> "Held":
        """Hold the next answer back."""
        held = self.answers[path] = Held()
        return held

    @property
    def asked(self) -> tuple[int, int]:
        """How often it was asked for its metadata, and for its keys."""
        return self.requests[METADATA], self.requests[JWKS]

    @web.middleware
    async def _answer(self, request: web.Request, handler: "Handler") -> web.StreamResponse:
        answer = self.answers.get(request.path)
        return await (handler(request) if answer is None else answer(self, request))

    async def _trap(self, request: web.Request) -> web.Response:
        self.trapped += 1
        return await usual(self, request)


async def usual(issuer: FailingIssuer, request: web.Request) -> web.Response:
    """The keys where a path ends like theirs, and elsewhere the metadata."""
    its_keys = request.path.endswith("jwks.json")
    return web.json_response(issuer.key_set() if its_keys else issuer.metadata())


class Held:
    """Holds the first answer back until a test releases it: it is as old as its request."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._released = asyncio.Event()
        self._abandoned = asyncio.Event()

    async def __call__(self, issuer: FailingIssuer, request: web.Request) -> web.Response:
        response = await usual(issuer, request)
        self._asked.set()
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            self._abandoned.set()
            raise
        return response

    def release(self) -> None:
        self._released.set()

    async def asked(self) -> None:
        """Wait for the request."""
        async with asyncio.timeout(30):
            await self._asked.wait()

    async def abandoned(self) -> None:
        """Wait until nobody waits for the answer any more."""
        async with asyncio.timeout(30):
            await self._abandoned.wait()


@asynccontextmanager
async def validating(
    issuer: Issuer, clock: FakeClock, **options: Any
) -> AsyncIterator[TokenValidator]:
    """A validator of the issuer's tokens, closed at the end."""
    usual: dict[str, Any] = {"issuer": issuer.url, "audience": AUDIENCE, "jwks_timeout": PATIENCE}
    validator = TokenValidator(clock=clock, **usual | options)
    try:
        yield validator
    finally:
        await validator.close()


def at_once(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that has nothing to wait for. Where it would wait, the test fails."""
    try:
        coroutine.send(None)
    except StopIteration as result:
        value: _T = result.value
        return value
    coroutine.close()
    pytest.fail("it waits")


def waits(validator: TokenValidator, seconds: float) -> None:
    """From now on, let it wait that long for keys. A good answer may be late on a slow machine."""
    keys = signing_keys(validator)
    keys._policy = replace(keys._policy, timeout=seconds)


async def settled(validator: TokenValidator) -> None:
    """Wait for the end of the fetch under way, if there is one."""
    pending = signing_keys(validator)._pending
    if pending is not None:
        await asyncio.wait([pending])


@dataclass(frozen=True, slots=True)
class Failure:
    """What to do to an issuer, and what the log names then."""

    begin: Callable[[FailingIssuer], Awaitable[None]]
    named: tuple[str, ...]
    timeout: float = PATIENCE


def at(path: str, answer: Answer) -> Callable[[FailingIssuer], Awaitable[None]]:
    """Answer otherwise at one path."""

    async def begin(issuer: FailingIssuer) -> None:
        issuer.answers[path] = answer

    return begin


def status(code: int) -> Answer:
    """Another status, with the right body."""

    async def answer(issuer: FailingIssuer, request: web.Request) -> web.Response:
        response = await usual(issuer, request)
        response.set_status(code)
        if 300 <= code < 400:
            response.headers["Location"] = issuer.trap + request.path
        return response

    return answer


def rewritten(change: Callable[[bytes], bytes], **headers: str) -> Answer:
    """Another body, made from the right one."""

    async def answer(issuer: FailingIssuer, request: web.Request) -> web.Response:
        response = await usual(issuer, request)
        assert isinstance(response.body, bytes)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=change(response.body), headers=named)

    return answer


def members(**changes: Any) -> Answer:
    """Other members of the object; OMIT takes one out."""
    return rewritten(lambda body: json.dumps(changed(json.loads(body), changes)).encode())


def cut_off(*, chunked: bool) -> Answer:
    """The right body, and the connection ends where more was announced."""

    async def answer(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
        body = (await usual(issuer, request)).body
        assert isinstance(body, bytes)
        response = web.StreamResponse()
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(body) + 1
        await response.prepare(request)
        await response.write(body)
        return await hang_up(issuer, request)

    return answer


async def hang_up(
    _issuer: FailingIssuer, request: web.Request, last_words: bytes = b""
) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(last_words)
    request.transport.close()
    return web.Response()


async def hang(_issuer: FailingIssuer, _request: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


async def hang_in_the_body(issuer: FailingIssuer, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"')
    return await hang(issuer, request)


async def point_at_untrusted(issuer: FailingIssuer) -> None:
    issuer.answers[METADATA] = members(jwks_uri=issuer.untrusted + JWKS)


def padded(size: int) -> Callable[[bytes], bytes]:
    return lambda body: body.ljust(size)


def compressed(window_bits: int, size: int) -> Callable[[bytes], bytes]:
    def change(body: bytes) -> bytes:
        compressor = zlib.compressobj(wbits=window_bits)
        return compressor.compress(body.ljust(size)) + compressor.flush()

    return change


def _with_member(member: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body[:-1] + b", " + member + b"}"


def _twice(body: bytes) -> bytes:
    name, value = next(iter(json.loads(body).items()))
    return _with_member(json.dumps({name: value})[1:-1].encode())(body)


_STATUSES = (201, 206, 301, 302, 303, 307, 308, 404, 429, 500, 503)
_BAD_ANSWERS: Mapping[str, tuple[Answer, str]] = {
    **{str(code): (status(code), str(code)) for code in _STATUSES},
    "HTML": (rewritten(lambda _: b"<!doctype html><p>Hello", content_type="text/html"), ""),
    "an empty body": (rewritten(lambda _: b""), ""),
    "cut JSON": (rewritten(lambda body: body[:-1]), ""),
    "a cut body": (cut_off(chunked=False), "ClientPayloadError"),
    "a cut chunked body": (cut_off(chunked=True), "ClientPayloadError"),
    "no answer but the end": (hang_up, "ServerDisconnectedError"),
    "no HTTP": (partial(hang_up, last_words=b"220 Hello\r\n\r\n"), "ClientResponseError"),
    "a byte too many": (rewritten(padded(LIMIT + 1)), str(LIMIT)),
    "a gzip bomb": (rewritten(compressed(31, BOMB), Content_Encoding="gzip"), str(LIMIT)),
    "a deflate bomb": (rewritten(compressed(15, BOMB), Content_Encoding="deflate"), str(LIMIT)),
    "gzip that is none": (rewritten(bytes, Content_Encoding="gzip"), "ClientPayloadError"),
    "bad UTF-8": (rewritten(_with_member(b'"x": "\xff"')), "utf-8"),
    "a member twice": (rewritten(_twice), ""),
    "a NaN": (rewritten(_with_member(b'"x": NaN')), "NaN"),
    "100,000 brackets": (rewritten(lambda _: b"[" * 100_000), ""),
    "a list": (rewritten(lambda body: b"[" + body + b"]"), ""),
    "null": (rewritten(lambda _: b"null"), ""),
}
_HANGING: Mapping[str, Answer] = {"nothing": hang, "half a body": hang_in_the_body}
_ELSEWHERE = "https://elsewhere.example.com/"
_BAD_METADATA: Mapping[str, tuple[Answer, str]] = {
    "another's issuer": (members(issuer=_ELSEWHERE), _ELSEWHERE),
    "no jwks_uri": (members(jwks_uri=OMIT), "jwks_uri"),
    "null as jwks_uri": (members(jwks_uri=None), "jwks_uri"),
    "a number as jwks_uri": (members(jwks_uri=1), "jwks_uri"),
    "a path as jwks_uri": (members(jwks_uri=JWKS), "jwks_uri"),
    "an http jwks_uri": (members(jwks_uri="http://elsewhere.example.com/"), "jwks_uri"),
    "a file as jwks_uri": (members(jwks_uri="file:///etc/passwd"), "jwks_uri"),
    "a broken jwks_uri": (members(jwks_uri="https://[/"), "jwks_uri"),
    "a jwks_uri that is no URL to aiohttp": (members(jwks_uri="http://\\.localhost"), "jwks_uri"),
    "a jwks_uri that is no host to Python": (members(jwks_uri="https://a..example"), "label"),
}
_BAD_SETS: Mapping[str, tuple[Answer, str]] = {
    "no keys": (members(keys=OMIT), '"keys"'),
    "null as keys": (members(keys=None), '"keys"'),
    "an object as keys": (members(keys={"kty": "RSA"}), '"keys"'),
    "a string as keys": (members(keys="none"), '"keys"'),
    "an empty set": (members(keys=[]), ""),
    "only useless keys": (members(keys=[None, {"kty": "oct", "k": "AA"}]), ""),
}

FAILURES: Mapping[str, Failure] = {
    "down": Failure(FailingIssuer.stop, ("ClientConnectorError",)),
    "a bad certificate": Failure(point_at_untrusted, ("ClientConnectorCertificateError",)),
    **{
        f"{name} at {path}": Failure(at(path, answer), (path, named))
        for path in (METADATA, JWKS)
        for name, (answer, named) in _BAD_ANSWERS.items()
    },
    **{
        f"{name} and no more at {path}": Failure(at(path, answer), ("0.3",), 0.3)
        for path in (METADATA, JWKS)
        for name, answer in _HANGING.items()
    },
    **{name: Failure(at(METADATA, answer), (it,)) for name, (answer, it) in _BAD_METADATA.items()},
    **{name: Failure(at(JWKS, answer), (JWKS, it)) for name, (answer, it) in _BAD_SETS.items()},
}


@asynccontextmanager
async def _running(app: web.Application) -> AsyncIterator[web.AppRunner]:
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


@cache
def _self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        pem = Path(folder, "server.pem")
        pem.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        context.load_cert_chain(pem)
    return context
