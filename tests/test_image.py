"""image.py: what is shared, and what a session refuses to be given beside it."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from support import toy_model
from support.toy_device import Devices, gpu
from support.toy_model import PHOTO

from pyiseg import Image, Session, load_model

__all__ = ["gpu"]  # a fixture


def test_what_a_session_on_an_image_may_be_told(toy: Path) -> None:
    image = Image(PHOTO, model=toy)
    alpha = Session(PHOTO, model=toy).click(60, 30)
    for session in (
        Session(image),
        Session(image, model=toy),
        Session(image, model=load_model(toy)),
        Session(image, device="cpu"),
        Session(image, device="auto"),
    ):
        np.testing.assert_array_equal(session.click(60, 30), alpha)


def test_a_model_that_the_image_does_not_have(toy: Path, tmp_path: Path) -> None:
    image = Image(PHOTO, model=toy)
    other = toy_model.build(tmp_path / "other", form="residual")
    for given in ("default", other, load_model(other)):
        with pytest.raises(ValueError, match=r"the image was encoded with the model .* not with .*: leave model out"):
            Session(image, model=given)


def test_the_same_model_in_another_folder(toy: Path, tmp_path: Path) -> None:
    image = Image(PHOTO, model=toy)
    same = toy_model.build(tmp_path / "same")
    np.testing.assert_array_equal(Session(image, model=same).click(60, 30), Session(image).click(60, 30))


def test_a_device_that_the_image_is_not_on(toy: Path, gpu: Devices) -> None:
    image = Image(PHOTO, model=toy, device="cuda")
    assert Session(image).device == Session(image, device="auto").device == "cuda"
    with pytest.raises(ValueError, match="the image was encoded on 'cuda', not on 'cpu': leave device out"):
        Session(image, device="cpu")
    with pytest.raises(ValueError, match="the image was encoded on 'cpu', not on 'cuda': leave device out"):
        Session(Image(PHOTO, model=toy), device="cuda")


def test_an_image_does_not_change(toy: Path) -> None:
    image = Image(PHOTO, model=toy)
    assert (image.shape, image.device, image.model) == (PHOTO.shape[:2], "cpu", load_model(toy))
    for name in ("model", "device", "shape", "rgb"):
        with pytest.raises(AttributeError):
            setattr(image, name, None)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_an_image_is_shared_and_not_copied(toy: Path, duplicate: object) -> None:
    assert callable(duplicate)
    with pytest.raises(TypeError, match=r"cannot be copied or pickled; share it, or .* pyiseg.Image\(image.rgb\)"):
        duplicate(Image(PHOTO, model=toy))
