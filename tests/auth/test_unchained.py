"""No error of ours carries a secret: not in its words, its chain, or the frames that it came through."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

import keyring.core
import pytest
from keyring.backend import KeyringBackend

from sidekey_auth import issuer_answers
from sidekey_auth.authorize import parse_callback
from sidekey_auth.claims import read_claims
from sidekey_auth.codex import decode_auth, parse_auth, read_auth_file
from sidekey_auth.credential import from_document
from sidekey_auth.errors import IssuerUnavailable, SidekeyError, VaultUnreadable
from sidekey_auth.id_token import key_id, verify
from sidekey_auth.issuer_failures import Answer
from sidekey_auth.outbound import Outbound
from sidekey_auth.seal import Seal, new_seal_key, parse_seal
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.seals.keyring import KeyringSeal
from sidekey_auth.secret import Secret
from sidekey_auth.unchained import unchained
from sidekey_auth.vaults.document import credential_of, open_document

CANARY: Final = "canary-secret-0123456789"
SEAL = Seal((new_seal_key(),))
SEALED = SEAL.close(CANARY.encode())
ID = credential_of("default")


def carried(error: BaseException) -> Iterator[str]:
    """Give everything that an error collector could find, which walks chains and records local variables."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
        for name in ("doc", "object", "input", "detail", "obj"):
            yield repr(getattr(each, name, ""))
        yield from (repr(frame.f_locals) for frame in _frames(each) if not _of_this_test(frame))
        waiting += [each.__cause__, each.__context__]


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _of_this_test(frame: FrameType) -> bool:
    return frame.f_code.co_filename == __file__


def check(error: SidekeyError) -> None:
    secret = SEAL.keys[0].reveal()
    for text in carried(error):
        assert CANARY not in text, text[:300]
        assert secret not in text, text[:300]
    assert error.__context__ is None
    assert error.__cause__ is None


def jwt_of(head: bytes, body: bytes) -> Secret:
    parts = (base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, body, b"signature"))
    return Secret(".".join(parts))


def sealed(inside: str) -> bytes:
    place = {"format": 1, "vault": "v", "profile": "default"}
    return json.dumps({**place, "sealed": SEAL.close(inside.encode())}).encode()


def answer(status: int, said: object) -> Answer:
    return Answer(status, json.dumps(said).encode())


HEAD = json.dumps({"alg": "RS256"}).encode()
INSIDE = {"format": 1, "vault": "v", "profile": "default", "kind": "credential"}
STATE = "state-0123456789-abcdefghijklmnopqrstuvwxyz"
AUTH = {"tokens": {"id_token": CANARY, "refresh_token": CANARY}}

BORDERS: dict[str, Callable[[], object]] = {
    "auth.json, not UTF-8": lambda: decode_auth(CANARY.encode() + b"\xff", "auth.json"),
    "auth.json, not JSON": lambda: parse_auth(f'{{"tokens": "{CANARY}"', lambda _: True),
    "auth.json, no JWT": lambda: parse_auth(json.dumps(AUTH), lambda _: True),
    "auth.json, odd token": lambda: parse_auth(json.dumps({"OPENAI_API_KEY": f"{CANARY} x"}), lambda _: True),
    "claims, not JSON": lambda: read_claims(jwt_of(HEAD, CANARY.encode())),
    "key id, not JSON": lambda: key_id(jwt_of(CANARY.encode(), b"{}")),
    "id_token, not true": lambda: verify(
        jwt_of(HEAD, json.dumps({"sub": CANARY}).encode()), (), issuer="i", audience="a", leeway=0, now=0
    ),
    "document, not JSON inside": lambda: open_document("v", ID, sealed(CANARY), SEAL),
    "document, another inside": lambda: open_document("v", ID, sealed(json.dumps({"x": CANARY})), SEAL),
    "document, no content": lambda: open_document("v", ID, sealed(json.dumps({**INSIDE, "x": CANARY})), SEAL),
    "document, another seal": lambda: open_document("v", ID, sealed("{}"), Seal((new_seal_key(),))),
    "credential, no time": lambda: from_document("default", {"last_refresh": CANARY}),
    "credential, odd note": lambda: from_document("default", {"note": {CANARY: CANARY}}),
    "credential, odd type": lambda: from_document("default", {"api_key": [CANARY]}),
    "seal, damaged": lambda: SEAL.open(SEALED[:-4] + "AAAA"),
    "seal key": lambda: parse_seal(CANARY, "the test"),
    "callback, another state": lambda: parse_callback(f"code={CANARY}&state=x", STATE),
    "callback, two codes": lambda: parse_callback(f"code={CANARY}&code={CANARY}&state={STATE}", STATE),
    "callback, refused": lambda: parse_callback(f"error=x&code={CANARY}&state={STATE}", STATE),
    "tokens, not all": lambda: issuer_answers.tokens_of_code(answer(200, {"id_token": CANARY})),
    "tokens, refused": lambda: issuer_answers.tokens_of_refresh(answer(503, {"id_token": CANARY})),
    "key, none": lambda: issuer_answers.traded_key(answer(200, {"access_token": f"{CANARY} x"})),
    "device, none": lambda: issuer_answers.device_start(answer(200, {"device_auth_id": CANARY})),
    "device, no code": lambda: issuer_answers.device_grant(answer(200, {"authorization_code": CANARY})),
}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS.keys())
def test_an_error_leaves_its_border_alone(border: Callable[[], object]) -> None:
    with pytest.raises(SidekeyError) as caught:
        border()
    check(caught.value)


@pytest.mark.parametrize("own", [False, True], ids=["a person's", "sidekey's"])
@pytest.mark.parametrize(
    "content", [f"{CANARY}\n".encode(), CANARY.encode() + b"\xff"], ids=["no key", "no text"]
)
async def test_a_seal_file_that_is_none_is_quoted_nowhere(tmp_path: Path, content: bytes, own: bool) -> None:
    path = tmp_path / "seal"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SidekeyError) as caught:
        await FileSeal(path, create=own).read("v")
    check(caught.value)


async def test_a_variable_that_is_no_seal_is_quoted_nowhere() -> None:
    with pytest.raises(SidekeyError) as caught:
        await EnvironmentSeal("SIDEKEY_SEAL_KEY", CANARY).read("v")
    check(caught.value)


def test_an_auth_file_that_is_no_text_is_quoted_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(CANARY.encode() + b"\xff")
    with pytest.raises(SidekeyError) as caught:
        parse_auth(read_auth_file(path), lambda _: True)
    check(caught.value)


class Talkative(KeyringBackend):
    """A keyring whose errors quote what it holds and what it is given."""

    priority = 5  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        raise LookupError(f"{service}/{username}: {CANARY}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise LookupError(f"cannot store {password}")


@pytest.mark.parametrize(
    "ask", [lambda seal: seal.read("v"), lambda seal: seal.store("v", SEAL)], ids=["read", "store"]
)
async def test_a_keyring_that_says_too_much_is_quoted_nowhere(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[KeyringSeal], Awaitable[Any]]
) -> None:
    monkeypatch.setattr(keyring.core, "_keyring_backend", Talkative())
    with pytest.raises(SidekeyError) as caught:
        await ask(KeyringSeal())
    check(caught.value)


@pytest.mark.parametrize("body", [{"form": {"t": Secret(CANARY)}}, {"document": {"t": Secret(CANARY)}}])
async def test_a_request_that_breaks_off_is_quoted_nowhere(body: dict[str, dict[str, Secret]]) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Outbound(connect_timeout=2.0, request_timeout=5.0) as out:
        with pytest.raises(IssuerUnavailable) as caught:
            await out.request(f"http://127.0.0.1:{port}/", what="it", **body)
    check(caught.value)


def test_an_answer_does_not_show_its_body() -> None:
    assert CANARY not in repr(answer(200, {"id_token": CANARY}))


# --- the border itself ------------------------------------------------------------------------------------


@unchained
def broken(text: str) -> None:
    """Break, as its text says."""
    try:
        int(text)
    except ValueError:
        raise VaultUnreadable("not a number") from None


@unchained
async def broken_later(text: str) -> None:
    """Break, as its text says, behind a wait."""
    await asyncio.sleep(0)
    broken(text)


def test_the_error_stays_itself_and_says_where_the_border_was() -> None:
    with pytest.raises(VaultUnreadable, match="not a number") as caught:
        broken(CANARY)
    check(caught.value)
    assert caught.value.remedy == VaultUnreadable.remedy
    assert broken.__name__ == "broken"


async def test_a_coroutine_is_a_border_like_any_other() -> None:
    assert asyncio.iscoroutinefunction(broken_later)
    with pytest.raises(VaultUnreadable) as caught:
        await broken_later(CANARY)
    check(caught.value)


def test_what_is_no_error_of_ours_passes_as_it_is() -> None:
    @unchained
    def faulty() -> None:
        raise LookupError from KeyError("why")

    with pytest.raises(LookupError) as caught:
        faulty()
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_returns_returns() -> None:
    assert unchained(lambda number: number + 1)(1) == 2
