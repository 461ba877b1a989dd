"""Listening sockets: exclusive, and never lost while they change hands."""

from __future__ import annotations

import asyncio
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.addresses import Address, UnixAddress
from sidekey_proxy.listener.endpoint import Bound, Endpoint, bind


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


def bound(address: Address | UnixAddress) -> Bound:
    made = bind(address)
    assert made is not None
    return made


def test_a_port_is_bound_exclusively() -> None:
    with bound(Address("127.0.0.1", 0)).socket as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigurationError, match="is in use"):
            bind(Address("127.0.0.1", port))


def test_an_address_that_this_machine_has_not_is_left_out_only_where_nobody_asked_for_it() -> None:
    elsewhere = Address("192.0.2.1", 0)
    assert bind(elsewhere, needed=False) is None
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        bind(elsewhere)


def test_a_port_in_use_is_an_error_also_beside_the_default() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="is in use"):
            bind(Address("127.0.0.1", taken.getsockname()[1]), needed=False)


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_unix_socket_has_its_mode_whatever_the_umask(folder: Path, mode: int) -> None:
    address = UnixAddress(str(folder / "s"), mode)
    made = bound(address)
    found = (folder / "s").lstat()
    assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, mode)
    assert [path.name for path in folder.iterdir()] == ["s"]
    made.close()
    assert not list(folder.iterdir())


def test_a_unix_socket_behind_which_somebody_answers_is_in_use(folder: Path) -> None:
    address = UnixAddress(str(folder / "s"))
    first = bound(address)
    with pytest.raises(ConfigurationError, match="is in use"):
        bind(address)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)
    first.close()


def test_what_a_killed_process_left_behind_is_replaced(folder: Path) -> None:
    address = UnixAddress(str(folder / "s"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address.path)
    made = bound(address)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)
    made.close()


def test_a_socket_that_another_has_put_there_since_is_left_alone(folder: Path) -> None:
    address = UnixAddress(str(folder / "s"))
    old = bound(address)
    Path(address.path).unlink()
    new = bound(address)
    old.close()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(address.path)
    new.close()


def test_what_is_no_socket_is_left_alone(folder: Path) -> None:
    file = folder / "s"
    file.write_text("precious")
    with pytest.raises(ConfigurationError, match="is no socket"):
        bind(UnixAddress(str(file)))
    assert file.read_text() == "precious"


def test_a_folder_that_is_not_there_is_named_as_the_reason(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory") as caught:
        bind(UnixAddress(str(folder / "none" / "s")))
    assert "folder" in caught.value.remedy


class _Says(asyncio.Protocol):
    def __init__(self, word: bytes) -> None:
        self._word = word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._word)
        transport.close()


@pytest.mark.parametrize("kind", ["port", "unix"])
async def test_whoever_waits_while_nobody_accepts_is_served_by_the_next(folder: Path, kind: str) -> None:
    address = Address("127.0.0.1", 0) if kind == "port" else UnixAddress(str(folder / "s"))
    endpoint = Endpoint(bound(address))
    there = endpoint.bound.address
    await endpoint.serve(lambda: _Says(b"one"), None)
    endpoint.stop_accepting()

    waiting = await _connected(there)
    await endpoint.serve(lambda: _Says(b"two"), None)
    assert await _heard(waiting) == b"two"
    await endpoint.serve(lambda: _Says(b"three"), None)
    assert await _heard(await _connected(there)) == b"three"
    endpoint.close()
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        await _connected(there)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _connected(there: Address | UnixAddress) -> Streams:
    if isinstance(there, Address):
        return await asyncio.open_connection(there.host, there.port)
    return await asyncio.open_unix_connection(there.path)


async def _heard(streams: Streams) -> bytes:
    reader, writer = streams
    heard = await reader.read()
    writer.close()
    await writer.wait_closed()
    return heard
