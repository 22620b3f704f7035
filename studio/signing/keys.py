"""Who signs: a key and the chain of its certificates, the studio's own or somebody's.

The studio's own key is made on its first use and lies in ``STATE_DIR/signing.pem``, which nobody
else may read. Its root's key signs one certificate and is forgotten, so nobody can sign another in
its name.
"""

from __future__ import annotations

import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from studio.errors import SettingsError, SigningError
from studio.storage import atomic
from studio.storage.secret import make_once

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LOCAL = "local"
"""The value of SIGN that asks for the studio's own key."""
OWN_FILE = "signing.pem"
_YEARS = timedelta(days=36524)
_MAX_PEM = 2**20
_INSTALL = "Install it: pip install 'lora-studio[sign]'; or leave SIGN unset."


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """A key that can sign, and what others know it by.

    Attributes:
        algorithm: as C2PA names it.
        key: private, PEM (PKCS#8); never shown.
        chain: the certificates from the signing one to its root, PEM.
        root: the last of them, by which others can trust it.
        serial: number of the signing certificate, as records and manifests name it.
        name: its common name.
        until: the last day on which it signs.
        place: its file.
        is_local: whether it is the studio's own.
    """

    algorithm: str
    key: bytes = field(repr=False)
    chain: bytes
    root: bytes
    serial: str
    name: str
    until: datetime
    place: Path
    is_local: bool


def open_identity(sign: str, key: Path | None, state: Path) -> SigningIdentity:
    """The identity that SIGN names; the local one is made where there is none yet.

    Args:
        sign: ``local``, or a file of certificates (PEM), the signing one first.
        key: file of the private key; None where it is in the certificates' file.

    Raises:
        SettingsError: the files cannot be used, or do not belong together.
        SigningError: the extra is not installed, or the local key cannot be made.
    """
    if not is_installed():
        raise SigningError("SIGN is set, and c2pa-python is not installed.", _INSTALL)
    if sign == LOCAL:
        return _read(_local(state / OWN_FILE), None, is_local=True)
    return _read(Path(sign), key, is_local=False)


def is_installed() -> bool:
    """Whether the extra that signs and reads signatures is there."""
    return find_spec("c2pa") is not None and find_spec("cryptography") is not None


def _local(place: Path) -> Path:
    """The local identity's file."""
    try:
        return make_once(place, _made)
    except OSError as error:
        raise SigningError(
            f"The signing key cannot be made: {error.strerror or error}.",
            f"Let the studio write into {place.parent}.",
        ) from error


def _made() -> bytes:
    """A new key with its certificate and root, PEM: ES256, as C2PA asks for."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    number = secrets.token_hex(4)
    root = _certificate(f"LoRA Studio root {number}", None, root_key, root_key)
    leaf = _certificate(f"LoRA Studio {number}", root, key, root_key)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + b"".join(
        each.public_bytes(serialization.Encoding.PEM) for each in (leaf, root)
    )


def _certificate(
    name: str, issuer: Certificate | None, key: object, signer: object
) -> Certificate:
    """A root where there is no issuer, else one that signs content. It lasts a hundred years: what
    was signed is read for as long, and no time stamp says that it was signed before."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    is_root, now = issuer is None, datetime.now(UTC)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "A LoRA Studio, signing for itself"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=not is_root, key_cert_sign=is_root, crl_sign=is_root, **usage
            ),
            critical=True,
        )
    )
    if not is_root:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(signer, hashes.SHA256())


def _read(place: Path, key_place: Path | None, is_local: bool) -> SigningIdentity:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    text = _pem(place)
    private_text = text if key_place is None else _pem(key_place)
    where = "SIGN" if key_place is None else "SIGN_KEY"
    try:
        chain = x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise _unusable("SIGN", f"{place} holds no certificate (PEM)") from error
    try:
        key = serialization.load_pem_private_key(private_text, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it needs a password
        reason = f"{key_place or place} holds no private key that can be read without a password"
        raise _unusable(where, reason) from error
    spelled = serialization.PublicFormat.SubjectPublicKeyInfo
    public, certified = (
        each.public_bytes(serialization.Encoding.DER, spelled)
        for each in (key.public_key(), chain[0].public_key())
    )
    if public != certified:
        raise _unusable(where, "the key is not that of the first certificate")
    if chain[0].not_valid_after_utc <= datetime.now(UTC):
        way = " Move it away, and a new key is made" if is_local else ""
        raise _unusable("SIGN", f"the certificate in {place} has run out.{way}")
    encoding = serialization.Encoding.PEM
    common = chain[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return SigningIdentity(
        algorithm=_algorithm(key),
        key=key.private_bytes(
            encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        chain=b"".join(each.public_bytes(encoding) for each in chain),
        root=chain[-1].public_bytes(encoding),
        serial=str(chain[0].serial_number),
        name=str(common[0].value) if common else "",
        until=chain[0].not_valid_after_utc,
        place=place,
        is_local=is_local,
    )


def _algorithm(key: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ec.EllipticCurvePrivateKey):
        found = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
        if key.curve.name in found:
            return found[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ED25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "PS256"
    raise _unusable("SIGN", "C2PA signs with P-256, P-384, P-521, Ed25519 and RSA keys alone")


def _pem(place: Path, variable: str = "SIGN") -> bytes:
    try:
        return atomic.read_file(place, _MAX_PEM)
    except OSError as error:
        raise _unusable(variable, f"{place} cannot be read: {error.strerror or error}") from error


def _unusable(variable: str, reason: str) -> SettingsError:
    return SettingsError(
        f"{variable} cannot be used: {reason}.",
        "Set SIGN to local, or to a file of certificates, and SIGN_KEY to their private key.",
    )


def trusted_roots(places: Sequence[Path]) -> str:
    """The certificates in these files, PEM.

    Raises:
        SettingsError: one cannot be read, or holds none.
    """
    texts = []
    for place in places:
        text = _pem(place, "TRUST")
        if b"BEGIN CERTIFICATE" not in text:
            raise SettingsError(
                f"TRUST cannot be used: {place} holds no certificate (PEM).",
                "Name files of root certificates.",
            )
        texts.append(text.decode("ascii", "replace"))
    return "\n".join(texts)


def others_can_read(place: Path) -> bool:
    """Whether anybody but its owner may read a file."""
    return bool(stat.S_IMODE(place.stat().st_mode) & 0o077)
