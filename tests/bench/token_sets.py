"""Which tokens are a server's answers measured with?

Made before any clock starts, by `cryptography` itself, and kept in a temporary folder for a day:
twenty thousand RSA signatures take a while. The keys are worth nothing, and nothing trusts them.
"""

import base64
import hashlib
import json
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from joserfc.jwk import ECKey, RSAKey

from hello.sandbox.issuer.signing import base64url

AUDIENCE = "https://hello-world.example.com"

_DAY = 86_400
_PSS = padding.PSS(padding.MGF1(hashes.SHA512()), hashes.SHA512.digest_size)


class Algorithm(NamedTuple):
    """An `alg`, and the RSA modulus' bits (0: an elliptic curve)."""

    name: str
    bits: int

    def __str__(self) -> str:
        return f"{self.name}/{self.bits}" if self.bits else self.name


RS256 = Algorithm("RS256", 2048)
RS256_4096 = Algorithm("RS256", 4096)
PS512_4096 = Algorithm("PS512", 4096)
ES256 = Algorithm("ES256", 0)


class TokenSets:
    """Tokens of one issuer, `url`, whose port stays the same as long as its tokens are kept."""

    def __init__(self, folder: Path | None = None) -> None:
        folder = folder or Path(tempfile.gettempdir()) / f"hello-aiohttp-benchmark-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to somebody else")
        self.folder = folder
        for path in folder.glob("*.txt"):
            if path.stat().st_mtime < time.time() - _DAY:
                path.unlink()  # what is in it expires
        self.port = self._port()
        self.url = f"http://localhost:{self.port}/"
        self._keys: dict[Algorithm, Key] = {}

    def with_https(self) -> "TokenSets":
        """Return the same, but for an `iss` that says https: some libraries insist on it."""
        other = copy(self)
        other.url = self.url.replace("http:", "https:", 1)
        return other

    def key(self, algorithm: Algorithm) -> "Key":
        """Return the issuer's key for an algorithm."""
        if algorithm not in self._keys:
            # By size alone: making one of 4,096 bits takes a second or more.
            path = self.folder / f"{algorithm.bits or 'P-256'}.pem"
            if not path.exists():
                _write(path, _new_pem(algorithm))
            self._keys[algorithm] = Key(algorithm, path.read_bytes())
        return self._keys[algorithm]

    def valid(
        self,
        algorithm: Algorithm,
        count: int,
        *,
        size: int = 0,
        name: str = "tokens",
        issuers: int = 1,
    ) -> list[str]:
        """Return so many different valid tokens, each of `size` characters or what it takes.

        Sets of another `name`, `count`, `size` or number of `issuers` have no token in common.
        """
        return list(self.each(algorithm, count, size=size, name=name, issuers=issuers))

    def each(
        self,
        algorithm: Algorithm,
        count: int,
        *,
        size: int = 0,
        name: str = "tokens",
        issuers: int = 1,
    ) -> Iterator[str]:
        """Read tokens from where they are kept, one by one: a million need not fit in memory."""
        key = self.key(algorithm)
        issuer = f"{self.url.split(':')[0]}-{self.port}"
        unique = f"{count}-{size}-{name}" + (f"-{issuers}" if issuers > 1 else "")
        path = self.folder / f"{key.kid}-{issuer}-{unique}.txt"
        if not path.exists():
            payloads = (self._payload(n, size, unique, issuers) for n in range(count))
            _write(path, (key.sign(payload) + b"\n" for payload in payloads))
        with path.open(encoding="ascii") as lines:
            for line in lines:
                yield line.rstrip("\n")

    def forged(self, algorithm: Algorithm, count: int) -> list[str]:
        """Return so many tokens whose signatures are not the issuer's, but could be by their form.

        A verifier has to do its whole arithmetic on them: a number above the modulus would be
        refused at a glance, so they begin with a zero.
        """
        key = self.key(algorithm)
        signature_bytes = algorithm.bits // 8 or 64
        return [
            key.unsigned(self._payload(n, 0, "forged")).decode("ascii")
            + "."
            + base64url(b"\0" + secrets.token_bytes(signature_bytes - 1))
            for n in range(count)
        ]

    def _payload(self, number: int, size: int, unique: str, issuers: int = 1) -> bytes:
        """What Auth0 puts into a person's access token."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": nth_issuer(self.url, number % issuers),
            "sub": f"auth0|{number:024x}",
            "aud": [AUDIENCE, f"{self.url}userinfo"],
            "iat": now - 60,
            "exp": now + 7 * _DAY,
            "jti": f"{unique}-{number}",
            "azp": "a1b2c3d4e5f6g7h8i9j0a1b2c3d4e5f6",
            "scope": "openid profile email",
            "permissions": ["read:admin-messages"],
        }
        payload = json.dumps(claims, separators=(",", ":")).encode("ascii")
        if size:  # of the token: header, payload and an RSA signature, in base64url
            missing = (size - 342 - 2 - 90) * 3 // 4 - len(payload)
            claims["groups"] = [f"group-{n:05}" for n in range(max(0, missing // 14))]
            payload = json.dumps(claims, separators=(",", ":")).encode("ascii")
        return payload

    def _port(self) -> int:
        path = self.folder / "port"
        if path.exists() and _is_free(int(path.read_text())):
            return int(path.read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        _write(path, str(port).encode("ascii"))
        return port


def nth_issuer(url: str, number: int) -> str:
    """Return the `iss` of one of several issuers that sign with the same keys."""
    return f"{url}tenants/{number}/" if number else url


class Key:
    """A private key, and what it signs with."""

    def __init__(self, algorithm: Algorithm, pem: bytes) -> None:
        self.algorithm = algorithm
        self.private = serialization.load_pem_private_key(pem, None)
        # Another key is another name, so that no kept token is taken for one of its own.
        self.kid = f"{algorithm.name}-{algorithm.bits}-{hashlib.sha256(pem).hexdigest()[:12]}"
        header = {"alg": algorithm.name, "typ": "JWT", "kid": self.kid}
        self._header = base64url(json.dumps(header, separators=(",", ":")).encode("ascii"))
        self._sign = self._signer()

    @cached_property
    def jwk(self) -> dict[str, Any]:
        """The public half, as an issuer publishes it (RFC 7517)."""
        pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        key = (RSAKey if self.algorithm.bits else ECKey).import_key(pem)
        return {**key.as_dict(private=False), "kid": self.kid, "use": "sig"} | {
            "alg": self.algorithm.name
        }

    def unsigned(self, payload: bytes) -> bytes:
        """Return a token's first two parts, which are what is signed."""
        return f"{self._header}.{base64url(payload)}".encode("ascii")

    def sign(self, payload: bytes) -> bytes:
        """Return a compact JWS."""
        signing_input = self.unsigned(payload)
        signature = base64.urlsafe_b64encode(self._sign(signing_input)).rstrip(b"=")
        return signing_input + b"." + signature

    def _signer(self) -> Callable[[bytes], bytes]:
        private = self.private
        if isinstance(private, ec.EllipticCurvePrivateKey):
            curve = private

            def sign(data: bytes) -> bytes:
                r, s = decode_dss_signature(curve.sign(data, ec.ECDSA(hashes.SHA256())))
                return r.to_bytes(32, "big") + s.to_bytes(32, "big")

            return sign
        assert isinstance(private, rsa.RSAPrivateKey)
        rsa_key = private
        if self.algorithm.name == "PS512":
            return lambda data: rsa_key.sign(data, _PSS, hashes.SHA512())
        return lambda data: rsa_key.sign(data, padding.PKCS1v15(), hashes.SHA256())


def other_keys(count: int) -> list[dict[str, Any]]:
    """Return public RSA keys that nobody has the private half of: they only stand in a set."""
    keys = []
    for number in range(count):
        modulus = secrets.randbits(2048) | 1 << 2047 | 1
        keys.append(
            {
                "kty": "RSA",
                "n": base64url(modulus.to_bytes(256, "big")),
                "e": "AQAB",
                "kid": f"other-{number}",
                "use": "sig",
                "alg": "RS256",
            }
        )
    return keys


def _new_pem(algorithm: Algorithm) -> bytes:
    private = (
        rsa.generate_private_key(65537, algorithm.bits)
        if algorithm.bits
        else ec.generate_private_key(ec.SECP256R1())
    )
    return private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes | Iterator[bytes]) -> None:
    # Under another name first, so that what was interrupted is not taken for whole.
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        for part in [content] if isinstance(content, bytes) else content:
            file.write(part)
    unfinished.replace(path)


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False
