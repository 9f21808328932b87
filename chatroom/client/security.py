"""What makes a connection a secret one: TLS, and who the server has to be.

``ssl`` is loaded only where TLS is asked for.  Must not know: sockets, what is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chatroom.client.options import Options
from chatroom.errors import ConnectError
from chatroom.net.address import Address, is_loopback

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True, slots=True)
class Security:
    """How a server is known again."""

    context: ssl.SSLContext
    name: str
    """Who its certificate has to be for."""
    pin: bytes | None = None
    """The SHA-256 of its certificate; then nothing else is looked at."""


def make_security(options: Options) -> Security | None:
    """Return what *options* ask for, ``None`` for plain text.

    Raises ``ConnectError`` where the authorities cannot be used, or no certificate can
    be for such a name.
    """
    if not options.tls:
        return None
    import ssl

    from chatroom.net.tls import client_context

    pin = options.tls_fingerprint
    context = client_context(options.tls_ca, pinned=pin is not None)
    # Neither the scope of an address nor the dot behind a full name is part of it.
    name = options.host.partition("%")[0].removesuffix(".")
    try:
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    except ValueError:
        raise ConnectError(f"{options.host!a} is no name for TLS") from None
    return Security(context, name, pin)


def is_exposed(security: Security | None, addresses: Iterable[Address]) -> bool:
    """Tell whether others may read what goes to one of *addresses*, over *security*:
    whether it is on its way to another machine in plain text."""
    return security is None and not all(map(is_loopback, addresses))


def too_open(what: str, server: str) -> str:
    """Return why *what*, a secret, is not sent to *server*."""
    return f"{what} for {server} would go over the network in plain text: use --tls"


_NO_TLS = (
    "closed by peer",
    "handshake failure",
    "http request",
    "length too long",
    "reset by peer",
    "unexpected message",
    "wrong version number",
)
"""What it looks like where the other end speaks something else."""


def why_no_handshake(reason: str) -> str:
    """Return in words for a person why the handshake has failed, and what to do."""
    reason = reason.removeprefix("TLS handshake: ").rstrip(".")
    if "not to be trusted" in reason:
        return f"{reason}; see --tls-ca and --tls-fingerprint"
    if reason.endswith(_NO_TLS):
        return f"it does not seem to speak TLS ({reason})"
    if "certificate" in reason:
        return reason
    return f"TLS: {reason}"
