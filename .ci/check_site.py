"""Check the built site: it loads no script, style, font or image of another host, and shows no private default.

python .ci/check_site.py build/site
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "video": "src"}
_ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.I)
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")


class Loads(HTMLParser):
    """What a page loads of other hosts.

    Attributes:
        found: The addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element; a link that only says which page this is loads nothing."""
        given = {name: value or "" for name, value in attrs}
        if given.get("rel") in ("canonical", "next", "prev", "alternate"):
            return
        address = given.get(LOADED.get(tag, ""), "")
        if _ELSEWHERE.match(address):
            self.found.append(address)


def elsewhere(site: Path) -> Iterator[str]:
    """Yield what pages and styles load of other hosts, with their names."""
    for page in sorted(site.rglob("*.html")):
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        yield from (f"{page.relative_to(site)}: {address}" for address in loads.found)
    for style in sorted(site.rglob("*.css")):
        yield from (f"{style.relative_to(site)}: {x}" for x in _IN_STYLE.findall(style.read_text(encoding="utf-8")))


def main() -> int:
    """Print what is loaded of other hosts; return the exit code."""
    site = Path(sys.argv[1])
    pages = len(list(site.rglob("*.html")))
    found = list(elsewhere(site))
    if "_LEFT_OUT" in (site / "api.html").read_text(encoding="utf-8"):
        found.append("api.html: a default is shown by its private name, see .ci/griffe_defaults.py")
    print("\n".join(found) or f"{pages} pages load nothing of other hosts")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
