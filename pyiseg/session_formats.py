"""What a session can give to other tools: its selection in their formats, and itself to a notebook."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pyiseg.formats import Polygon
    from pyiseg.prompts import Click

# Long side of what a notebook shows, pixels.
_SHOWN = 1024


class SessionFormats:
    """Methods of `pyiseg.Session` that `pyiseg.formats` does the work of; what they need is loaded when it is called.

    For several objects in one file call `pyiseg.formats` with the mask of each session.
    """

    if TYPE_CHECKING:

        @property
        def mask(self) -> npt.NDArray[np.bool_]: ...  # noqa: D102
        @property
        def alpha(self) -> npt.NDArray[np.uint8]: ...  # noqa: D102
        @property
        def image(self) -> npt.NDArray[np.uint8]: ...  # noqa: D102
        @property
        def clicks(self) -> tuple[Click, ...]: ...  # noqa: D102
        @property
        def shape(self) -> tuple[int, int]: ...  # noqa: D102

    def polygons(self, *, tolerance: float = 1.0) -> list[Polygon]:
        """Return the selection as polygons with holes: see `pyiseg.formats.polygons`.

        Args:
            tolerance: How far from the exact outline they may be, in pixels; with 0 they are exact.

        Raises:
            ValueError: The tolerance is below 0 or not finite.
        """
        from pyiseg import formats

        return formats.polygons(self.mask, tolerance=tolerance)

    def rle(self, *, compressed: bool = True) -> dict[str, Any]:
        """Return the selection run-length encoded as COCO and `pycocotools` have it: see `pyiseg.formats.rle`."""
        from pyiseg import formats

        return formats.rle(self.mask, compressed=compressed)

    def coco(
        self,
        *,
        id: int = 1,
        image_id: int = 1,
        category_id: int = 1,
        segmentation: str = "rle",
        tolerance: float = 1.0,
    ) -> dict[str, Any]:
        """Return the selection as a COCO annotation: see `pyiseg.formats.coco_annotation`."""
        from pyiseg import formats

        return formats.coco_annotation(
            self.mask,
            id=id,
            image_id=image_id,
            category_id=category_id,
            segmentation=segmentation,
            tolerance=tolerance,
        )

    def labelme(
        self, label: str, *, file_name: str, tolerance: float = 1.0, shape_type: str = "polygon"
    ) -> dict[str, Any]:
        """Return the selection as the content of a Labelme file: see `pyiseg.formats.labelme`."""
        from pyiseg import formats

        return formats.labelme(
            [(label, self.mask)], file_name=file_name, shape=self.shape, tolerance=tolerance, shape_type=shape_type
        )

    def yolo(self, name: str, *, names: list[str] | None = None, tolerance: float = 1.0) -> str:
        """Return the selection as lines of a YOLO label file: see `pyiseg.formats.yolo_segmentation`."""
        from pyiseg import formats

        return formats.yolo_segmentation([(name, self.mask)], names=names, tolerance=tolerance)

    def svg(self, name: str = "selection", *, color: tuple[int, int, int] | None = None, tolerance: float = 1.0) -> str:
        """Return the selection as an SVG document, one path in the image's pixels: see `pyiseg.formats.svg`."""
        from pyiseg import formats

        colors = None if color is None else [color]
        return formats.svg([(name, self.mask)], self.shape, colors=colors, tolerance=tolerance)

    def _repr_png_(self) -> bytes | None:
        """Return what a notebook shows of the session: the image, darker where it is not selected, and the clicks.

        Returns:
            A PNG file of at most 1024 pixels a side; None after `close`.
        """
        from PIL import Image

        from pyiseg.drawing import draw_clicks

        try:
            alpha, clicks = self.alpha, self.clicks
        except ValueError:  # closed: a notebook shows the text then
            return None
        height, width = self.shape
        scale = min(1, _SHOWN / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        shown = Image.fromarray(self.image).resize(size, Image.Resampling.BOX)
        if alpha.any():
            selected = Image.fromarray(alpha).resize(size, Image.Resampling.BOX)
            shown = Image.composite(shown, shown.point([value * 3 // 10 for value in range(256)] * 3), selected)
        # Whole numbers are the centers of pixels in clicks, and their corners where Pillow draws.
        placed = [((x + 0.5) * scale, (y + 0.5) * scale, fg) for x, y, fg in clicks]
        draw_clicks(shown, placed, radius=max(3, max(size) // 100))
        file = io.BytesIO()
        shown.save(file, format="PNG")
        return file.getvalue()
