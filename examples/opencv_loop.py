"""Selecting with OpenCV, whose images are BGR: a window with clicks, and what needs no window.

    python examples/opencv_loop.py photo.jpg      # left click selects, right click removes, u undoes, q ends
    python examples/opencv_loop.py --self-test    # without a window

The window needs the package opencv-python; opencv-python-headless, for servers, has none.
"""

import argparse

import cv2
import numpy as np

import pyiseg
from pyiseg.demo import PHOTO


class Selector:
    """A session on a BGR image, with the faces that OpenCV's windows want.

    Args:
        bgr: uint8, (H, W, 3), as cv2.imread returns it.
    """

    def __init__(self, bgr):
        self.bgr = bgr
        self.session = pyiseg.Session(bgr[..., ::-1])  # RGB for pyiseg; no copy is needed for that
        self.alpha = self.session.alpha

    def on_mouse(self, event, x, y, flags, data=None):
        """Take what cv2.setMouseCallback reports: x and y are pixels of the image, however large it is shown."""
        if event in (cv2.EVENT_LBUTTONDOWN, cv2.EVENT_RBUTTONDOWN):
            height, width = self.session.shape
            if 0 <= x < width and 0 <= y < height:
                self.alpha = self.session.click(x, y, event == cv2.EVENT_LBUTTONDOWN)

    def on_key(self, key):
        if key == ord("u"):
            self.alpha = self.session.undo()

    def shown(self):
        """The image, darkened where nothing is selected, with the outline of the mask: BGR."""
        opacity = (64 + self.alpha.astype(np.uint16) * 191 // 255)[..., None]
        view = (self.bgr * opacity // 255).astype(np.uint8)
        outlines, _ = cv2.findContours(self.session.mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        return cv2.drawContours(view, outlines, -1, (64, 255, 64), 2)

    def cutout(self):
        """BGRA, for cv2.imwrite."""
        return cv2.cvtColor(self.session.cutout(foreground="estimate"), cv2.COLOR_RGBA2BGRA)


def self_test():
    selector = Selector(cv2.imread(str(PHOTO)))
    selector.on_mouse(cv2.EVENT_LBUTTONDOWN, 850, 620, 0)
    selector.on_mouse(cv2.EVENT_MOUSEMOVE, 10, 10, 0)
    selector.on_mouse(cv2.EVENT_RBUTTONDOWN, 1240, 680, 0)
    assert selector.session.clicks == ((850, 620, True), (1240, 680, False)), selector.session.clicks
    direct = pyiseg.Session(cv2.cvtColor(selector.bgr, cv2.COLOR_BGR2RGB))
    direct.click(850, 620)
    first = direct.alpha
    assert (selector.alpha == direct.click(1240, 680, False)).all(), "colors must be RGB"
    assert selector.shown().shape == selector.bgr.shape
    written = cv2.imdecode(cv2.imencode(".png", selector.cutout())[1], cv2.IMREAD_UNCHANGED)
    inside = selector.alpha == 255
    assert (written[..., 3] == selector.alpha).all()
    assert (written[..., :3] == selector.bgr)[inside].all(), "the cut-out has other colors"
    selector.on_key(ord("u"))
    assert (selector.alpha == first).all()
    print(f"opencv_loop: 2 clicks and an undo without a window, {inside.mean():.0%} fully selected")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", nargs="?", default=str(PHOTO))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        self_test()
        return
    bgr = cv2.imread(options.image)
    if bgr is None:
        raise SystemExit(f"{options.image} is no image that OpenCV reads")
    selector = Selector(bgr)
    try:
        cv2.namedWindow("pyiseg", cv2.WINDOW_NORMAL)
    except cv2.error:
        raise SystemExit(
            "this OpenCV has no windows: pip install opencv-python, in the place of opencv-python-headless"
        ) from None
    cv2.setMouseCallback("pyiseg", selector.on_mouse)
    key = -1
    while key != ord("q"):
        cv2.imshow("pyiseg", selector.shown())
        key = cv2.waitKey(15)
        selector.on_key(key)
    cv2.imwrite("cutout.png", selector.cutout())


if __name__ == "__main__":
    main()
