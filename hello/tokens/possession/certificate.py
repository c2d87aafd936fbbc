"""Is a token bound to the certificate that its sender has (RFC 8705 §3)?"""

import base64
import hashlib
import re
from urllib.parse import unquote

from hello.tokens.access_token import AccessToken
from hello.tokens.errors import AuthError, InvalidTokenError, Reason
from hello.tokens.hooks import HookError, ask, log_failure
from hello.tokens.jwt import base64url
from hello.tokens.presented import ShowCertificate
from hello.tokens.timing import Timing

_BASE64 = re.compile(r":([A-Za-z0-9+/=]+):")
_PEM = re.compile(
    r"\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*", re.ASCII
)


class NoCertificateError(Exception):
    """The sender of a request shows no certificate. The message says why, and is for the log."""


async def check_certificate(
    show: ShowCertificate, token: AccessToken, bound_to: object, timing: Timing
) -> None:
    """Raise InvalidTokenError unless the sender has the certificate that a token is bound to.

    `show` returns the certificate of the sender. `bound_to` is the `x5t#S256` of the token, a
    thumbprint (§3.1).
    """
    why, given = "", None
    try:
        given = await ask(show, timeout=timing.hook_timeout, returns=(bytes, str, type(None)))
    except (HookError, AuthError) as error:
        if isinstance(error.__cause__, NoCertificateError):
            why = f": {error.__cause__}"
        else:
            log_failure("the certificate of a request cannot be read", error, timing)
    der = read_certificate(given or b"")
    if der is None or bound_to != thumbprint(der):
        why = why or (": what was handed over is none" if given else "")
        found = f"no client certificate{why}" if der is None else "another client certificate"
        raise InvalidTokenError(Reason.BOUND, subject=token.subject, detail=found)


def thumbprint(der: bytes) -> str:
    """Return the SHA-256 thumbprint of a certificate in DER (RFC 7515 §4.1.8)."""
    return base64url.encode(hashlib.sha256(der).digest())


def read_certificate(given: bytes | str) -> bytes | None:
    """Return a certificate as DER, or None if it is none.

    Bytes are DER already. A text is base64 between colons (RFC 9440 §2.1) or PEM, in which
    characters may be escaped as in a URL.
    """
    if isinstance(given, bytes):
        return given or None
    found = _BASE64.fullmatch(given) or _PEM.fullmatch(unquote(given))
    if found is None:
        return None
    try:
        return base64.b64decode("".join(found[1].split()), validate=True) or None
    except ValueError:
        return None
