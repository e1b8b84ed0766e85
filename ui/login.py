"""The login page: a key's name and the key, once, for a session cookie.

Plain HTML without scripts, so that it works for a browser that has no access to the
chat page yet. A form carries a token that its page's own cookie must match.
"""

from __future__ import annotations

import html
import re
import secrets
import time
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from edge.errors import InvalidRequest
from edge.jobs.logins import Logins
from edge.keys import Keys
from ui.door import cookie_of, is_secure
from ui.i18n import TEXTS, language_of
from ui.session import COOKIE, CSRF_COOKIE, Session, set_cookie, sign

FORM_COOKIE = "edge_form"
LARGEST_FORM = 4096  # bytes
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 90vh; margin: 0; }
form { display: grid; gap: .75rem; width: min(22rem, 90vw); }
h1 { font-size: 1.25rem; margin: 0; }
label { display: grid; gap: .25rem; font-size: .875rem; }
input, button { font: inherit; padding: .6rem .75rem; border-radius: .5rem;
  border: 1px solid #94a3b8; }
button { background: #0f766e; border-color: #0f766e; color: #fff; cursor: pointer; }
p { margin: 0; } p[role=alert] { color: #b91c1c; }
@media (prefers-color-scheme: dark) { p[role=alert] { color: #fca5a5; } }
"""
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}


def login_routes(keys: Keys, logins: Logins) -> APIRouter:
    """`/login` and `/logout`. Without keys they lead to the chat."""
    router = APIRouter()

    async def page(http: Request, wrong: str = "", status: int = 200) -> Response:
        language = language_of(http.headers.get("accept-language", ""))
        form_id = _form_cookie(http) or secrets.token_hex(16)
        token = sign(await logins.secret(), "form", form_id)
        fields = OUT if http.state.session else IN
        key = http.state.key
        text = _page(fields, language, token, key.name if key else "", wrong)
        response = HTMLResponse(text, status, HEADERS)
        cookie = set_cookie(FORM_COOKIE, form_id, secure=is_secure(http.scope))
        response.headers.append("set-cookie", cookie)
        return response

    async def form(http: Request) -> dict[str, str]:
        """The fields of a form of this server's own page. Raises InvalidRequest."""
        fields = await _fields(http)
        form_id = _form_cookie(http)
        wanted = sign(await logins.secret(), "form", form_id)
        if not form_id or not secrets.compare_digest(
            wanted.encode(), fields.get("csrf", "").encode()
        ):
            raise InvalidRequest("This form is too old. Load the page again.")
        return fields

    @router.get("/login")
    async def ask(http: Request) -> Response:
        return await page(http) if keys.look() else _see_chat()

    @router.post("/login")
    async def log_in(http: Request) -> Response:
        if not keys.look():
            return _see_chat()
        fields = await form(http)
        key = keys.find(fields.get("key", "").strip())
        if key is None or key.name != fields.get("name", "").strip():
            language = language_of(http.headers.get("accept-language", ""))
            return await page(http, TEXTS[language]["login_wrong"], status=401)
        session = Session.begin(key.id, time.time())
        response = _see_chat()
        cookies = {COOKIE: session.cookie(await logins.secret())}
        cookies[CSRF_COOKIE] = session.csrf_token(await logins.secret())
        _set(response, http, cookies)
        return response

    @router.post("/logout")
    async def log_out(http: Request) -> Response:
        await form(http)
        session: Session | None = http.state.session
        if session is not None:
            await logins.end(session.key_id, session.id, session.ends)
        response = RedirectResponse("login", status_code=303)
        _set(response, http, {COOKIE: "", CSRF_COOKIE: ""})
        return response

    return router


IN = """<form method="post" action="login"><h1>{login}</h1>{alert}
<label>{login_name}<input name="name" autocomplete="username" required
 autofocus></label>
<label>{login_key}<input name="key" type="password" autocomplete="current-password"
 required></label>
<input name="csrf" type="hidden" value="{token}"><button>{login_do}</button>
<p><small>{login_hint}</small></p></form>"""
OUT = """<form method="post" action="logout"><h1>{login_as}</h1>
<input name="csrf" type="hidden" value="{token}"><button>{logout_do}</button>
<p><a href="./">{login_back}</a></p></form>"""


def _page(form: str, language: str, token: str, name: str, wrong: str) -> str:
    texts = {key: html.escape(text) for key, text in TEXTS[language].items()}
    texts["login_as"] = texts["login_as"].format(name=html.escape(name))
    alert = f'<p role="alert">{html.escape(wrong)}</p>' if wrong else ""
    body = form.format(**texts, token=token, alert=alert)
    return (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Edge-VL</title><style>{STYLE}</style><body>{body}</body></html>"
    )


def _form_cookie(http: Request) -> str:
    """The cookie of the form, if it has the form of one: it is sent back unchanged."""
    cookie = cookie_of(http.headers, FORM_COOKIE)
    return cookie if re.fullmatch("[0-9a-f]{32}", cookie) else ""


async def _fields(http: Request) -> dict[str, str]:
    body = b""
    async for part in http.stream():
        body += part
        if len(body) > LARGEST_FORM:
            raise InvalidRequest("This form is too large.")
    try:
        fields = parse_qs(body.decode(), max_num_fields=10)
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    return {name: values[0] for name, values in fields.items()}


def _see_chat() -> Response:
    return RedirectResponse("./", status_code=303)


def _set(response: Response, http: Request, cookies: dict[str, str]) -> None:
    for name, value in cookies.items():
        readable = name == CSRF_COOKIE
        cookie = set_cookie(
            name, value, secure=is_secure(http.scope), readable=readable
        )
        response.headers.append("set-cookie", cookie)
