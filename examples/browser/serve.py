"""Serve a folder on this machine, with the two headers that browsers ask for before they give a page threads.

Any static web server does instead: without those headers the networks run on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DIST = Path(__file__).resolve().parent / "dist"
ISOLATION = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}


class Handler(SimpleHTTPRequestHandler):
    """Files of a folder, none of them cached, with the headers of an isolated page."""

    extensions_map = {  # noqa: RUF012 - that of SimpleHTTPRequestHandler is one too
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }
    headers_sent = ISOLATION

    def end_headers(self) -> None:
        """Add the headers."""
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DIST)
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    if not args.folder.is_dir():
        raise SystemExit(f"there is no folder {args.folder}; build.py makes it")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", args.port), functools.partial(Handler, directory=args.folder))
    except (OSError, OverflowError) as error:
        raise SystemExit(f"cannot listen on port {args.port}: {error}; pass another --port") from None
    with server, contextlib.suppress(KeyboardInterrupt):
        print(f"http://127.0.0.1:{args.port}/")
        server.serve_forever()


if __name__ == "__main__":
    main()
