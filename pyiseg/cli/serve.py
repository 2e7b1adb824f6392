"""What ``pyiseg serve`` does: run the page and its API on this machine."""

from __future__ import annotations

import argparse
import contextlib
import errno
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from pyiseg.cli.console import needs_extra
from pyiseg.cli.hosts import host_name

Echo = Callable[[str], None]

PORT = 8000
TRIED = 20
"""Ports, from `PORT` on, of which the first free one is taken where none is asked for."""
_LEAST, _MOST = 1, 65535


def run(options: argparse.Namespace, echo: Echo) -> int:
    """Serve until Ctrl-C.

    Args:
        options: ``photo`` (a path or None), ``host``, ``port`` (or None), ``model``, ``device``, ``memory_limit`` and
            ``max_megapixels`` (in millions), ``allow_host`` (a list), ``open``.
        echo: Called with what to tell the user.

    Returns:
        The exit code, 0.

    Raises:
        ValueError, OSError, pyiseg.PyisegError: An option is wrong, the photo cannot be opened, or the port is in use.
    """
    with needs_extra("serve", "serve"):
        import uvicorn

        from pyiseg.server import create_app
        from pyiseg.server.connections import PatientHTTP, told_of_the_end
        from pyiseg.server.security import ANY_ADDRESS, LOCAL
    hosts = [*LOCAL, *options.allow_host]
    with listening(options.host, options.port) as listener:
        port = listener.getsockname()[1]
        everywhere = not _is_loopback(listener.getsockname()[0])
        if everywhere:
            # A browser that is told an address was told it by its user, so only names need to be known.
            hosts += [ANY_ADDRESS, socket.gethostname(), f"{socket.gethostname()}.local", options.host]
        app = create_app(
            model=options.model,
            device=options.device,
            initial=options.photo,
            memory_limit=round(options.memory_limit * 1e6),
            max_pixels=round(options.max_megapixels * 1e6),
            allowed_hosts=hosts,
        )
        config = uvicorn.Config(
            told_of_the_end(app),
            http=PatientHTTP,
            log_level="warning",
            lifespan="off",
            ws_max_size=1_000_000,
            ws_per_message_deflate=False,  # what is large is deflated already
            timeout_graceful_shutdown=3,
            server_header=False,
        )
        server = uvicorn.Server(config)
        url = f"http://{_shown_host(options.host, listener)}:{port}/"
        if everywhere:
            echo(
                "warning: there is no login: whoever reaches this port can use the server, its images and its memory; "
                "leave out --host to serve this machine only"
            )
        echo(f"pyiseg on {url} (Ctrl-C ends it)")
        if options.open:
            threading.Thread(target=_open, args=(server, url), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
            server.run(sockets=[listener])
    return 0


def listening(host: str, port: int | None) -> socket.socket:
    """Return a socket that has a port.

    Args:
        host: Name or address to listen on.
        port: None for the first free one of `TRIED` from `PORT` on.

    Raises:
        ValueError: There is no such host.
        OSError: The port is in use, or all are.
    """
    ports = range(PORT, PORT + TRIED) if port is None else (port,)
    try:
        family, _, _, _, address = socket.getaddrinfo(host, ports[0], type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise ValueError(f"there is no host '{host}' to listen on; pass an address of this machine") from None
    for number in ports:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address[0], number, *address[2:]))
            listener.listen(128)  # here, since two sockets may have a port until one listens
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                continue
            raise OSError(
                f"cannot listen on {host}, port {number}: {error.strerror}; pass another --host or --port"
            ) from None
        return listener
    if port is None:
        raise OSError(f"the ports {ports[0]} to {ports[-1]} are all in use; pass a free one with --port")
    raise OSError(f"port {port} is in use; pass another one with --port, or leave it out for the next free one")


def add_to(
    commands: Any, model: argparse.ArgumentParser, device: argparse.ArgumentParser, path: Any, echo: Echo
) -> None:
    """Add the command to a command line.

    Args:
        commands: What ``add_subparsers`` gave.
        model, device: Parent parsers with ``--model`` and ``--device``.
        path: Turns a text into a path.
        echo: Called with what to tell the user.
    """
    serve = commands.add_parser("serve", parents=[model, device], help="select in the browser: a page on this machine")
    serve.add_argument("photo", type=path, nargs="?", metavar="photo.jpg", help="an image to begin with")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 lets other machines in, without a login (default: %(default)s)",
    )
    serve.add_argument(
        "--port", type=_port, metavar="N", help=f"to listen on (default: {PORT}, or the next one that is free)"
    )
    serve.add_argument(
        "--memory-limit",
        type=_positive,
        default=2000,
        metavar="MB",
        help="that open images may hold; those used longest ago leave (default: %(default)s)",
    )
    serve.add_argument(
        "--max-megapixels", type=_positive, default=100, metavar="N", help="of an image (default: %(default)s)"
    )
    serve.add_argument(
        "--allow-host",
        type=_host,
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers reach this server, besides localhost (repeat for more)",
    )
    serve.add_argument("--open", action="store_true", help="open the page in the browser")
    serve.set_defaults(run=lambda options: run(options, echo))


def _open(server: Any, url: str) -> None:
    import webbrowser

    while not server.started:
        time.sleep(0.05)
    webbrowser.open(url)


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _shown_host(host: str, listener: socket.socket) -> str:
    """The host of a URL for this machine's browser."""
    address = listener.getsockname()[0]
    if ipaddress.ip_address(address.partition("%")[0]).is_unspecified:
        return "127.0.0.1" if listener.family == socket.AF_INET else "[::1]"
    return f"[{host}]" if ":" in host else host


def _host(text: str) -> str:
    try:
        return host_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not _LEAST <= int(text[:9]) <= _MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, {_LEAST} to {_MOST}")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number greater than 0")
    return value
