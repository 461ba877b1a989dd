"""``python -m sidekey_proxy.sandbox``: a sandbox of its own, until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from sidekey_auth.errors import SidekeyError

from .ready import Whereabouts, write_ready_file
from .server import Sandbox
from .settings import SandboxSettings


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sidekey_proxy.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-lifetime", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--auto-approve", action="store_true", help="sign in without a click")
    parser.add_argument("--any-redirect-port", action="store_true", help="not only 1455 and 1457")
    parser.add_argument("--ready-file", type=Path, help="gets the address and the control token, mode 0600")
    asked = parser.parse_args()
    settings = SandboxSettings(
        port=asked.port,
        token_lifetime=asked.token_lifetime,
        auto_approve=asked.auto_approve,
        any_redirect_port=asked.any_redirect_port,
    )
    try:
        asyncio.run(_serve(settings, asked.ready_file))
    except SidekeyError as error:
        print(f"{error}. {error.remedy}", file=sys.stderr)  # noqa: T201 - a command's own voice
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if asked.ready_file is not None:
            asked.ready_file.unlink(missing_ok=True)
    return 0


async def _serve(settings: SandboxSettings, ready_file: Path | None) -> None:
    over = asyncio.Event()
    with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in its loop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with Sandbox(settings) as sandbox:
        if ready_file is not None:
            write_ready_file(ready_file, Whereabouts(sandbox.base_url, sandbox.control_token))
        print(f"issuer {sandbox.issuer}  upstream {sandbox.upstream}", flush=True)  # noqa: T201 - the same
        await over.wait()


if __name__ == "__main__":
    sys.exit(main())
