"""The `format`s that are enforced, as patterns of the whole string.

A date is one that `datetime` can read: JSON Schema lets a validator ignore `format`,
but a client that asks for a date wants to parse one. Other formats are annotations.
"""

from __future__ import annotations

from typing import Final

_YEAR = "(?:1[0-9]{3}|[2-9][0-9]{3})"
_DAY = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_DAY = (
    "(?:19(?:0[48]|[2468][048]|[13579][26])|20(?:[02468][048]|[13579][26]))-02-29"
)
_DATE = f"(?:{_YEAR}-{_DAY}|{_LEAP_DAY})"
_HOUR = "(?:[01][0-9]|2[0-3])"
_ZONE = f"(?:Z|[+-]{_HOUR}:[0-5][0-9])"
_TIME = f"{_HOUR}:[0-5][0-9]:[0-5][0-9](?:[.][0-9]{{1,6}})?{_ZONE}"
_N = "[0-9]{1,4}"
_CLOCK = f"T(?:{_N}H(?:{_N}M(?:{_N}S)?)?|{_N}M(?:{_N}S)?|{_N}S)"
_DAYS = f"(?:{_N}Y(?:{_N}M(?:{_N}D)?)?|{_N}M(?:{_N}D)?|{_N}D)"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
_LOCAL = "[A-Za-z0-9_+-]{1,32}"
_HEX = "[0-9a-f]"
_GROUP = f"{_HEX}{{1,4}}"

PATTERNS: Final = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "duration": f"^P(?:{_N}W|{_DAYS}(?:{_CLOCK})?|{_CLOCK})$",
    "uuid": f"^{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}$",
    "uuid4": f"^{_HEX}{{8}}-{_HEX}{{4}}-4{_HEX}{{3}}-[89ab]{_HEX}{{3}}-{_HEX}{{12}}$",
    "email": f"^{_LOCAL}(?:[.]{_LOCAL}){{0,3}}@(?:{_LABEL}[.]){{1,4}}[A-Za-z]{{2,12}}$",
    "hostname": f"^{_LABEL}(?:[.]{_LABEL}){{0,5}}$",
    "ipv4": f"^(?:{_BYTE}[.]){{3}}{_BYTE}$",
    "ipv6": f"^(?:{_GROUP}:){{7}}{_GROUP}$",
    "uri": f"^https?://{_LABEL}(?:[.]{_LABEL}){{0,5}}(?:/[A-Za-z0-9._~/-]{{0,500}})?$",
}
