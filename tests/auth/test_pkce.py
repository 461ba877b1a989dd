from __future__ import annotations

import re

from sidekey_auth.pkce import Pkce, challenge_of, new_pkce
from sidekey_auth.secret import Secret

UNRESERVED = re.compile(r"[A-Za-z0-9_-]+")


def test_the_challenge_is_that_of_rfc_7636_appendix_b() -> None:
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_thousand_sign_ins_have_a_thousand_verifiers_and_states_of_the_right_form() -> None:
    made = [new_pkce() for _ in range(1000)]
    assert len({pkce.verifier for pkce in made}) == 1000
    assert len({pkce.state for pkce in made}) == 1000
    for pkce in made:
        verifier = pkce.verifier.reveal()
        assert len(verifier) == 86
        assert UNRESERVED.fullmatch(verifier)
        assert len(pkce.state) == 43
        assert UNRESERVED.fullmatch(pkce.state)
        assert len(pkce.challenge) == 43
        assert pkce.challenge == challenge_of(pkce.verifier)


def test_verifier_and_state_come_from_64_and_32_random_bytes() -> None:
    asked: list[int] = []

    def random(count: int) -> bytes:
        asked.append(count)
        return b"\xff" * count

    assert new_pkce(random) == Pkce(
        Secret("_" * 85 + "w"), challenge_of(Secret("_" * 85 + "w")), "_" * 42 + "8"
    )
    assert asked == [64, 32]


def test_a_verifier_does_not_show_itself() -> None:
    pkce = new_pkce()
    assert pkce.verifier.reveal() not in repr(pkce)
