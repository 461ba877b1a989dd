"""The sandbox's pages: small, self-contained, and everything in them escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

HEADERS: Final = {
    # No form-action: browsers apply it to the redirect that follows a form, too.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16181d; --soft: #5b6270; --card: #fff; --ground: #eef0f4;
  --line: #d9dde5; --go: #0b6b4f; --go-ink: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef2; --soft: #a2a9b8; --card: #1c1f26;
  --ground: #111318; --line: #323743; --go: #3fc79a; --go-ink: #06281d; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--ground); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: min(26rem, 100%); background: var(--card); border: 1px solid var(--line);
  border-radius: 1rem; padding: 2rem; }
.badge { display: inline-block; font-size: .8rem; border: 1px solid var(--line); border-radius: 1rem;
  padding: .1rem .7rem; color: var(--soft); }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 1rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; color: var(--soft); overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .25rem 1rem; margin: 1.25rem 0;
  border-block: 1px solid var(--line); padding: 1rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0 .25rem; }
input { width: 100%; font: inherit; letter-spacing: .15em; text-transform: uppercase; padding: .7rem .8rem;
  border: 1px solid var(--line); border-radius: .6rem; background: transparent; color: inherit; }
button { width: 100%; font: inherit; font-weight: 600; padding: .8rem; margin-top: .75rem; cursor: pointer;
  border-radius: .6rem; border: 1px solid var(--line); background: transparent; color: inherit; }
button.go { background: var(--go); color: var(--go-ink); border-color: var(--go); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--go); outline-offset: 2px; }
""".strip()


def authorize_page(request_id: str, *, about: Mapping[str, str], action: str) -> str:
    """Return the page that asks whether to sign in.

    Args:
        request_id: names the authorization request that waits for the answer.
        about: what is shown of it, label to value.
        action: where the answer goes.
    """
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in about.items())
    return _page(
        "Sign in to the sandbox",
        f"""<p>A program asks to sign in. Nothing here is real: no account, no cost, no network.</p>
<dl>{facts}</dl>
<form method="post" action="{escape(action)}">
<input type="hidden" name="request" value="{escape(request_id)}">
<button class="go" name="decision" value="approve" autofocus>Continue</button>
<button name="decision" value="deny">Deny</button>
</form>""",
    )


def device_page(*, action: str, user_code: str = "", note: str = "") -> str:
    """Return the page that asks for a device's code.

    Args:
        action: where the answer goes.
        user_code: what to fill in.
        note: what was wrong with the last one.
    """
    return _page(
        "Connect a device",
        f"""<p>Type the code that the terminal shows.</p>
{f'<p role="alert">{escape(note)}</p>' if note else ""}
<form method="post" action="{escape(action)}">
<label for="code">Code</label>
<input id="code" name="user_code" value="{escape(user_code)}" autocomplete="off" spellcheck="false"
 required autofocus>
<button class="go" name="decision" value="approve">Continue</button>
<button name="decision" value="deny" formnovalidate>Deny</button>
</form>""",
    )


def message_page(title: str, text: str) -> str:
    """Return a page that says one thing."""
    return _page(title, f"<p>{escape(text)}</p>")


def _page(title: str, content: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · sidekey</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<span class="badge">sidekey sandbox</span>
<h1>{escape(title)}</h1>
{content}
</main>
</body>
</html>
"""
