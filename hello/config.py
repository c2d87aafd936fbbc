"""Which settings come from the environment, and which values may they have?

All mistakes are reported at once, each by its variable's name, so that nobody has to start the
server five times to find five of them.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar, cast
from urllib.parse import urlsplit

from .tokens import ALGORITHMS
from .tokens.requirements import SCOPE_TOKEN
from .tokens.urls import is_resource_url, is_secure_url

_T = TypeVar("_T")

ISSUER_VARIABLES = ("AUTH0_DOMAIN", "AUTH0_AUDIENCE", "ISSUER_BASE_URL")
"""If none of these is set, the environment does not say whose tokens to accept."""

_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)+")
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?(e[0-9]+)?")
_ORIGIN_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
_PLACEHOLDER = re.compile(
    r"[<>{}]|auth0[-_](domain|audience)|tenant(-name)?\.region\."
    r"|(?<![a-z0-9])your[-_]?(auth0|tenant|domain|api|audience|identifier|client|permission)",
    re.IGNORECASE,
)
_HTTP = "(http is for a loopback host only, or for every host with ALLOW_INSECURE_HTTP=true)"
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORTS = range(1, 65536)


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
    algorithms: tuple[str, ...]
    admin_permission: str | None
    client_id: str | None
    resource_url: str | None
    log_level: str
    jwks_max_age: float
    jwks_max_stale: float
    jwks_cooldown: float
    jwks_timeout: float

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Return the configuration that the environment sets. Raises ConfigError."""
        read = _Reader(environ)
        insecure = read("ALLOW_INSECURE_HTTP", _flag, "false")
        config = cls(
            host=read("HOST", _host, "localhost"),
            port=read("PORT", _port, "6060"),
            client_origin=read("CLIENT_ORIGIN_URL", _origin),
            issuer=_read_issuer(read, allow_insecure_http=insecure),
            audience=read("AUTH0_AUDIENCE", _audience),
            audience_claim=read("AUDIENCE_CLAIM", str, "aud"),
            jwks_uri=read("JWKS_URI", partial(_jwks_uri, allow_insecure_http=insecure)),
            allow_insecure_http=insecure,
            introspection_client=_read_introspection_client(read),
            algorithms=read("TOKEN_SIGNING_ALG", _algorithms, "RS256"),
            admin_permission=read("ADMIN_PERMISSION", _permission),
            client_id=read("AUTH0_CLIENT_ID", _client_id),
            resource_url=read("RESOURCE_URL", _resource_url),
            log_level=read("LOG_LEVEL", _log_level, "info"),
            jwks_max_age=read("JWKS_MAX_AGE", _seconds, "600"),
            jwks_max_stale=read("JWKS_MAX_STALE", _seconds, "3600"),
            jwks_cooldown=read("JWKS_COOLDOWN", _seconds, "10"),
            jwks_timeout=read("JWKS_TIMEOUT", _seconds, "5"),
        )
        ages_are_valid = read.invalid.isdisjoint({"JWKS_MAX_AGE", "JWKS_MAX_STALE"})
        if ages_are_valid and config.jwks_max_stale < config.jwks_max_age:
            read.problems.append(
                "JWKS_MAX_STALE is less than JWKS_MAX_AGE: both count from the last good fetch"
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
        return read("AUTH0_DOMAIN", _domain)
    if read.text("JWKS_URI"):
        return read("ISSUER_BASE_URL", _issuer_name)
    return read("ISSUER_BASE_URL", partial(_issuer, allow_insecure_http=allow_insecure_http))


def _read_introspection_client(read: _Reader) -> tuple[str, str] | None:
    names = ("INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET")
    missing = [name for name in names if not read.text(name)]
    if len(missing) == len(names):
        return None
    if missing:
        read.problems.append(f"{missing[0]} is missing: the other half of the client is set")
    base_url = read.text("ISSUER_BASE_URL")
    if base_url and not is_secure_url(base_url):
        read.problems.append(
            f"{names[0]} is set, and ISSUER_BASE_URL is {base_url!r}: tokens are sent over https "
            "only (http on a loopback host)"
        )
    return read.text(names[0]), read.text(names[1])


def _required(value: str, meaning: str) -> str:
    if not value:
        raise ValueError(f"is missing: {meaning}")
    if _PLACEHOLDER.search(value):
        raise ValueError(f"is still a placeholder, {value!r}: {meaning}")
    return value


def _domain(value: str) -> str:
    meaning = "your tenant's domain, like dev-abc123.eu.auth0.com (or set ISSUER_BASE_URL)"
    _required(value, meaning)
    if value.lower().startswith("http://"):
        raise ValueError(f"is {value!r}: an issuer is reached over https, so leave out http://")
    domain = value.lower().removeprefix("https://").removesuffix("/")
    if not _HOST_NAME.fullmatch(domain):
        raise ValueError(f"is {value!r}, which is not a domain: {meaning}")
    return f"https://{domain}/"


def _issuer_name(value: str) -> str:
    return _required(value, "the issuer's name, exactly as in the iss claim of its tokens")


def _issuer(value: str, *, allow_insecure_http: bool) -> str:
    _required(value, "the issuer's URL, exactly as in the iss claim of its tokens")
    if not is_secure_url(value, allow_insecure_http=allow_insecure_http):
        raise ValueError(
            f"is {value!r}, not an https URL {_HTTP}. If it is only a name, set JWKS_URI, too"
        )
    if "?" in value or "#" in value:
        raise ValueError(f"is {value!r}: an issuer has no query and no fragment")
    return value


def _jwks_uri(value: str, *, allow_insecure_http: bool) -> str | None:
    if value and not is_secure_url(value, allow_insecure_http=allow_insecure_http):
        raise ValueError(f"is {value!r}, not an https URL {_HTTP}")
    return value or None


def _flag(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(f"is {value!r}, neither true nor false")
    return value.lower() == "true"


def _audience(value: str) -> str:
    return _required(value, "the API's identifier, as registered with the issuer")


def _client_id(value: str) -> str | None:
    return _required(value, "an identifier, as registered with the issuer") if value else None


def _resource_url(value: str) -> str | None:
    meaning = "the URL at which clients call this API, like https://api.example.com"
    if not value:
        return None
    _required(value, meaning)
    if not is_resource_url(value):
        raise ValueError(f"is {value!r}: {meaning} (http is for a loopback host only)")
    return value


def _origin(value: str) -> str:
    meaning = "the origin of the client's pages, like http://localhost:4040"
    _required(value, meaning)
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in _DEFAULT_PORTS or parts.username is not None:
        raise ValueError(f"is {value!r}: {meaning}")
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f"is {value!r}: an origin ends after its host or port, without a slash")
    if port == _DEFAULT_PORTS[parts.scheme]:
        raise ValueError(
            f"is {value!r}: browsers leave {port} out for {parts.scheme}, so leave it out here"
        )
    # The value must be what browsers write (RFC 6454 §6.2): the two are compared as text.
    as_browsers_write = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}"
    if port is not None:
        as_browsers_write += f":{port}"
    if value != as_browsers_write or not _ORIGIN_HOST.fullmatch(host):
        raise ValueError(f"is {value!r}, which browsers write differently: {meaning}")
    return value


def _host(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
        raise ValueError(f"is {value!r}, which is neither a host name nor an address")
    return value


def _port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) not in _PORTS:
        raise ValueError(f"is {value!r}, not a port from {_PORTS.start} to {_PORTS.stop - 1}")
    return int(value)


def _algorithms(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"has {name!r}, which is not one of {known}")
    return names


def _permission(value: str) -> str | None:
    if value and not SCOPE_TOKEN.fullmatch(value):
        raise ValueError(f"is {value!r}, which is not one permission, like read:admin-messages")
    return value or None


def _log_level(value: str) -> str:
    if value.lower() not in _LOG_LEVELS:
        raise ValueError(f"is {value!r}, not one of {', '.join(_LOG_LEVELS)}")
    return value.lower()


def _seconds(value: str) -> float:
    if not _NUMBER.fullmatch(value) or not 0 < float(value) < math.inf:
        raise ValueError(f"is {value!r}, not a number of seconds above zero")
    return float(value)
