"""How is a token made that has one flaw, and is as good as it can be otherwise?"""

import base64
import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc.jwk import Key, RSAKey
from joserfc.jws import JWSRegistry

from hello.auth import Reason
from hello.sandbox.issuer import OMIT, Issuer, base64url, sign

Part = Mapping[str, Any] | Callable[[bytes], bytes] | bytes
"""Members to change (OMIT takes one out), what to make of the usual JSON, or what stands for it."""

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forger:
    """What tokens are made with: the issuer's key too, so that no bad signature hides a flaw.

    `other` is a second key that the issuer publishes, `attacker` one that it does not, and `trap`
    the URL of a server that would serve the attacker's.
    """

    issuer: Issuer
    other: Key
    attacker: Key
    trap: str = "http://localhost:9/"

    def forge(
        self, *, header: Part | None = None, payload: Part | None = None, key: Key | None = None
    ) -> str:
        """Sign with RS256, whatever the header says, and the issuer's key if none is given."""
        usual_header, usual_payload, _ = map(decoded, self.issuer.mint().split("."))
        key = key or self.issuer.key
        return sign(_changed(usual_header, header), _changed(usual_payload, payload), key)

    def signed(self, signing_input: str) -> str:
        """Sign a text, be it two segments of base64url or not."""
        return f"{signing_input}.{self.signature_of(signing_input)}"

    def signature_of(self, signing_input: str, alg: str = "RS256") -> str:
        signature = JWSRegistry.algorithms[alg].sign(signing_input.encode(), self.issuer.key)
        return base64url(signature)


Build = Callable[[Forger], str]


class Hostile(NamedTuple):
    """A token and why it is refused. `build` wants an issuer that publishes `Forger.other` too."""

    name: str
    build: Build
    reason: Reason


def rows(reason: Reason, subject: str, builds: Mapping[str, Build]) -> list[Hostile]:
    return [Hostile(f"{subject}: {flaw}", build, reason) for flaw, build in builds.items()]


def each(
    reason: Reason, change: Callable[..., Build], name: str, values: Iterable[Any]
) -> list[Hostile]:
    """One row for each value of a header parameter or a claim."""
    return [
        Hostile(
            f"{name}: {'absent' if value is OMIT else json.dumps(value)[:60]}",
            change(**{name: value}),
            reason,
        )
        for value in values
    ]


def header(**changes: Any) -> Build:
    """Change header parameters."""
    return lambda forger: forger.forge(header=changes)


def claims(**changes: Any) -> Build:
    """Change claims."""
    return lambda forger: forger.forge(payload=changes)


def raw_header(part: Part) -> Build:
    """Change the header's JSON."""
    return lambda forger: forger.forge(header=part)


def raw_payload(part: Part) -> Build:
    """Change the payload's JSON."""
    return lambda forger: forger.forge(payload=part)


def claim(name: str, value: Callable[[Forger], Any]) -> Build:
    """Change a claim to what the issuer decides."""
    return lambda forger: forger.forge(payload={name: value(forger)})


def kid(value: Callable[[Forger], Any]) -> Build:
    """Change `kid` to what the issuer decides."""
    return lambda forger: forger.forge(header={"kid": value(forger)})


def text(change: Callable[[str, str, str], str]) -> Build:
    """Put the three segments of a good token together otherwise."""
    return lambda forger: change(*forger.issuer.mint().split("."))


def signed_text(change: Callable[[str, str], str]) -> Build:
    """Put header and payload together otherwise, and sign that."""
    return lambda forger: forger.signed(change(*_signing_input(forger).split(".")))


def signature(change: Callable[[bytes], bytes]) -> Build:
    """Change the bytes of a good token's signature."""
    return text(lambda h, p, s: f"{h}.{p}.{base64url(change(decoded(s)))}")


def signature_over(change: Callable[[str, str], str]) -> Build:
    """Take the issuer's signature from something else."""

    def build(forger: Forger) -> str:
        signing_input = _signing_input(forger)
        return f"{signing_input}.{forger.signature_of(change(*signing_input.split('.')))}"

    return build


def unsigned(alg: str) -> Build:
    """Leave the signature away, as `none` would have it."""
    return lambda forger: _signing_input(forger, alg) + "."


def signed_as(alg: str, named: str) -> Build:
    """Sign with an algorithm, and name one in the header."""

    def build(forger: Forger) -> str:
        signing_input = _signing_input(forger, named)
        return f"{signing_input}.{forger.signature_of(signing_input, alg)}"

    return build


def confused(alg: str, secret: Callable[[RSAKey], bytes]) -> Build:
    """Take what everybody knows of the public key for a shared secret (RFC 8725 §2.1)."""

    def build(forger: Forger) -> str:
        signing_input = _signing_input(forger, alg)
        public = RSAKey.import_key(forger.issuer.key.as_dict(private=False))
        mac = hmac.digest(secret(public), signing_input.encode(), f"sha{alg[2:]}")
        return f"{signing_input}.{base64url(mac)}"

    return build


def by_attacker(parameters: Callable[[Forger], Mapping[str, Any]]) -> Build:
    """Sign with the attacker's key, and say in the header where it is."""
    return lambda forger: forger.forge(header=parameters(forger), key=forger.attacker)


def certificate(key: Key) -> str:
    """A key's certificate, signed by itself, as `x5c` has it."""
    assert isinstance(key, RSAKey)
    assert key.private_key is not None
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "issuer")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key, 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key.private_key, hashes.SHA256())
    )
    return base64.b64encode(signed.public_bytes(Encoding.DER)).decode()


def certificate_pem(key: Key) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{certificate(key)}\n-----END CERTIFICATE-----\n"


def public_pem(key: Key) -> str:
    assert isinstance(key, RSAKey)
    return key.as_pem(private=False).decode()


def adding(members: bytes) -> Callable[[bytes], bytes]:
    """Write members behind the others of an object."""
    return lambda usual: usual[:-1] + b", " + members + b"}"


def setting(name: str, value: bytes) -> Callable[[bytes], bytes]:
    """Write a member's value as it stands, where json.dumps would write another."""
    member = b'"%s": %s' % (name.encode(), value)
    return lambda usual: adding(member)(_changed(usual, {name: OMIT}))


def sized(segment: str, remainder: int) -> str:
    """Make a segment's JSON longer, until its size modulo three is as wished."""
    data = decoded(segment)
    return base64url(data + b" " * ((remainder - len(data)) % 3))


def with_spare_bits(segment: str) -> str:
    """Write the same bytes in another way: a last character's bits may be more than are used."""
    assert len(segment) % 4, "all bits are used"
    return segment[:-1] + _ALPHABET[_ALPHABET.index(segment[-1]) + 1]


def decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "==")


def _signing_input(forger: Forger, alg: str = "RS256") -> str:
    return forger.forge(header={"alg": alg}).rpartition(".")[0]


def _changed(usual: bytes, part: Part | None) -> bytes:
    if part is None:
        return usual
    if isinstance(part, bytes):
        return part
    if callable(part):
        return part(usual)
    members = {**json.loads(usual), **part}
    return json.dumps({name: v for name, v in members.items() if v is not OMIT}).encode()
