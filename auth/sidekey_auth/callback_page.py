"""The pages that end a sign-in in the browser. Pure."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6876; --paper: #f4f6f8; --card: #fff;
  --line: #dfe4ea; --good: #12805c; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #9aa7b4; --paper: #11161c;
  --card: #1a2129; --line: #2b3540; --good: #4cc38a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px;
  background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, sans-serif; }
main { width: 100%; max-width: 30rem; padding: 40px 36px; text-align: center; background: var(--card);
  border: 1px solid var(--line); border-radius: 16px; }
.mark { width: 56px; height: 56px; margin: 0 auto 20px; border: 3px solid; border-radius: 50%; display: grid;
  place-items: center; }
.mark svg { width: 28px; height: 28px; fill: none; stroke: currentColor; stroke-width: 3;
  stroke-linecap: round; stroke-linejoin: round; }
.good { color: var(--good); }
.bad { color: var(--bad); }
h1 { margin: 0 0 8px; font-size: 1.4rem; line-height: 1.25; }
p { margin: 8px 0 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
footer { margin-top: 28px; font-size: .8rem; letter-spacing: .04em; color: var(--soft); }
"""
# The address bar still holds the spent code; it need not stay there, nor in the browser's history.
_SCRIPT: Final = 'history.replaceState(null, "", location.pathname);'
_TICK: Final = '<path d="M5 13l5 5L19 7"/>'
_CROSS: Final = '<path d="M6 6l12 12M18 6L6 18"/>'


def _source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
"""What every answer of the callback server has."""


def success_page(note: str = "") -> str:
    """Return the page for a sign-in whose credential is stored.

    Args:
        note: one more sentence, such as what does not work yet; plain text.
    """
    more = f'<p class="soft">{escape(note)}</p>' if note else ""
    return _page(
        "Signed in", "good", _TICK, f"<p>You can close this tab and return to the terminal.</p>{more}"
    )


def failure_page(message: str) -> str:
    """Return the page for a sign-in that failed.

    Args:
        message: why; plain text, which is escaped here.
    """
    return _page(
        "The sign-in failed",
        "bad",
        _CROSS,
        f'<p>{escape(message)}</p><p class="soft">The terminal says what to do next.</p>',
    )


@dataclass(frozen=True, slots=True)
class Pages:
    """What the browser is shown; each gets plain text and returns HTML.

    A page with a style or script of its own needs ``headers`` that allow it.

    Attributes:
        success: gets a note, which may be empty.
        failure: gets the reason.
        headers: of every answer.
    """

    success: Callable[[str], str] = success_page
    failure: Callable[[str], str] = failure_page
    headers: Mapping[str, str] = field(default_factory=lambda: HEADERS)


def _page(title: str, tone: str, mark: str, body: str) -> str:
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · sidekey</title><style>{_STYLE}</style></head>"
        f'<body><main><div class="mark {tone}"><svg viewBox="0 0 24 24" aria-hidden="true">{mark}</svg></div>'
        f"<h1>{title}</h1>{body}<footer>sidekey</footer></main>"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )
