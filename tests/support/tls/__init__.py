"""Certificates and their keys, for tests only, and a client that trusts the first."""

import ssl
from pathlib import Path

HERE = Path(__file__).parent
CERT = str(HERE / "cert.pem")
KEY = str(HERE / "key.pem")
ENCRYPTED_KEY = str(HERE / "encrypted-key.pem")
"""The same key, with a passphrase."""
EXPIRED_CERT = str(HERE / "expired-cert.pem")
"""For the same key."""
OTHER_CERT = str(HERE / "other-cert.pem")
OTHER_KEY = str(HERE / "other-key.pem")
for _key in (KEY, ENCRYPTED_KEY, OTHER_KEY):
    # A clone has them readable by everybody, which the server warns of.
    Path(_key).chmod(0o600)


def trusting(
    cert: str = CERT, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    """What a client needs that trusts this certificate and speaks this version."""
    context = ssl.create_default_context(cafile=cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = version
    return context
