"""What does the API consist of?"""

from typing import Literal

from aiohttp import web

from . import auth
from .config import Config
from .document import serve_document
from .messages import message_routes
from .operating import health
from .operating.audit_file import AuditFile
from .operating.start_line import log_start
from .operating.telemetry import send_traces
from .responses import allow_client, errors_as_json, security_headers


def create_app(config: Config) -> web.Application:
    """Return the API. It checks tokens, sends messages, and lets one client's pages read them."""
    app = web.Application(middlewares=[errors_as_json])
    proxies = config.client_cert_proxies
    auth.setup(
        app,
        token_validator(config),
        resource=config.resource_url,
        public_url=config.public_url,
        client_certificate=auth.CertificateHeader(proxies=proxies) if proxies else None,
        on_decision=AuditFile(config.audit_file) if config.audit_file else None,
    )
    if config.metrics_port is not None:
        from .operating import metrics  # noqa: PLC0415 - its library is an extra

        metrics.setup(app)
    app.add_routes(message_routes(admin_permission=config.admin_permission))
    health.setup(app)
    serve_document(app)
    security_headers(app)
    allow_client(app, config.client_origin)
    if config.traces_exporter is not None:
        send_traces(app, config.traces_exporter, traceparent_from=config.forwarded_from)
    log_start(
        app,
        client_cert_proxies=proxies,
        forwarded_from=config.forwarded_from,
        log_format=config.log_format,
        audit_file=config.audit_file,
        traces_exporter=config.traces_exporter,
        metrics_port=None if config.metrics_port is None else str(config.metrics_port),
    )
    return app


def token_validator(config: Config) -> auth.TokenValidator:
    """Return the validator of access tokens that the configuration describes."""
    introspection = None
    if config.introspection_client is not None:
        client_id, client_secret = config.introspection_client
        introspection = auth.Introspection(
            client_id=client_id,
            client_secret=client_secret,
            endpoint=config.introspection_endpoint,
        )
    issuer = auth.TrustedIssuer(
        issuer=config.issuer,
        audience=config.audience,
        audience_claim=config.audience_claim,
        algorithms=config.algorithms,
        jwks_uri=config.jwks_uri,
        allow_insecure_http=config.allow_insecure_http,
        introspection=introspection,
    )
    return auth.TokenValidator(
        issuers=[issuer],
        dpop=_dpop(config),
        jwks_max_age=config.jwks_max_age,
        jwks_max_stale=config.jwks_max_stale,
        jwks_cooldown=config.jwks_cooldown,
        jwks_timeout=config.jwks_timeout,
    )


def _dpop(config: Config) -> auth.DPoP | Literal["off"]:
    if config.dpop == "off":
        return "off"
    url, secret = config.redis_url, config.dpop_nonce_secret
    return auth.DPoP(
        required=config.dpop == "required",
        replay=None if url is None else auth.RedisReplayStore(url),
        fail_open=config.dpop_fail_open,
        nonces=None if secret is None else auth.Nonces(secret),
    )
