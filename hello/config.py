"""Which settings come from the environment?

All mistakes are reported at once, each by its variable's name, so that nobody has to start the
server five times to find five of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast

from . import values
from .auth.reading.forwarded import ForwardedHeader
from .logs import LogFormat
from .tokens.possession.dpop import Mode
from .tokens.urls import is_secure_url, shown_url

_T = TypeVar("_T")

ISSUER_VARIABLES = ("AUTH0_DOMAIN", "ISSUER_BASE_URL")
"""If none of these is set, the environment does not say whose tokens to accept."""


class ConfigError(Exception):
    """The environment has mistakes. `problems` holds a sentence about each of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the API.

    `issuer` is the exact `iss`. `introspection_client` is an identifier and a secret. The times
    `jwks_max_age`, `jwks_max_stale`, `jwks_cooldown` and `jwks_timeout` are in seconds.
    """

    host: str
    port: int
    client_origin: str
    issuer: str
    audience: str
    audience_claim: str
    jwks_uri: str | None
    allow_insecure_http: bool
    introspection_client: tuple[str, str] | None = field(repr=False)
    introspection_endpoint: str | None
    algorithms: tuple[str, ...]
    admin_permission: str | None
    client_id: str | None
    resource_url: str | None
    public_url: str | None
    client_cert_proxies: tuple[str, ...]
    dpop: Mode
    redis_url: str | None = field(repr=False)
    dpop_fail_open: bool
    dpop_nonce_secret: bytes | None = field(repr=False)
    log_level: str
    log_format: LogFormat
    forwarded_from: tuple[str, ...]
    forwarded_header: ForwardedHeader | None
    audit_file: str | None
    traces_exporter: str | None
    metrics_host: str
    metrics_port: int | None
    jwks_max_age: float
    jwks_max_stale: float
    jwks_cooldown: float
    jwks_timeout: float

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Return the configuration that the environment sets. Raises ConfigError."""
        read = _Reader(environ)
        insecure = read("ALLOW_INSECURE_HTTP", values.flag, "false")
        config = cls(
            host=read("HOST", values.host, "localhost"),
            port=read("PORT", values.port, "6060"),
            client_origin=read("CLIENT_ORIGIN_URL", values.origin),
            issuer=_read_issuer(read, allow_insecure_http=insecure),
            audience=read("AUTH0_AUDIENCE", values.audience),
            audience_claim=read("AUDIENCE_CLAIM", values.claim, "aud"),
            jwks_uri=read("JWKS_URI", partial(values.jwks_uri, allow_insecure_http=insecure)),
            allow_insecure_http=insecure,
            introspection_client=_read_introspection_client(read),
            introspection_endpoint=read("INTROSPECTION_ENDPOINT", values.endpoint),
            algorithms=read("TOKEN_SIGNING_ALG", values.algorithms, "RS256"),
            admin_permission=read("ADMIN_PERMISSION", values.permission),
            client_id=read("AUTH0_CLIENT_ID", values.client_id),
            resource_url=read("RESOURCE_URL", values.resource_url),
            public_url=read("PUBLIC_URL", values.public_url),
            client_cert_proxies=read("CLIENT_CERT_PROXIES", values.proxies),
            dpop=read("DPOP", values.dpop, "allowed"),
            redis_url=read("REDIS_URL", values.redis_url),
            dpop_fail_open=read("DPOP_FAIL_OPEN", values.flag, "false"),
            dpop_nonce_secret=read("DPOP_NONCE_SECRET", values.nonce_secret),
            log_level=read("LOG_LEVEL", values.log_level, "info"),
            log_format=read("LOG_FORMAT", values.log_format, "text"),
            forwarded_from=read("FORWARDED_FROM", values.proxies),
            forwarded_header=read("FORWARDED_HEADER", values.forwarded_header),
            audit_file=read("AUDIT_FILE", values.audit_file),
            traces_exporter=read("OTEL_TRACES_EXPORTER", values.traces_exporter),
            metrics_host=read("METRICS_HOST", values.host, "127.0.0.1"),
            metrics_port=read("METRICS_PORT", values.metrics_port),
            jwks_max_age=read("JWKS_MAX_AGE", values.seconds, "600"),
            jwks_max_stale=read("JWKS_MAX_STALE", values.seconds, "3600"),
            jwks_cooldown=read("JWKS_COOLDOWN", values.seconds, "10"),
            jwks_timeout=read("JWKS_TIMEOUT", values.seconds, "5"),
        )
        ages_are_valid = read.invalid.isdisjoint({"JWKS_MAX_AGE", "JWKS_MAX_STALE"})
        if ages_are_valid and config.jwks_max_stale < config.jwks_max_age:
            read.problems.append(
                "JWKS_MAX_STALE is less than JWKS_MAX_AGE: both count from the last good fetch"
            )
        if config.dpop == "off":
            read.problems += [
                f"{name} is set, and DPOP is off: no proof is read, so leave it out"
                for name, value in (
                    ("REDIS_URL", config.redis_url),
                    ("DPOP_FAIL_OPEN", config.dpop_fail_open),
                    ("DPOP_NONCE_SECRET", config.dpop_nonce_secret),
                )
                if value
            ]
        if config.dpop_fail_open and not read.text("REDIS_URL") and config.dpop != "off":
            read.problems.append(
                "DPOP_FAIL_OPEN is set, and REDIS_URL is not: it is for an outage of Redis"
            )
        if read.problems:
            raise ConfigError(read.problems)
        return config

    @property
    def base_url(self) -> str:
        """The address of the API, as somebody on this machine would type it."""
        everywhere = self.host in ("0.0.0.0", "::")  # noqa: S104
        host = "localhost" if everywhere else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}"


def names_issuer(environ: Mapping[str, str]) -> bool:
    """Return whether the environment sets any of ISSUER_VARIABLES."""
    return any(environ.get(name, "").strip() for name in ISSUER_VARIABLES)


class _Reader:
    """Reads the variables one by one, and collects the mistakes in them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.invalid: set[str] = set()  # the variables with a mistake

    def text(self, name: str) -> str:
        """Return the value of a variable; it is empty if the variable is not set."""
        return self._environ.get(name, "").strip()

    def __call__(self, name: str, parse: Callable[[str], _T], default: str = "") -> _T:
        """Return the parsed value of a variable.

        After a mistake it returns None, but nobody sees that, because from_environ raises.
        """
        try:
            return parse(self.text(name) or default)
        except ValueError as error:
            self.problems.append(f"{name} {error}")
            self.invalid.add(name)
            return cast("_T", None)


def _read_issuer(read: _Reader, *, allow_insecure_http: bool) -> str:
    domain, base_url = read.text("AUTH0_DOMAIN"), read.text("ISSUER_BASE_URL")
    if domain and base_url:
        read.problems.append("AUTH0_DOMAIN and ISSUER_BASE_URL each name an issuer: keep one")
        return ""
    if not base_url:
        return read("AUTH0_DOMAIN", values.domain)
    if read.text("JWKS_URI"):
        return read("ISSUER_BASE_URL", values.issuer_name)
    return read("ISSUER_BASE_URL", partial(values.issuer, allow_insecure_http=allow_insecure_http))


def _read_introspection_client(read: _Reader) -> tuple[str, str] | None:
    names = ("INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET")
    missing = [name for name in names if not read.text(name)]
    if len(missing) == len(names):
        return None
    if missing:
        other = next(name for name in names if name not in missing)
        read.problems.append(f"{missing[0]} is missing: {other} is set, and both are needed")
    read.problems += [
        f"{name} has a character that cannot be seen"
        for name in names
        if not read.text(name).isprintable()
    ]
    base_url = read.text("ISSUER_BASE_URL")
    if base_url and not is_secure_url(base_url) and not read.text("INTROSPECTION_ENDPOINT"):
        read.problems.append(
            f"{names[0]} is set, and ISSUER_BASE_URL is {shown_url(base_url)}: tokens are sent "
            "over https only (http on a loopback host). Set INTROSPECTION_ENDPOINT"
        )
    return read.text(names[0]), read.text(names[1])
