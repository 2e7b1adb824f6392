"""Record cat_mask.png anew, after the default weights have changed and the image has been looked at."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.cat import CLICKS, PHOTO

from pyiseg import Session

if __name__ == "__main__":
    session = Session(PHOTO)
    for click in CLICKS:
        session.click(*click)
    Image.fromarray(session.mask.astype(np.uint8) * 255).save(Path(__file__).with_name("cat_mask.png"))
