"""A sign-in as a person does it: a real terminal command, a real browser, a click."""

from __future__ import annotations

import asyncio
import os
import re

from playwright.async_api import async_playwright

from canary import Canary
from house import House, furnished
from processes import command

CHROMIUM = "/usr/bin/chromium"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


async def test_a_person_signs_in_with_a_click_and_the_page_holds_no_token(canary: Canary) -> None:
    async with furnished(canary, auto_approve=False) as house:
        await sign_in_with_a_click(house)


async def sign_in_with_a_click(house: House) -> None:
    process = await asyncio.create_subprocess_exec(
        *command("login", "--no-browser"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **house.environment, "SIDEKEY_CALLBACK_PORTS": "0"},
    )
    assert process.stderr is not None
    url = ""
    async with asyncio.timeout(30):
        while not (found := re.search(r"https?://\S+/oauth/authorize\S+", url)):
            url = (await process.stderr.readline()).decode()
    async with async_playwright() as playwright:
        # The browser puts a socket there, whose path must be short.
        surroundings = {**os.environ, "TMPDIR": "/tmp"}  # noqa: S108
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, env=surroundings)
        page = await browser.new_page()
        await page.goto(found[0])
        await page.get_by_role("button").first.click()
        await page.get_by_text("You can close this tab and return to the terminal").wait_for()
        house.canary.check(await page.content())
        assert "token" not in page.url
        await browser.close()
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert house.canary.check(out.decode()) == "Signed in as ada@example.com (plus).\n"
    credential = await house.stored()
    assert credential.mode == "chatgpt"
    assert credential.api_key is not None
