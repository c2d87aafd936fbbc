"""Certificates of servers, clients and authorities, made for one test."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from hello.tokens.possession.certificate import thumbprint


@dataclass(frozen=True)
class Identity:
    """A key and its certificate. `file` holds both in PEM, as OpenSSL reads them."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    file: Path

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def bound(self) -> dict[str, dict[str, str]]:
        """The claim of a token that is bound to this certificate."""
        return {"cnf": {"x5t#S256": thumbprint(self.der)}}


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def identity(folder: Path, name: str, *, by: Identity | None = None) -> Identity:
    """Make a certificate for a name, issued by an authority. Without one, it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            by.certificate.subject if by else subject,
            subject,
            key.public_key(),
            x509.random_serial_number(),
        )
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        # Python 3.13 asks for these (RFC 5280 §4.2.1.1 to §4.2.1.3).
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(signs=by is None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                (by.key if by else key).public_key()
            ),
            critical=False,
        )
        .sign(by.key if by else key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / f"{name}.pem"
    file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return Identity(key, certificate, file)


def client_tls(server: Identity, client: Identity | None = None) -> ssl.SSLContext:
    """What a client connects with: it trusts the server, and it may have a certificate."""
    context = ssl.create_default_context(cafile=server.file)
    if client is not None:
        context.load_cert_chain(client.file)
    return context
