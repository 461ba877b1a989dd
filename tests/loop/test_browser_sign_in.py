"""A sign-in as a person does it: a real terminal command, a real browser, a click."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable

from playwright.async_api import Page, async_playwright

from canary import Canary
from house import House, furnished
from processes import command
from sidekey_auth.claims import read_claims
from sidekey_proxy.sandbox import SandboxAccount

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
    async def click(page: Page) -> None:
        await page.get_by_role("button").first.click()

    async with furnished(canary, auto_approve=False) as house:
        await sign_in(house, click)
        credential = await house.stored()
        assert credential.mode == "chatgpt"
        assert credential.api_key is not None


async def test_a_person_without_an_organisation_chooses_one_on_the_older_page_and_gets_a_key(
    canary: Canary,
) -> None:
    async def choose(page: Page) -> None:
        own = page.get_by_role("radio", name="Default project proj_sandbox")
        other = page.get_by_role("radio", name="Notes on the engine proj_notes")
        assert (await own.is_checked(), await other.is_checked()) == (True, False)
        await page.get_by_text("Notes on the engine").click()
        assert (await own.is_checked(), await other.is_checked()) == (False, True)
        assert await page.get_by_role("group", name="Analytical Engines").count() == 1
        for width in (360, 1280):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.get_by_role("button", name="Continue").click()

    account = SandboxAccount(organization_id=None, project_id=None, onboarded=False)
    async with furnished(canary, auto_approve=False, account=account) as house:
        await sign_in(house, choose, "--choose-organization")
        credential = await house.stored()
        assert credential.api_key is not None
        assert credential.id_token is not None
        claims = read_claims(credential.id_token)
        assert (claims.organization_id, claims.project_id) == ("org-engines", "proj_notes")


async def sign_in(house: House, decide: Callable[[Page], Awaitable[None]], *flags: str) -> None:
    """Sign in with the command in a terminal, a browser beside it, and somebody who decides on the page."""
    process = await asyncio.create_subprocess_exec(
        *command("login", "--no-browser", *flags),
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
        await decide(page)
        await page.get_by_text("You can close this tab and return to the terminal").wait_for()
        house.canary.check(await page.content())
        assert "token" not in page.url
        await browser.close()
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert house.canary.check(out.decode()) == "Signed in as ada@example.com (plus).\n"
