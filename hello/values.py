"""Which value may a variable of the environment have?

Each function returns what a text means, or raises ValueError, whose message goes on after the
variable's name.
"""

import math
import os
import re
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import cast, get_args
from urllib.parse import urlsplit

from .auth.reading.forwarded import ForwardedHeader
from .auth.reading.proxies import TrustedProxies
from .logs import LogFormat
from .tokens import ALGORITHMS, RedisReplayStore
from .tokens.challenges import is_scope
from .tokens.possession.addresses import is_beginning
from .tokens.possession.dpop import Mode
from .tokens.possession.nonces import MIN_SECRET
from .tokens.urls import is_resource_url, is_secure_url, shown_url

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


def _required(value: str, meaning: str) -> str:
    if not value:
        raise ValueError(f"is missing: {meaning}")
    if _PLACEHOLDER.search(value):
        raise ValueError(f"is still a placeholder, {value!r}: {meaning}")
    if not value.isprintable() or value != value.strip():
        raise ValueError(f"is {value!r}, with a character that cannot be seen: {meaning}")
    return value


def domain(value: str) -> str:
    """Return the issuer of an Auth0 tenant with this domain."""
    meaning = "your tenant's domain, like dev-abc123.eu.auth0.com (or set ISSUER_BASE_URL)"
    _required(value, meaning)
    if value.lower().startswith("http://"):
        raise ValueError(f"is {value!r}: an issuer is reached over https, so leave out http://")
    domain = value.lower().removeprefix("https://").removesuffix("/")
    if not _HOST_NAME.fullmatch(domain):
        raise ValueError(f"is {value!r}, which is not a domain: {meaning}")
    return f"https://{domain}/"


def issuer_name(value: str) -> str:
    """Return an issuer that is only a name: its keys are elsewhere."""
    return _required(value, "the issuer's name, exactly as in the iss claim of its tokens")


def issuer(value: str, *, allow_insecure_http: bool) -> str:
    """Return an issuer whose URL leads to its keys."""
    _required(value, "the issuer's URL, exactly as in the iss claim of its tokens")
    if not is_secure_url(value, allow_insecure_http=allow_insecure_http):
        raise ValueError(
            f"is {value!r}, not an https URL {_HTTP}. If it is only a name, set JWKS_URI, too"
        )
    if "?" in value or "#" in value:
        raise ValueError(f"is {value!r}: an issuer has no query and no fragment")
    return value


def jwks_uri(value: str, *, allow_insecure_http: bool) -> str | None:
    """Return the URL of a key set, or None."""
    if value and not is_secure_url(value, allow_insecure_http=allow_insecure_http):
        raise ValueError(f"is {shown_url(value)}, not an https URL {_HTTP}")
    return value or None


def endpoint(value: str) -> str | None:
    """Return a URL that tokens may be sent to, or None."""
    if value and not is_secure_url(value):
        raise ValueError(
            f"is {shown_url(value)}, not an https URL (http is for a loopback host only)"
        )
    return value or None


def claim(value: str) -> str:
    """Return the name of a claim."""
    if not re.fullmatch(r"\S+", value) or not value.isprintable():
        raise ValueError(f"is {value!r}, not the name of a claim, like client_id")
    return value


def flag(value: str) -> bool:
    """Return whether the text says true or false."""
    if value.lower() not in ("true", "false"):
        raise ValueError(f"is {value!r}, neither true nor false")
    return value.lower() == "true"


def audience(value: str) -> str:
    """Return the identifier of this API."""
    return _required(value, "the API's identifier, as registered with the issuer")


def client_id(value: str) -> str | None:
    """Return the identifier of a client, or None."""
    return _required(value, "an identifier, as registered with the issuer") if value else None


def resource_url(value: str) -> str | None:
    """Return the URL by which clients call this API, or None."""
    meaning = "the URL at which clients call this API, like https://api.example.com"
    if not value:
        return None
    _required(value, meaning)
    if not is_resource_url(value):
        raise ValueError(f"is {value!r}: {meaning} (http is for a loopback host only)")
    return value


def public_url(value: str) -> str | None:
    """Return what stands before a path where clients see it, or None."""
    if value and not is_beginning(value):
        raise ValueError(
            f"is {shown_url(value)}, which is no URL without query and fragment, like "
            "https://api.example.com/v1"
        )
    return value or None


def proxies(value: str) -> tuple[str, ...]:
    """Return the addresses and networks of trusted proxies."""
    if not value:
        return ()
    addresses = tuple(address.strip() for address in value.split(","))
    try:
        TrustedProxies(addresses)
    except ValueError as error:
        raise ValueError(f"is {value!r}: {error}") from None
    return addresses


def forwarded_header(value: str) -> ForwardedHeader | None:
    """Return the name of a header, in lower case, or None."""
    if not value:
        return None
    if value.lower() not in get_args(ForwardedHeader):
        raise ValueError(f"is {value!r}, neither Forwarded nor X-Forwarded-For")
    return cast("ForwardedHeader", value.lower())


def dpop(value: str) -> Mode:
    """Return whether tokens that are bound to a key are accepted."""
    if value.lower() not in get_args(Mode):
        raise ValueError(f"is {value!r}, not one of {', '.join(get_args(Mode))}")
    return cast("Mode", value.lower())


def redis_url(value: str) -> str | None:
    """Return the URL of a Redis server, or None."""
    if not value:
        return None
    try:
        RedisReplayStore(value)
    except ImportError:
        raise ValueError("needs redis-py: python -m pip install -e '.[redis]'") from None
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from None
    return value


def nonce_secret(value: str) -> bytes | None:
    """Return the secret that nonces are made with, or None."""
    secret = value.encode("utf-8", "surrogateescape")
    if value and len(secret) < MIN_SECRET:
        raise ValueError(
            f"has {len(secret)} bytes, and {MIN_SECRET} are needed, all of them random: python3 -c "
            "'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return secret or None


def origin(value: str) -> str:
    """Return an origin exactly as browsers write it (RFC 6454 §6.2)."""
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


def host(value: str) -> str:
    """Return a host name or an address."""
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
        raise ValueError(f"is {value!r}, which is neither a host name nor an address")
    return value


def port(value: str) -> int:
    """Return the number of a port."""
    if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) not in _PORTS:
        raise ValueError(f"is {value!r}, not a port from {_PORTS.start} to {_PORTS.stop - 1}")
    return int(value)


def metrics_port(value: str) -> int | None:
    """Return the number of a port, or None. Metrics need a library that is an extra."""
    if value and find_spec("prometheus_client") is None:
        raise ValueError("needs prometheus-client: python -m pip install -e '.[metrics]'")
    return port(value) if value else None


def algorithms(value: str) -> tuple[str, ...]:
    """Return the names of algorithms with public keys."""
    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS))
            raise ValueError(f"has {name!r}, which is not one of {known}")
    return names


def permission(value: str) -> str | None:
    """Return a permission, or None."""
    if value and not is_scope(value):
        raise ValueError(f"is {value!r}, which is not one permission, like read:admin-messages")
    return value or None


def audit_file(value: str) -> str | None:
    """Return the name of a file that can be written. It is made if it does not exist."""
    if not value:
        return None
    try:
        os.close(os.open(value, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except OSError as error:
        raise ValueError(f"is {value!r}, which cannot be written: {error.strerror}") from None
    return value


def traces_exporter(value: str) -> str | None:
    """Return the names of exporters of OpenTelemetry, which must be installed."""
    names = [name.strip() for name in value.lower().split(",")]
    if names in ([""], ["none"]):
        return None
    installed = {"otlp", *entry_points(group="opentelemetry_traces_exporter").names}
    if not entry_points(group="opentelemetry_distro"):
        raise ValueError("needs OpenTelemetry: python -m pip install -e '.[tracing]'")
    if not installed.issuperset(names):
        raise ValueError(f"is {value!r}, and installed are {', '.join(sorted(installed))}")
    return ",".join(names)


def log_level(value: str) -> str:
    """Return the name of a level, in lower case."""
    if value.lower() not in _LOG_LEVELS:
        raise ValueError(f"is {value!r}, not one of {', '.join(_LOG_LEVELS)}")
    return value.lower()


def log_format(value: str) -> LogFormat:
    """Return whether the lines of the log are for people or for programs."""
    if value.lower() not in get_args(LogFormat):
        raise ValueError(f"is {value!r}, not one of {', '.join(get_args(LogFormat))}")
    return cast("LogFormat", value.lower())


def seconds(value: str) -> float:
    """Return a number of seconds above zero."""
    if not _NUMBER.fullmatch(value) or not 0 < float(value) < math.inf:
        raise ValueError(f"is {value!r}, not a number of seconds above zero")
    return float(value)
