"""The sandbox's pages: small, self-contained, and everything in them escaped. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Final

from .settings import SandboxProject

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
input[type=text] { width: 100%; font: inherit; letter-spacing: .15em; text-transform: uppercase;
  padding: .7rem .8rem; border: 1px solid var(--line); border-radius: .6rem; background: transparent;
  color: inherit; }
fieldset { margin: 1rem 0 0; padding: 0; border: 1px solid var(--line); border-radius: .6rem;
  overflow: hidden; }
legend { float: left; width: 100%; padding: .5rem .8rem; font-size: .9rem; color: var(--soft);
  background: var(--ground); }
.choice { clear: both; display: flex; align-items: center; gap: .75rem; margin: 0; padding: .6rem .8rem;
  border-top: 1px solid var(--line); cursor: pointer; }
.choice:has(:checked) { background: color-mix(in srgb, var(--go) 12%, transparent); }
.choice input { accent-color: var(--go); width: 1.1rem; height: 1.1rem; margin: 0; flex: none; }
.choice span { display: grid; overflow-wrap: anywhere; min-width: 0; }
fieldset + button { margin-top: 1.25rem; }
small { font-size: .8rem; color: var(--soft); }
button { width: 100%; font: inherit; font-weight: 600; padding: .8rem; margin-top: .75rem; cursor: pointer;
  border-radius: .6rem; border: 1px solid var(--line); background: transparent; color: inherit; }
button.go { background: var(--go); color: var(--go-ink); border-color: var(--go); }
button:focus-visible, input:focus-visible { outline: 3px solid var(--go); outline-offset: 2px; }
""".strip()


@dataclass(frozen=True, slots=True)
class Choice:
    """A project to choose.

    Attributes:
        value: what the form sends for it.
        project: itself.
        chosen: it is chosen as long as nobody chooses another one.
    """

    value: str
    project: SandboxProject
    chosen: bool


def authorize_page(
    request_id: str, *, about: Mapping[str, str], action: str, projects: Sequence[Choice] | None = None
) -> str:
    """Return the page that asks whether to sign in, and into which project.

    Args:
        request_id: names the authorization request that waits for the answer.
        about: what is shown of it, label to value.
        action: where the answer goes.
        projects: what there is to choose, sorted by organisation; None does not speak of it.
    """
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in about.items())
    return _page(
        "Choose an organisation and a project" if projects else "Sign in to the sandbox",
        f"""<p>A program asks to sign in{_TO_CHOOSE if projects else ""}. Nothing here is real: no account,
no cost, no network.</p>
<dl>{facts}</dl>
<form method="post" action="{escape(action)}">
<input type="hidden" name="request" value="{escape(request_id)}">
{"" if projects is None else _choosing(projects)}
<button class="go" name="decision" value="approve" autofocus>Continue</button>
<button name="decision" value="deny">Deny</button>
</form>""",
    )


_TO_CHOOSE: Final = "; its API key will belong to the project that you choose"


def _choosing(projects: Sequence[Choice]) -> str:
    if not projects:
        return '<p role="note">This account has no organisation on the Platform: it gets no API key.</p>'
    groups = groupby(projects, key=lambda choice: choice.project.organization_id)
    return "\n".join(_organisation(list(group)) for _, group in groups)


def _organisation(choices: list[Choice]) -> str:
    first = choices[0].project
    return f"""<fieldset>
<legend>{escape(first.organization)} <small>{escape(first.organization_id)}</small></legend>
{"".join(map(_choice, choices))}</fieldset>"""


def _choice(choice: Choice) -> str:
    project, checked = choice.project, " checked" if choice.chosen else ""
    return f"""<label class="choice">
<input type="radio" name="project" value="{escape(choice.value)}" required{checked}>
<span>{escape(project.project)}<small>{escape(project.project_id)}</small></span>
</label>
"""


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
<input type="text" id="code" name="user_code" value="{escape(user_code)}" autocomplete="off"
 spellcheck="false" required autofocus>
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
