"""Click-to-select segmentation: an image goes in once, clicks go in one at a time, an alpha matte comes out.

Example:
    >>> session = pyiseg.Session("photo.jpg")
    >>> alpha = session.click(320, 240)  # uint8 (H, W), 255 where selected
    >>> alpha = session.click(10, 10, fg=False)  # not this
    >>> rgba = session.cutout()  # uint8 (H, W, 4)
"""

from pyiseg import interrupts

if interrupts.is_command():  # before what takes long to import
    interrupts.leave_at_once()

from pyiseg.backend import available_devices
from pyiseg.errors import DeviceError, ModelError, PyisegError
from pyiseg.geometry import Rect
from pyiseg.image import Image
from pyiseg.labels import label_map
from pyiseg.model import Model, load_model
from pyiseg.prompts import Box, Click, LocalClick, Scribble
from pyiseg.session import Session

__version__ = "0.2.0"

__all__ = [
    "Box",
    "Click",
    "DeviceError",
    "Image",
    "LocalClick",
    "Model",
    "ModelError",
    "PyisegError",
    "Rect",
    "Scribble",
    "Session",
    "__version__",
    "available_devices",
    "label_map",
    "load_model",
]
