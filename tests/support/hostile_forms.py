"""Which tokens must be refused because they are not what RFC 7515 and RFC 8259 call one?

Part of hostile_tokens.py's list: what is wrong with the text, whatever it says.
"""

import json
import zlib

from hello.auth import Reason
from hello.sandbox.issuer import base64url
from support.forger import (
    Build,
    Forger,
    Part,
    adding,
    raw_header,
    raw_payload,
    rows,
    signed_text,
    sized,
    text,
    with_spare_bits,
)

JWE_HEADER = base64url(b'{"alg": "dir", "enc": "A256GCM"}')


def inserted(characters: str) -> Build:
    """Put characters into the signature, where a lenient decoder would skip them."""
    return text(lambda h, p, s: f"{h}.{p}.{s[:40]}{characters}{s[40:]}")


def special(f: Forger) -> str:
    """A signing input with a "-" and a "_", however the characters fall into groups of three."""
    return f.forge(payload=adding(b'"x": "?????>>>>>"')).rpartition(".")[0]


FORMS = [
    *rows(
        Reason.MALFORMED,
        "segments",
        {
            "one": text(lambda _h, p, _s: p),
            "one dot": text(lambda _h, _p, _s: "."),
            "two": text(lambda h, p, _s: f"{h}.{p}"),
            "two dots": text(lambda _h, _p, _s: ".."),
            "four": text(lambda h, p, s: f"{h}.{p}.{s}.{s}"),
            "five, a JWE": text(lambda _h, p, s: f"{JWE_HEADER}.{s}.{s}.{p}.{s}"),
            "a dot before": text(lambda h, p, s: f".{h}.{p}.{s}"),
            "a dot behind": text(lambda h, p, s: f"{h}.{p}.{s}."),
            "no header": signed_text(lambda _, p: f".{p}"),
            "no payload": signed_text(lambda h, _: f"{h}."),
            "a payload as it is": lambda f: f.signed(
                f.forge(header={"b64": False, "crit": ["b64"]}).split(".")[0] + '.{"iss": "x"}'
            ),
        },
    ),
    *rows(
        Reason.MALFORMED,
        "around the token",
        {
            "a space before": text(lambda h, p, s: f" {h}.{p}.{s}"),
            "quotes": text(lambda h, p, s: f'"{h}.{p}.{s}"'),
            "the scheme again": text(lambda h, p, s: f"Bearer {h}.{p}.{s}"),
            "a second token": text(lambda h, p, s: f"{h}.{p}.{s},{h}.{p}.{s}"),
            "an SD-JWT's tilde": text(lambda h, p, s: f"{h}.{p}.{s}~"),
            "JSON": text(
                lambda h, p, s: json.dumps({"protected": h, "payload": p, "signature": s})
            ),
        },
    ),
    *rows(
        Reason.MALFORMED,
        "inside of the signature",
        {c: inserted(c) for c in [*" +/=~!*%,;:@&$#'(<{|\"\\", "%2E", "--=", "  "]},
    ),
    *rows(
        Reason.MALFORMED,
        "base64url",
        {
            "spare bits in the signature": text(lambda h, p, s: f"{h}.{p}.{with_spare_bits(s)}"),
            "spare bits in the header": signed_text(
                lambda h, p: f"{with_spare_bits(sized(h, 1))}.{p}"
            ),
            "spare bits in the payload": signed_text(
                lambda h, p: f"{h}.{with_spare_bits(sized(p, 2))}"
            ),
            "a padded signature": text(lambda h, p, s: f"{h}.{p}.{s}=="),
            "half a padding": text(lambda h, p, s: f"{h}.{p}.{s}="),
            "a padded header": signed_text(lambda h, p: f"{sized(h, 1)}==.{p}"),
            "a padded payload": signed_text(lambda h, p: f"{h}.{sized(p, 2)}="),
            "a plus": lambda f: f.signed(special(f).replace("-", "+")),
            "a slash": lambda f: f.signed(special(f).replace("_", "/")),
            "a single last character": signed_text(lambda h, p: f"{h}.{sized(p, 0)}A"),
        },
    ),
]

NO_JSON: dict[str, Part] = {
    "nothing": b"",
    "a space": b" ",
    "a word": b"claims",
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "in a string": lambda usual: json.dumps(usual.decode()).encode(),
    "in an array": lambda usual: b"[" + usual + b"]",
    "UTF-16": lambda usual: usual.decode().encode("utf-16"),
    "UTF-16, no mark": lambda usual: usual.decode().encode("utf-16-le"),
    "UTF-32": lambda usual: usual.decode().encode("utf-32"),
    "a byte order mark": lambda usual: b"\xef\xbb\xbf" + usual,
    "no UTF-8": adding(b'"x": "\xff"'),
    "Latin-1": adding(b'"x": "\xe4"'),
    "an overlong character": adding(b'"x": "\xc0\xaf"'),
    "an encoded surrogate": adding(b'"x": "\xed\xa0\x80"'),
    "NaN": adding(b'"x": NaN'),
    "Infinity": adding(b'"x": [Infinity]'),
    "-Infinity": adding(b'"x": {"y": -Infinity}'),
    "5,000 digits": adding(b'"x": ' + b"9" * 5000),
    "a leading zero": adding(b'"x": 01'),
    "a leading plus": adding(b'"x": +1'),
    "hexadecimal": adding(b'"x": 0x1'),
    "single quotes": adding(b"'x': 1"),
    "no quotes": adding(b"x: 1"),
    "a line break in a string": adding(b'"x": "\n"'),
    "a comment": adding(b'"x": 1 /* one */'),
    "a trailing comma": adding(b'"x": 1,'),
    "unclosed": lambda usual: usual[:-1],
    "a word behind": lambda usual: usual + b"x",
    "a NUL behind": lambda usual: usual + b"\x00",
    "two objects": lambda usual: usual + usual,
    "a member twice": adding(b'"x": 1, "x": 1'),
    "a member twice, nested": adding(b'"x": [{"y": {"z": 1, "z": 1}}]'),
    "a member twice, once escaped": adding(rb'"x": 1, "\u0078": 1'),
    # Past the interpreter's depth, and no object in either case: newer ones can go deeper.
    "65 levels": adding(b'"x": ' + b"[" * 64 + b"]" * 64),
    "65 levels of objects": adding(b'"x": ' + b'{"x":' * 63 + b"[]" + b"}" * 63),
    "900 levels": adding(b'"x": ' + b"[" * 900 + b"]" * 900),
    "1,000 brackets": b"[" * 1000 + b"]" * 1000,
    "5,000 brackets": b"[" * 5000,
    "1,000 objects": b'{"x":' * 1000,
}

JSON = [
    *rows(Reason.MALFORMED, "header", {n: raw_header(part) for n, part in NO_JSON.items()}),
    *rows(Reason.MALFORMED, "payload", {n: raw_payload(part) for n, part in NO_JSON.items()}),
    *rows(
        Reason.MALFORMED,
        "twice",
        {
            "alg, none last": raw_header(adding(b'"alg": "none"')),
            "alg, none first": raw_header(lambda usual: b'{"alg": "none", ' + usual[1:]),
            "typ": raw_header(adding(b'"typ": "JWT"')),
            "iss": raw_payload(lambda usual: b'{"iss": "https://evil.example/", ' + usual[1:]),
            "aud": raw_payload(lambda usual: b'{"aud": "somebody else", ' + usual[1:]),
            "exp": raw_payload(adding(b'"exp": 4102444800')),
            "permissions": raw_payload(adding(b'"permissions": ["read:admin-messages"]')),
        },
    ),
    *rows(
        Reason.MALFORMED,
        "no claims in the payload",
        {
            "compressed": lambda f: f.forge(header={"zip": "DEF"}, payload=zlib.compress),
            "a token": lambda f: f.forge(header={"cty": "JWT"}, payload=f.issuer.mint().encode()),
        },
    ),
]

CONTROLS = [chr(code) for code in [*range(0x20), 0x7F]]
BEYOND_ASCII = [*"\x80\x85\xa0\xad\xb2\xff\u0410\u0661\u2028\u200b\u3000\uff21\ufeff\U0001d400"]

UNSENDABLE_TOKENS = [
    *rows(
        Reason.MALFORMED,
        "inside of the signature",
        {
            ascii(c): inserted(c)
            for c in [*CONTROLS, *BEYOND_ASCII, "\ud800", "\udcff", "\r\n", "\r\n "]
        },
    ),
    *rows(
        Reason.MALFORMED,
        "around the token",
        {
            "nothing": text(lambda _h, _p, _s: ""),
            "a space": text(lambda _h, _p, _s: " "),
            "a space behind": text(lambda h, p, s: f"{h}.{p}.{s} "),
            "a line feed behind": text(lambda h, p, s: f"{h}.{p}.{s}\n"),
            "a NUL behind": text(lambda h, p, s: f"{h}.{p}.{s}\x00"),
            "a tab before": text(lambda h, p, s: f"\t{h}.{p}.{s}"),
        },
    ),
]
"""The validator's own business: HTTP has no such header, or takes the space from its ends."""
