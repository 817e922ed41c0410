"""Both ends of a TLS connection, good and bad, under an authority of our own."""

import ssl
import warnings
from datetime import UTC, datetime, timedelta

import attrs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "127.0.0.1"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@attrs.frozen
class Ends:
    """What the two ends of a connection speak TLS with.

    Attributes:
        hellos: Grows with every handshake that the server saw begin.
    """

    server: ssl.SSLContext
    client: ssl.SSLContext
    hellos: list[object] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.server.sni_callback = lambda *hello: self.hellos.append(hello)


def trusted() -> Ends:
    """A certificate as it should be."""
    return serving(HOST)


def serving(host: str) -> Ends:
    """A certificate as it should be, of *host*."""
    authority = trustme.CA()
    return Ends(presenting(authority.issue_cert(host)), _trusting(authority))


def expired() -> Ends:
    """A certificate that ended yesterday."""
    authority = trustme.CA()
    certificate = authority.issue_cert(
        HOST, not_before=NOW - 2 * DAY, not_after=NOW - DAY
    )
    return Ends(presenting(certificate), _trusting(authority))


def self_signed() -> Ends:
    """A certificate that vouches for itself."""
    impostor = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    both = trustme.Blob(impostor.private_key_pem.bytes() + impostor.cert_pem.bytes())
    with both.tempfile() as file:
        server.load_cert_chain(file)
    return Ends(server, _trusting(trustme.CA()))


def untrusted() -> Ends:
    """A certificate of an authority that nobody knows."""
    return Ends(presenting(trustme.CA().issue_cert(HOST)), _trusting(trustme.CA()))


def misnamed() -> Ends:
    """A certificate of another host."""
    authority = trustme.CA()
    certificate = authority.issue_cert("gateway.example")
    return Ends(presenting(certificate), _trusting(authority))


def revoked() -> Ends:
    """A certificate that its authority took back, before a client that looks."""
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    client = _trusting(authority)
    with _revocation(authority, certificate).tempfile() as file:
        client.load_verify_locations(file)
    client.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return Ends(presenting(certificate), client)


def outdated() -> Ends:
    """A server that speaks nothing newer than TLS 1.1."""
    ends = trusted()
    ends.server.set_ciphers("DEFAULT:@SECLEVEL=0")  # or OpenSSL 3 refuses TLS 1.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        ends.server.minimum_version = ssl.TLSVersion.TLSv1
        ends.server.maximum_version = ssl.TLSVersion.TLSv1_1
    return ends


def presenting(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return what a server with *certificate* speaks TLS with."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context


def _trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def _revocation(authority: trustme.CA, certificate: trustme.LeafCert) -> trustme.Blob:
    """Return the list on which *authority* revokes *certificate*."""
    leaf = x509.load_pem_x509_certificate(certificate.cert_chain_pems[0].bytes())
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError
    taken_back = (
        x509.RevokedCertificateBuilder()
        .serial_number(leaf.serial_number)
        .revocation_date(NOW - DAY)
        .build()
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(leaf.issuer)
        .last_update(NOW - DAY)
        .next_update(NOW + DAY)
        .add_revoked_certificate(taken_back)
        .sign(key, hashes.SHA256())
    )
    return trustme.Blob(crl.public_bytes(serialization.Encoding.PEM))
