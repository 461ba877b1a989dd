"""Runs the model test for as long as one likes: ``make soak-model ARGS="--seconds 3600 --seed 7"``.

It prints what it has run each minute, and ends with exit code 1 and the shortest failing sequence.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from soak import model


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak-model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="of the first draw (default: the time)"
    )
    chosen = parser.parse_args()
    logging.getLogger("sidekey").setLevel(logging.CRITICAL)
    print(f"seed {chosen.seed}", flush=True)
    began = told = time.monotonic()
    draws = 0
    while time.monotonic() - began < chosen.seconds:
        run = settings(
            max_examples=10,
            stateful_step_count=40,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,  # a group of failures would hide the sequences
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(chosen.seed + draws)(model.SignIn), settings=run)
        except Exception as error:  # noqa: BLE001 - it is told
            print(
                f"seed {chosen.seed + draws}: {error!r}",
                *getattr(error, "__notes__", ()),
                sep="\n",
                flush=True,
            )
            return 1
        draws += 1
        if time.monotonic() - told > 60:
            told = time.monotonic()
            print(f"{10 * draws} sequences, {model.steps} steps", flush=True)
    print(
        f"passed: {10 * draws} sequences, {model.steps} steps in {time.monotonic() - began:.0f} s", flush=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
