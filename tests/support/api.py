"""Where does the API of the tests stand: whom does it trust, and how is it asked?"""

from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from hello.config import Config
from hello.sandbox.issuer import Issuer
from hello.server import Runner

AUDIENCE = "https://hello-world.example.com"
ORIGIN = "http://localhost:4040"

Client = TestClient[web.Request, web.Application]

SECURITY_HEADERS = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "X-XSS-Protection": "0",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store, max-age=0",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-DNS-Prefetch-Control": "off",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Cross-Origin-Resource-Policy": "same-site",
}


class ApiServer(TestServer):
    """A test server that runs an application just as run.py and gunicorn do."""

    async def _make_runner(self, **_options: Any) -> web.AppRunner:
        return Runner(self.app)


def config_for(issuer: Issuer, **environ: str) -> Config:
    """The configuration that trusts an issuer; `environ` adds variables."""
    return Config.from_environ(
        {
            "CLIENT_ORIGIN_URL": ORIGIN,
            "ISSUER_BASE_URL": issuer.url,
            "AUTH0_AUDIENCE": AUDIENCE,
            **environ,
        }
    )


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}
