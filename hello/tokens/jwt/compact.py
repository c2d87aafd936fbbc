"""Is this text a signed token, and which parts does it have?

The compact serialization of RFC 7515 §7.1 is read strictly. Nothing here trusts the token: its
content is only an assertion until the validator has checked the signature.
"""

import binascii
from typing import Any, NamedTuple

from .strict_json import load_object

# base64url (RFC 4648 §5) is translated to binascii's alphabet. The characters that are only in the
# latter are translated to one that is in neither, so that they are refused.
_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
# RFC 4648 §3.5: the unused bits of the last character must be zero, or else one signature could be
# written in several ways. For each length of a part modulo four, these are the characters that it
# may end with, and the padding that binascii needs.
_ENDINGS = ((bytes(range(256)), b""), (b"", b""), (b"AQgw", b"=="), (b"AEIMQUYcgkosw048", b"="))


class KeyName(NamedTuple):
    """How a token names the key that signed it: by `kid` or, without one, by a thumbprint.

    RFC 7515 §4.1.4, §4.1.7 and §4.1.8: `x5t` and `x5t#S256` are thumbprints of a certificate.
    """

    kid: str | None = None
    thumbprint: str | None = None


class UnverifiedToken(NamedTuple):
    """The parts of a token. None of them is verified, and nobody changes them."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def key_name(self) -> KeyName:
        """The name of the key that signed the token, if the header has one."""
        kid = self.header.get("kid")
        if isinstance(kid, str) and kid:
            return KeyName(kid)
        for name in ("x5t", "x5t#S256"):
            thumbprint = self.header.get(name)
            if isinstance(thumbprint, str) and thumbprint:
                return KeyName(None, thumbprint.rstrip("="))
        return KeyName()


def parse(token: str) -> UnverifiedToken:
    """Take a compact JWS apart. Raises ValueError for any other text."""
    text = token.encode("ascii")
    header, claims, signature = text.translate(_BASE64).split(b".")
    return UnverifiedToken(
        load_object(_decode(header)),
        load_object(_decode(claims)),
        text[: text.rindex(b".")],
        _decode(signature),
    )


def begins_like_jws(text: str) -> bool:
    """Return whether a text that is no token begins with the header of a signed one.

    Such a token was cut off or changed on its way. An encrypted one has `enc` in its header.
    """
    try:
        part = text.partition(".")[0].encode("ascii").translate(_BASE64).rstrip(b"!")
        header = load_object(binascii.a2b_base64(part + b"=" * (-len(part) % 4)))
    except ValueError:
        return False
    return "alg" in header and "enc" not in header


def _decode(part: bytes) -> bytes:
    last, padding = _ENDINGS[len(part) % 4]
    if part and part[-1] not in last:
        raise ValueError("no canonical base64url")
    return binascii.a2b_base64(part + padding, strict_mode=True)
