"""A window to select something in: left click selects, right click removes. It needs nothing but Python's own Tk.

    python examples/tk_app.py photo.jpg
    python examples/tk_app.py --self-test    # clicks by itself; without a screen, put xvfb-run -a before it

Ctrl+Z and Ctrl+Y undo and redo, S saves the cut-out as cutout.png. The image is shown at the size of the window; clicks
are given to the session in pixels of the image, and the window never waits: each click is worked out in a thread.
"""

import argparse
import contextlib
import time
import tkinter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageTk

import pyiseg
from pyiseg.demo import PHOTO

TINT = np.array([255, 64, 64], np.float32)


class App:
    def __init__(self, root, path):
        self.root, self.session = root, pyiseg.Session(path)
        self.thread = ThreadPoolExecutor(1)  # one: clicks are worked out in the order they were made
        self.waiting = []
        self.canvas = tkinter.Canvas(root, width=900, height=600, highlightthickness=0)
        self.canvas.pack(fill="both", expand=True)
        self.alpha = self.session.alpha
        self.canvas.bind("<Button-1>", lambda event: self.click(event, True))
        for button in ("<Button-2>", "<Button-3>"):  # the right button is 2 on a Mac, 3 elsewhere
            self.canvas.bind(button, lambda event: self.click(event, False))
        self.canvas.bind("<Configure>", lambda event: self.draw())
        root.bind("<Control-z>", lambda event: self.do(self.session.undo))
        root.bind("<Control-y>", lambda event: self.do(self.session.redo))
        root.bind("s", lambda event: Image.fromarray(self.session.cutout(foreground="estimate")).save("cutout.png"))
        self.poll()

    def scale(self):
        """Pixels of the window to a pixel of the image, so that all of the image is seen."""
        height, width = self.session.shape
        return min(self.canvas.winfo_width() / width, self.canvas.winfo_height() / height)

    def click(self, event, fg):
        height, width = self.session.shape
        # Integers are pixel centers: pixel i of the image covers [i, i + 1) * scale of the window.
        x, y = (int((value + 0.5) / self.scale()) for value in (event.x, event.y))
        if x < width and y < height:  # beside the image there is nothing to click on
            self.do(self.session.click, x, y, fg)

    def do(self, task, *arguments):
        self.waiting.append(self.thread.submit(task, *arguments))

    def poll(self):
        """Show what the thread has finished. Tk may be called from this thread only."""
        while self.waiting and self.waiting[0].done():
            try:
                self.alpha = self.waiting.pop(0).result()
            except (ValueError, pyiseg.PyisegError) as error:  # the session is as it was before
                self.root.title(str(error))
            self.draw()
        self.root.after(10, self.poll)

    def draw(self):
        scale = self.scale()
        size = tuple(max(1, round(side * scale)) for side in self.session.shape[::-1])
        rgb = np.asarray(Image.fromarray(self.session.image).resize(size), np.float32)
        tint = np.asarray(Image.fromarray(self.alpha).resize(size))[..., None] / np.float32(510)
        shown = Image.fromarray((rgb * (1 - tint) + TINT * tint).astype(np.uint8))
        self.shown = ImageTk.PhotoImage(shown)  # kept, for Tk holds no reference
        self.canvas.delete("all")
        self.canvas.create_image(0, 0, image=self.shown, anchor="nw")


def self_test(app):
    """Click into the window as a user does, and compare with a session that is given the same pixels."""

    def settled():
        while app.waiting:
            app.root.update()
            time.sleep(0.005)

    app.root.update()
    scale = app.scale()
    expected = pyiseg.Session(PHOTO)
    for button, x, y, fg in ((1, 850, 620, True), (3, 1240, 680, False)):
        app.canvas.event_generate(f"<Button-{button}>", x=round(x * scale), y=round(y * scale))
        settled()
        there = int((round(x * scale) + 0.5) / scale), int((round(y * scale) + 0.5) / scale)
        assert app.session.clicks[-1] == (*there, fg), app.session.clicks
        assert (app.alpha == expected.click(*there, fg)).all(), "another matte than the library's own"
    app.root.event_generate("<Control-z>")
    settled()
    assert (app.alpha == expected.undo()).all()
    size = f"{app.canvas.winfo_width()} x {app.canvas.winfo_height()}"
    print(f"tk_app: 2 clicks and an undo in a window of {size}, {app.alpha.mean() / 255:.0%} selected")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", default=PHOTO)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    try:
        root = tkinter.Tk()
        app = App(root, options.image)
    except tkinter.TclError as error:
        raise SystemExit(
            f"there is no window to draw in ({error}); on a machine without a screen put xvfb-run -a before it"
        ) from None
    except (OSError, ValueError) as error:  # of the image
        root.destroy()
        raise SystemExit(f"{error}") from None
    if options.self_test:
        self_test(app)
        app.root.destroy()
    else:
        app.root.mainloop()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
