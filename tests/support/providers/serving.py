"""Where are the keys that a page's own code fetches, over a real connection?"""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .sending import Sent

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass
class Serving:
    """A server that has one document. `asked` has the Authorization of each good request."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    def instead_of(self, url: str, sent: Sent) -> Sent:
        """Let the page's code ask this server in the place of a provider's.

        A long address is written in two parts, which make one when it runs.
        """
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}/"
        assert origin in sent.code
        return replace(sent, code=sent.code.replace(origin, self.url))


@asynccontextmanager
async def serving(path: str, document: Any) -> AsyncIterator[Serving]:
    """Serve a document over http, as this machine may be asked."""
    async with _serving(path, document) as served:
        yield served


@asynccontextmanager
async def cluster(path: str, document: Any, folder: Path) -> AsyncIterator[Serving]:
    """Serve a document as the API server of a cluster does.

    It has a certificate of an authority of its own, and asks for the token that is in the folder.
    """
    (folder / "token").write_text("the-pod-s-own-token")
    context = _certified(folder)
    async with _serving(path, document, context, "Bearer the-pod-s-own-token") as served:
        yield served


@asynccontextmanager
async def _serving(
    path: str, document: Any, context: ssl.SSLContext | None = None, wanted: str = ""
) -> AsyncIterator[Serving]:
    served = Serving()

    async def answer(request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        if authorization != wanted:
            return web.Response(status=401)
        served.asked.append(authorization)
        return web.Response(text=json.dumps(document), content_type="application/json")

    app = web.Application()
    app.router.add_get(path, answer)
    server = TestServer(app, host="localhost")
    await server.start_server(ssl=context)
    served.url = str(server.make_url("/"))
    try:
        yield served
    finally:
        await server.close()


def _certified(folder: Path) -> ssl.SSLContext:
    """A server's certificate for localhost, and `ca.crt`, which is the same: it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    (folder / "ca.crt").write_bytes(pem)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.pem").write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
