"""How is base64url written, and how is it read from somebody who writes it in another way?

`compact` reads the parts of a token, in which only the one canonical form is accepted.
"""

import base64
import binascii

_TO_BASE64 = str.maketrans("-_", "+/", " \t\r\n")


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_leniently(text: str) -> bytes:
    """Read base64url or base64, padded or not, with white space. Raises ValueError."""
    plain = text.translate(_TO_BASE64).rstrip("=")
    return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
