"""Pages in a real browser that call sidekey: the one that is listed can, the other cannot."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Page, async_playwright

from .conftest import House
from .test_browser_sign_in import CHROMIUM, QUIET

FETCH = """async ([base, key]) => {
  const headers = {'Authorization': 'Bearer ' + key, 'Content-Type': 'application/json', 'X-Own': '1'}
  const body = JSON.stringify({model: 'gpt-5-mini', input: 'one two three'})
  try {
    const answer = await fetch(base + '/responses', {method: 'POST', headers, body})
    return [answer.status, answer.headers.get('x-request-id'), await answer.json()]
  } catch (error) {
    return [error.name]
  }
}"""
ASK_BLINDLY = """async ([base]) => {
  const answer = await fetch(base + '/models', {mode: 'no-cors'})
  return [answer.type, answer.status]
}"""
TALK = """([base, key]) => new Promise((tell) => {
  const url = base.replace('http', 'ws') + '/realtime?model=gpt-realtime'
  const socket = new WebSocket(url, ['realtime', 'openai-insecure-api-key.' + key, 'openai-beta.realtime-v1'])
  socket.onmessage = (message) => tell([socket.protocol, JSON.parse(message.data).type])
  socket.onclose = () => tell(['closed'])
})"""


@asynccontextmanager
async def a_page() -> AsyncIterator[str]:
    """Serve an empty page on a port of its own, and yield its origin."""

    async def empty(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>A page</title>", content_type="text/html")

    runner = web.AppRunner(app := web.Application())
    app.router.add_get("/", empty)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        surroundings = {**os.environ, "TMPDIR": "/tmp"}  # noqa: S108 - a socket's path must be short
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, env=surroundings)
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def test_a_listed_page_calls_reads_answers_and_talks_and_another_one_cannot(
    house: House, page: Page
) -> None:
    await house.signed_in()
    async with a_page() as listed, a_page() as other, house.serving(SIDEKEY_ORIGINS=listed) as server:
        base = await server.url()

        async def does(script: str, key: str = house.client_key) -> Any:
            return await page.evaluate(script, [base, key])

        await page.goto(listed)
        status, request_id, answer = await does(FETCH)
        assert status == 200
        assert request_id.startswith("req_")
        assert answer["object"] == "response"
        status, _, answer = await does(FETCH, "sk-side-wrong")
        assert (status, answer["error"]["code"]) == (401, "sidekey_client_key_invalid")
        assert await does(TALK) == ["realtime", "session.created"]
        assert await does(TALK, "sk-side-wrong") == ["closed"]
        reached = house.count("api")

        await page.goto(other)
        assert await does(FETCH) == ["TypeError"]
        assert await does(TALK) == ["closed"]
        assert await does(ASK_BLINDLY) == ["opaque", 0]
        assert house.count("api") == reached == 2
        await server.stop()
        codes = [line["code"] for line in server.lines if line.get("event") == "request"]
        assert codes.count("sidekey_origin_not_allowed") == 3, codes
