"""What a model decides about clicks, guided filter and zooming in."""

from __future__ import annotations

import dataclasses

from pyiseg.checks import MisfitError, whole, within

FORMS, GUIDES = ("averaged", "residual"), ("learned", "color")
# Where the native operations are exact enough: three colors that go together leave fewer digits than one guide.
LEAST_EPS = {"learned": 1e-12, "color": 1e-6}


@dataclasses.dataclass(frozen=True)
class ClickParams:
    """How clicks are encoded and predictions are finished. Lengths are in grid pixels.

    Attributes:
        sigmas: Widths of the click maps' bells, fine to coarse.
        radius, eps: The guided filter's window and regularization.
        margin: Width of the soft border that a kept region keeps around itself.
        clean: Whether what no click asked for is dropped "before" the guided filter or "after" it, as published. In the
            residual form, which keeps the prediction on the grid, both come to the same.
        form: The guided filter's: "averaged" averages both coefficients over windows (He et al. 2013), "residual" the
            slopes only, and takes the offset that leaves the prediction on the grid as it is.
        guide: What guides it: "learned" for guide.onnx, "color" for the image's own R, G, B.
    """

    sigmas: tuple[float, ...]
    radius: int
    eps: float
    margin: int
    clean: str = "before"
    form: str = "averaged"
    guide: str = "learned"

    @property
    def cleaned_by_filter(self) -> bool:
        """Whether what no click asked for is dropped in the guided filter; else it is before."""
        return self.clean == "after" and self.form == "averaged"


@dataclasses.dataclass(frozen=True)
class Zoom:
    """When a session zooms in on a small selection; see `pyiseg.zoom`.

    Attributes:
        from_click: The first click that may zoom in, counted from the first one that selects; at least 2.
        enlarge: Sides of the crop, in those of the selection's box; 1 to 100.
        below: Only crops up to this share of the image are predicted on alone.
        magnify: Working pixels to an image pixel at most: where there is nothing more to see, nothing is gained.

    Raises:
        ValueError: A value is out of range.
    """

    from_click: int = 4
    enlarge: float = 1.6
    below: float = 0.4
    magnify: float = 2.5

    def __post_init__(self) -> None:
        for name, valid, kind in (
            ("from_click", whole(2, 2**31 - 1), "a whole number in 2..2147483647"),
            ("enlarge", within(1, 100), "a number in 1..100"),
            ("below", within(0, 1), "a number in 0..1"),
            ("magnify", within(1e-3, 1e3), "a number in 0.001..1000"),
        ):
            if not valid(getattr(self, name)):
                raise ValueError(f"zoom.{name} is {getattr(self, name)!r}; it must be {kind}")


def check_filter(params: ClickParams) -> None:
    """Refuse a guided filter that this version does not have.

    The form and the guide must be known and go together, and eps must be large enough for the guide.

    Raises:
        MisfitError: The message names key and value.
    """
    for key, value, known in (("form", params.form, FORMS), ("guide", params.guide, GUIDES)):
        if value not in known:
            raise MisfitError(
                f"'guided_filter.{key}' is {value!r}, this pyiseg knows {' and '.join(map(repr, known))}",
                "install a newer pyiseg or export the model again",
            )
    if (params.form, params.guide) == ("averaged", "color"):
        raise MisfitError(
            "'guided_filter' combines form 'averaged' with guide 'color', which is not offered: the color guide has "
            "the form 'residual'"
        )
    if not within(least := LEAST_EPS[params.guide], 1e12)(params.eps):
        raise MisfitError(f"'guided_filter.eps' must be a number in {least:g}..1e12, not {params.eps!r}")
