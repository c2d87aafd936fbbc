"""As which client does this API ask an issuer about tokens, and how does it prove that?

RFC 7662 §2.1 requires authentication. RFC 6749 §2.3.1 and RFC 7523 §2.2 say how.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import quote_plus
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from joserfc import jwt
from joserfc.jwk import JWKRegistry, Key

from hello.tokens.bounded import check_flag
from hello.tokens.keys.signing_key import SigningKey
from hello.tokens.urls import is_secure_url, shown_url

Method = Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]
"""The names of OpenID Connect Core 1.0 §9."""

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 60
_KINDS = {RSAPrivateKey: "RSA", EllipticCurvePrivateKey: "EC", Ed25519PrivateKey: "OKP"}
_ALGORITHMS = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("EC", "P-384"): "ES384",
    ("EC", "P-521"): "ES512",
    ("OKP", "Ed25519"): "Ed25519",
}


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Introspection:
    """How an issuer is asked about its opaque tokens (RFC 7662).

    `client_id` is this API's own identifier at the issuer. With `client_secret`, `method` is
    client_secret_basic or client_secret_post, and the former if it is None. With `private_key`, a
    private key as PEM or as a JWK, it is private_key_jwt; the issuer has the public key. `endpoint`
    is the https URL that is asked (http on this machine only). If it is None, the issuer's metadata
    names it.

    Some issuers say that a refresh token is active, too, and only its audience or its `token_type`
    tells. So if another claim than `aud` is compared, an answer needs a `token_type`.
    `only_access_tokens` says that this issuer knows no other active tokens, so it needs none.

    Raises ValueError for options that cannot work, alone or together.
    """

    client_id: str
    method: Method
    endpoint: str | None
    only_access_tokens: bool
    _prove: "_Proof" = field(repr=False)

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str | None = None,
        private_key: str | bytes | Mapping[str, Any] | None = None,
        method: Method | None = None,
        endpoint: str | None = None,
        only_access_tokens: bool = False,
    ) -> None:
        if not isinstance(client_id, str) or not client_id:
            raise ValueError(f"client_id is the API's own identifier, not {client_id!r}")
        if (client_secret is None) == (private_key is None):
            raise ValueError("introspection needs a client_secret or a private_key, and not both")
        if client_secret is not None and (not isinstance(client_secret, str) or not client_secret):
            raise ValueError("client_secret is a text that is not empty")
        default: Method = "private_key_jwt" if client_secret is None else "client_secret_basic"
        method = method or default
        if method not in get_args(Method):
            raise ValueError(f"method is one of {', '.join(get_args(Method))}, not {method!r}")
        if (method == "private_key_jwt") != (client_secret is None):
            given = "private_key" if client_secret is None else "client_secret"
            raise ValueError(f"method is {method!r}, and that does not go with a {given}")
        if endpoint is not None and not (isinstance(endpoint, str) and is_secure_url(endpoint)):
            raise ValueError(
                f"endpoint is an https URL (http on loopback only), not {shown_url(endpoint)}. "
                "allow_insecure_http does not count here, because tokens are sent to it"
            )
        check_flag("only_access_tokens", only_access_tokens)
        if private_key is not None:
            prove = _by_private_key(client_id, private_key)
        elif method == "client_secret_post":
            prove = _by_secret_in_form(client_id, client_secret or "")
        else:
            prove = _by_secret_in_header(client_id, client_secret or "")
        for name, value in (
            ("client_id", client_id),
            ("method", method),
            ("endpoint", endpoint),
            ("only_access_tokens", only_access_tokens),
            ("_prove", prove),
        ):
            object.__setattr__(self, name, value)  # frozen: nobody sets them afterwards

    def request(self, token: str, issuer: str, now: float) -> dict[str, Any]:
        """Return the form and the headers of a question about a token (RFC 7662 §2.1).

        `now` is in seconds since the epoch.
        """
        form, headers = self._prove(issuer, now)
        return {
            "data": {"token": token, "token_type_hint": "access_token", **form},
            "headers": {"Accept": "application/json", **headers},
        }


_Proof = Callable[[str, float], tuple[dict[str, str], dict[str, str]]]
"""Called with the issuer and the time. Returns more members of the form, and more headers."""


def _by_secret_in_header(client_id: str, secret: str) -> _Proof:
    # RFC 6749 §2.3.1: both are encoded as in a form, and then once more as Basic requires.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    basic = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return lambda _issuer, _now: ({}, {"Authorization": basic})


def _by_secret_in_form(client_id: str, secret: str) -> _Proof:
    return lambda _issuer, _now: ({"client_id": client_id, "client_secret": secret}, {})


def _by_private_key(client_id: str, given: str | bytes | Mapping[str, Any]) -> _Proof:
    key, algorithm = _private(given)
    header = {"alg": algorithm} | ({"kid": key.kid} if key.kid else {})

    def prove(issuer: str, now: float) -> tuple[dict[str, str], dict[str, str]]:
        # RFC 7523 §3. The audience is the issuer alone, so that nobody else can use the proof.
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": issuer,
            "jti": uuid4().hex,
            "iat": int(now),
            "exp": int(now) + _ASSERTION_SECONDS,
        }
        assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
        form = {
            "client_id": client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        return form, {}

    try:
        prove("", 0)
    except Exception as error:
        raise ValueError(f"private_key cannot sign: {type(error).__name__}") from error
    return prove


def _private(given: str | bytes | Mapping[str, Any]) -> tuple[Key, str]:
    """Return a private key, and the algorithm that it signs with. Raises ValueError."""
    try:
        key = _imported(given)
        if not key.is_private:
            raise ValueError("it is a public key")
    except Exception as error:
        # joserfc and OpenSSL raise errors of many types for a broken key.
        raise ValueError(
            f"private_key cannot be read ({error or type(error).__name__}). Give a private key as "
            "PEM or as a JWK: what is in the file, not its name"
        ) from error
    members: Mapping[str, Any] = key.as_dict(private=False)
    usual = _ALGORITHMS.get((key.key_type, members.get("crv")))
    if usual is None:
        raise ValueError("private_key is an RSA, EC or Ed25519 key")
    try:
        # `key_ops` of a private key has "sign", and that of a public one "verify".
        SigningKey({**members, "key_ops": None})
    except ValueError as error:
        raise ValueError(f"private_key cannot be used: {error}") from error
    return key, members.get("alg") or usual


def _imported(given: str | bytes | Mapping[str, Any]) -> Key:
    if isinstance(given, Mapping):
        return JWKRegistry.import_key(dict(given))
    pem = given.encode() if isinstance(given, str) else given
    loaded = load_pem_private_key(pem.replace(b"\\n", b"\n"), password=None)
    kty = next(name for kind, name in _KINDS.items() if isinstance(loaded, kind))
    return JWKRegistry.import_key(pem.replace(b"\\n", b"\n"), kty)
