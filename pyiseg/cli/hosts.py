"""Names of hosts as users give them, in the form that browsers send them in."""

from __future__ import annotations

import ipaddress
import re
from contextlib import suppress

from pyiseg.paths import shown

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:/+", re.IGNORECASE)
_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*):\d*")
_EXAMPLE = "pass one as in box.example, *.example.com, 192.168.1.5 or ::1"


def host_name(text: str) -> str:
    """Return a host in the form that `pyiseg.server.security.Security` compares with the header Host.

    Args:
        text: A name, also one in other letters than ASCII; ``*.example.com`` for all below it, ``*`` for all; or an
            address, of IPv6 with or without brackets.

    Returns:
        In lower case, names in Punycode (``xn--…``), addresses as short as can be and without brackets.

    Raises:
        ValueError: It is none of these, so no request would ever come for it; the message says the way out.
    """
    if not text.strip():
        raise ValueError(f"the host is empty; {_EXAMPLE}")
    bare = _without_more(text)
    if bare != text:
        raise ValueError(
            f"{shown(text)} is more than the name of a host; leave out scheme, user, port and path: {shown(bare)}"
            if bare
            else f"{shown(text)} names no host; {_EXAMPLE}"
        )
    if text == "*":
        return text
    name = text[1:-1] if re.fullmatch(r"\[[^\]]*:[^\]]*\]", text) else text
    if ":" in name and "%" in name:
        raise ValueError(f"{shown(text)} has a zone, which browsers do not send; pass {shown(name.partition('%')[0])}")
    with suppress(ValueError):
        return str(ipaddress.ip_address(name))
    below = "*." if name.startswith("*.") else ""
    try:
        plain = _in_ascii(name.removeprefix("*."))
    except ValueError as error:
        raise ValueError(f"{shown(text)} cannot be the name of a host: {error}; {_EXAMPLE}") from None
    labels = plain.removesuffix(".").split(".")
    if len(plain) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{shown(text)} cannot be the name of a host; {_EXAMPLE}")
    if labels[-1].isdecimal():  # for browsers that is an address
        raise ValueError(f"{shown(text)} cannot be an address; write all four numbers, each up to 255: 192.168.1.5")
    return below + plain


def _without_more(text: str) -> str:
    """What is left of a URL or of a host with its port."""
    bare = _SCHEME.sub("", text, count=1) if _SCHEME.match(text) else text
    bare = re.split(r"[/?#\\]", bare, maxsplit=1)[0].rpartition("@")[2]
    with_port = _PORT.fullmatch(bare)
    return with_port[1] if with_port else bare


def _in_ascii(name: str) -> str:
    """A name as it is sent: in other letters than ASCII it is Punycode.

    Raises:
        ValueError: It has letters that no name can have.
    """
    if name.isascii():
        return name.lower()
    try:
        import idna  # as browsers do it; comes with the server
    except ImportError:
        return name.encode("idna").decode().lower()
    return idna.encode(name, uts46=True).decode()
