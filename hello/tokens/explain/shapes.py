"""What is a text that was sent as a token, but has not the form of a signed JWT?

People send what a variable, a file or another service gave them. What to do depends on what it is.
"""

import re
from typing import Any

from hello.tokens.jwt.base64url import decode_leniently
from hello.tokens.jwt.compact import parse
from hello.tokens.jwt.strict_json import load_object

_PARTS = 3
_SHORTEST_HEADER = 8  # characters that are left at least if a header was damaged
# What stands for a token in a template or in a program, if nobody put the token there.
_PLACEHOLDER = (
    r"\A(?:undefined|null|none|nil|nan|true|false"
    r"|(?:(?:your|my|the)[_-]?)?(?:(?:access|bearer)[_-]?)?token"
    r"|\[object \w+\]|\$\w+|\$?\{+ ?[\w.]+ ?\}+|<[\w -]+>|%\w+%)\Z"
)
_PATTERNS = [
    (variant, re.compile(pattern, re.ASCII | re.IGNORECASE))
    for variant, pattern in (
        ("placeholder", _PLACEHOLDER),
        ("json", r"\A\s*\{"),
        ("xml", r"\A\s*<"),
        ("invisible", r"[^\t\r\n -~]"),
        ("several", r",\s*(?:\w+[ :]+)*[\w-]+\.[\w-]+\.[\w-]*\s*(?:,|\Z)"),
        ("scheme", r"\A\s*(?:authorization ?: ?)?(?:bearer|dpop|basic|token|jwt)[ :]"),
        ("quoted", r"\A[\"'`\\]|[\"'`\\]\Z"),
        ("percent", r"%[0-9a-f]{2}"),
        ("spaces", r"\s"),
        ("stray", r"[^\w.~+/=-]"),
    )
]
"""What the characters of a text give away, the first that fits."""

# Tokens, keys and sessions of other services begin like this. No access token of an issuer does.
_FOREIGN = re.compile(
    r"gh[a-z]_|github_pat_|gl[a-z]+-|ya29\.|AIza|xox[a-z]-|[sprw]k_|sb_|hvs\.|npm_|1//0"
)
_PASETO = re.compile(r"v[1-4]\.(?:local|public)\.")
_JSON = re.compile(r"e[wy][\w-]{2}")  # base64url of `{"`, or of `{` and white space
# The fewest characters of a signature: RSA keys have at least 2,048 bits.
_SIGNATURES = {"HS256": 43, "HS384": 64, "HS512": 86, "ES256": 86, "ES384": 128, "ES512": 176}
_SIGNATURES |= {"EdDSA": 86, "Ed25519": 86, "ES256K": 86}
_RSA_SIGNATURE = 342


def shape_of(text: str) -> str:
    """Return the id of the advice about a text that is no signed JWT, a variant of `malformed`."""
    for variant, pattern in _PATTERNS:
        if pattern.search(text):
            return variant
    if _FOREIGN.match(text):
        return "foreign"
    if _PASETO.match(text):
        return "paseto"
    parts = text.split(".")
    header = _object(parts[0])
    return _unreadable(text, parts) if header is None else _with_header(text, parts, header)


def shortest_signature(algorithm: object) -> int:
    """Return how many characters the signature of an algorithm has at least."""
    return _SIGNATURES.get(str(algorithm), _RSA_SIGNATURE)


def _unreadable(text: str, parts: list[str]) -> str:
    """Return what a text is whose first part is no JSON object."""
    start = _decoded(text[:12])
    if start.startswith((b"eyJ", b"ewog", b"Bearer")):
        return "base64"
    if re.match(rb"<[\w?!]", start):
        return "xml"
    # The beginning of a token is always readable, unless it is missing.
    three = len(parts) == _PARTS and len(parts[0]) >= _SHORTEST_HEADER
    return "damaged" if _JSON.match(text) or three else "opaque"


def _with_header(text: str, parts: list[str], header: dict[str, Any]) -> str:
    """Return what a text is whose first part is a JSON object."""
    for variant, fits in (
        ("encrypted", "enc" in header),
        ("no_header", "alg" not in header),
        ("sd_jwt", "~" in text),
        ("cut_off", len(parts) < _PARTS),
        ("damaged", len(parts) > _PARTS),
    ):
        if fits:
            return variant
    return _rewritten(parts) or _with_three(parts[1], parts[2], header["alg"])


def _with_three(claims: str, signature: str, algorithm: object) -> str:
    if _object(claims) is None:
        # What is no base64 was changed. What is no JSON may have been written so.
        return "no_claims" if _decoded(claims) or not claims else "damaged"
    return "cut_off" if len(signature) < shortest_signature(algorithm) else "damaged"


def _rewritten(parts: list[str]) -> str:
    """Return how a token was written that is good in base64url without padding."""
    without = [part.rstrip("=") for part in parts]
    url = [part.replace("+", "-").replace("/", "_") for part in without]
    try:
        parse(".".join(url))
    except ValueError:
        return ""
    return "padded" if url == without else "standard_base64"


def _object(part: str) -> dict[str, Any] | None:
    try:
        return load_object(_decoded(part))
    except ValueError:
        return None


def _decoded(part: str) -> bytes:
    """Return the bytes of base64 or base64url, or none if it is neither."""
    try:
        return decode_leniently(part)
    except ValueError:
        return b""
