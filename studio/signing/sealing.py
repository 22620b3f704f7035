"""Signs files, offline: no time stamp is asked for and no certificate looked up."""

import io
import json
import re
from typing import Any

from studio.errors import SigningError
from studio.settings import Settings
from studio.signing.keys import SigningIdentity, open_identity
from studio.signing.manifest import Manifest

OFFLINE: dict[str, Any] = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True},
    "builder": {"thumbnail": {"enabled": False}},
}


class Sealer:
    """Puts manifests into files and signs them with one identity."""

    def __init__(self, identity: SigningIdentity) -> None:
        self.identity = identity

    def seal(self, data: bytes, media_type: str, manifest: Manifest) -> bytes:
        """The PNG, JPEG or WebP file ``data`` with a signed manifest.

        Raises:
            SigningError: the library refuses, as for a certificate that has run out.
        """
        import c2pa

        identity, signed = self.identity, io.BytesIO()
        try:
            context = c2pa.Context(c2pa.Settings.from_dict(OFFLINE))
            info = c2pa.C2paSignerInfo(
                getattr(c2pa.C2paSigningAlg, identity.algorithm),
                identity.chain,
                identity.key,
                None,  # the address of a time stamp's authority
            )
            definition = json.dumps(manifest.definition(media_type))
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder.from_json(definition, context) as builder,
            ):
                for number, each in enumerate(manifest.ingredients):
                    described = each.described(number)
                    builder.add_ingredient(described, each.media_type, io.BytesIO(each.data))
                builder.sign(signer, media_type, io.BytesIO(data), signed)
        except c2pa.C2paError as error:
            reason = re.sub(r"\\s+", " ", str(error))[:300]
            raise SigningError(
                f"The file cannot be signed: {reason}.",
                "Look at the certificate with `studio keys`; unset SIGN to go on without.",
            ) from error
        return signed.getvalue()


def sealer_of(settings: Settings) -> Sealer | None:
    """Who signs by SIGN and SIGN_KEY; None where nobody does.

    Raises:
        SettingsError, SigningError: as ``open_identity``.
    """
    if settings.sign is None:
        return None
    return Sealer(open_identity(settings.sign, settings.sign_key, settings.state))
