"""A short draw of the model test; `make soak` runs it for as long as one likes."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from soak.model import SignIn


def test_random_sequences_lose_no_sign_in() -> None:
    chosen = settings(
        max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(SignIn, settings=chosen)
