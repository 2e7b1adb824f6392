"""A service that many people click in at once, with asyncio: requests wait, the event loop does not.

    python examples/asyncio_service.py                # listens on 127.0.0.1:8642
    python examples/asyncio_service.py --self-test    # three clients click at the same time

A line of JSON goes in, a line of JSON comes out: {"open": BASE64 of an image file} gives an id; {"id": ID, "click":
[x, y, true]}, {"id": ID, "undo": true} and {"id": ID, "cutout": true} give a PNG. `Selections` is the part to take into
a web framework of your own; `pyiseg` does its work without the GIL, so threads are enough.
"""

import argparse
import asyncio
import base64
import contextlib
import functools
import io
import json
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

import pyiseg
from pyiseg.demo import PHOTO

LONGEST_LINE = 32 * 2**20  # bytes: of an image file, in base64, some 24 MB
FORMATS = ("JPEG", "PNG", "WEBP")  # Pillow knows others, some of which start programs (PostScript)
LARGEST_IMAGE = 50_000_000  # pixels; looked at before they are decoded
MOST_OPEN = 100  # images; the one that was not used for longest is closed for a new one


class Selections:
    """One selection for each opened image. Its work is done in threads; of one image it is done in the order asked for.

    Args:
        threads: How many may work at once. Each click uses ONNX Runtime's threads, one a core: PYISEG_NUM_THREADS=1
            makes clicks slower and more of them fit.
    """

    def __init__(self, threads=2):
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="pyiseg")
        self._open = OrderedDict()

    async def open(self, data):
        session = await self._run(self._load, data)
        key = secrets.token_urlsafe(12)  # nobody guesses somebody else's
        self._open[key] = (session, asyncio.Lock())
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return key

    async def work(self, key, task):
        """Run task(session) in a thread; tasks on one image wait for one another here, and keep no thread waiting."""
        if key not in self._open:
            raise ValueError(f"no image {key!r} is open: open it again")
        self._open.move_to_end(key)
        session, lock = self._open[key]
        async with lock:
            return await self._run(task, session)

    async def _run(self, task, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._threads, task, *arguments)

    @staticmethod
    def _load(data):
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > LARGEST_IMAGE:
            raise ValueError(f"the image has {image.width} x {image.height} pixels, at most {LARGEST_IMAGE} are taken")
        return pyiseg.Session(image)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode()


async def answer(selections, request):
    if "open" in request:
        return {"id": await selections.open(base64.b64decode(request["open"], validate=True))}
    if "click" in request:
        x, y, fg = request["click"]
        return {"alpha": png(await selections.work(request["id"], lambda session: session.click(x, y, fg)))}
    if "undo" in request:
        return {"alpha": png(await selections.work(request["id"], lambda session: session.undo()))}
    return {"cutout": png(await selections.work(request["id"], lambda session: session.cutout(foreground="estimate")))}


async def serve(selections, reader, writer):
    with contextlib.suppress(ConnectionError, ValueError):  # ValueError: the line is too long
        while line := await reader.readline():
            try:
                reply = await answer(selections, json.loads(line))
            except (ValueError, TypeError, KeyError, OSError, pyiseg.PyisegError) as error:
                reply = {"error": f"{type(error).__name__}: {error}"}  # the library's messages are fit to be shown
            writer.write(json.dumps(reply).encode() + b"\n")
            await writer.drain()
    writer.close()


async def listen(port):
    serving = functools.partial(serve, Selections())
    return await asyncio.start_server(serving, "127.0.0.1", port, limit=LONGEST_LINE)


async def self_test():
    """Three clients click at once and get the library's own mattes, while the event loop goes on."""
    server, beats = await listen(0), []

    async def client(clicks):
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=LONGEST_LINE)

        async def ask(**request):
            writer.write(json.dumps(request).encode() + b"\n")
            return json.loads(await reader.readline())

        key = (await ask(open=base64.b64encode(PHOTO.read_bytes()).decode()))["id"]
        direct = pyiseg.Session(PHOTO)
        for click in clicks:
            alpha = Image.open(
                io.BytesIO(base64.b64decode((await ask(id=key, click=click))["alpha"])), formats=("PNG",)
            )
            assert (np.asarray(alpha) == direct.click(*click)).all(), "another matte than the library's own"
        assert "outside" in (await ask(id=key, click=[5000, 0, True]))["error"]
        assert "open it again" in (await ask(id="a guess", undo=True))["error"]
        writer.close()

    async def heart():
        while True:
            beats.append(await asyncio.sleep(0.005))

    beating = asyncio.create_task(heart())
    await asyncio.gather(*(client([[850, 620, True], [x, 680, False]]) for x in (1240, 1300, 1400)))
    beating.cancel()
    server.close()
    assert len(beats) > 10, f"the event loop was blocked: {len(beats)} beats"
    print(f"asyncio_service: 3 clients, 6 clicks, {len(beats)} beats of the event loop meanwhile")


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--port", type=int, default=8642)
    options = parser.parse_args()
    if options.self_test:
        await self_test()
    else:
        try:
            server = await listen(options.port)
        except (OSError, OverflowError) as error:
            raise SystemExit(f"cannot listen on port {options.port}: {error}; pass another --port") from None
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
