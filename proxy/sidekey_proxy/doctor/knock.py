"""Who answers at a listen address: sidekey, somebody else, or nobody."""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from sidekey_proxy.addresses import Address, ListenAddress

from .findings import Answerer

_KNOCK: Final = 2.0
_GREETING: Final = 4096
"""Bytes that are listened to; sidekey says less."""
_OURS: Final = b'"sidekey_'


async def who_answers(address: ListenAddress) -> Answerer:
    """Knock as a page that is never let in: each listener of sidekey refuses that in its own words.

    Args:
        address: of the settings; port 0 is nobody's.
    """
    if isinstance(address, Address) and not address.port:
        return "nobody"
    try:
        async with asyncio.timeout(_KNOCK):
            reader, writer = await _connected(address)
    except ssl.SSLError:
        return "somebody else"
    except (OSError, TimeoutError):
        return "nobody"
    try:
        async with asyncio.timeout(_KNOCK):
            writer.write(_knocking(address))
            heard = await _heard(reader)
    except (OSError, TimeoutError):
        return "somebody else"
    finally:
        writer.transport.abort()
    # Who demands a client's certificate says nothing to who has none; the settings say that it is sidekey.
    demands_certificate = address.tls and not heard
    return "sidekey" if _OURS in heard or demands_certificate else "somebody else"


async def _connected(address: ListenAddress) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not isinstance(address, Address):
        return await asyncio.open_unix_connection(address.path)
    host = ("::1" if ":" in address.host else "127.0.0.1") if address.is_wildcard else address.host
    return await asyncio.open_connection(host, address.port, ssl=_anyone() if address.tls else None)


def _anyone() -> ssl.SSLContext:
    """Return a context that takes any certificate: nothing secret is sent, and the name may be another."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _knocking(address: ListenAddress) -> bytes:
    host = address.place if isinstance(address, Address) else "localhost"
    head = ("GET / HTTP/1.1", f"Host: {host}", "Origin: null", "Connection: close")
    return "\r\n".join(head).encode() + b"\r\n\r\n"


async def _heard(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    while len(heard) < _GREETING and (more := await reader.read(_GREETING)):
        heard += more
    return heard
