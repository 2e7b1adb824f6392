"""Training sets of a few rendered images, laid out as the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# An image that falls into the validation part, see export.data.mixed.is_validation.
HELD_OUT = 49

TRAIN, VAL = ("2008_000001", "2008_000002", "2008_000003"), ("2009_000001",)


def image_and_index(i: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw noise with a bright disc on it, and its index mask: disc 1, a rim of void around it."""
    image = np.random.default_rng(i).integers(0, 120, (60, 80, 3)).astype(np.uint8)
    index = np.zeros((60, 80), np.uint8)
    cv2.circle(index, (30 + 3 * (i % 7), 30), 14, 1, -1)
    cv2.circle(index, (30 + 3 * (i % 7), 30), 15, 255, 1)
    image[index == 1] += 120
    return image, index


def build(root: Path, pictures: int = 6) -> Path:
    """Write ``train/`` under a folder and return the folder."""
    train = root / "train"
    for part in ("real", "objects", "backgrounds"):
        (train / part).mkdir(parents=True)
    lines = []
    for i in [*range(pictures), HELD_OUT]:
        image, index = image_and_index(i)
        Image.fromarray(image).save(train / "real" / f"{i}.png")
        Image.fromarray(index).save(train / "real" / f"{i}_mask.png")
        Image.fromarray(image[::-1]).save(train / "backgrounds" / f"{i}.png")
        alpha = np.where(index[10:50, 10:70] == 1, 255, 0).astype(np.uint8)
        rgba = np.dstack([image[10:50, 10:70], alpha])
        Image.fromarray(rgba).save(train / "objects" / f"fluent3d_{i}.png")
        record = {
            "image": f"train/real/{i}.png",
            "mask": f"train/real/{i}_mask.png",
            "height": 60,
            "width": 80,
            "objects": [{"id": 1, "kind": "instance"}],
            "source": "ecssd",
        }
        lines.append(json.dumps(record))
    (train / "real.jsonl").write_text("\n".join(lines) + "\n")
    return root


def instances(i: int) -> NDArray[np.uint8]:
    """Draw an instance map: a disc, a box, and a column of void."""
    result = np.zeros((60, 80), np.uint8)
    cv2.circle(result, (20, 30), 12 + i, 1, -1)
    result[15:50, 45:70] = 2
    result[:, 40] = 255
    return result


def build_sbd(root: Path) -> Path:
    """Write the Semantic Boundaries Dataset as it is published, two instances an image, and return its folder."""
    import scipy.sparse
    from scipy.io import savemat

    for part in ("img", "inst"):
        (root / part).mkdir(parents=True)
    for i, name in enumerate(TRAIN + VAL):
        index = instances(i)
        # Red tells the instance, so that a test sees whether image and mask still fit.
        image = np.full((60, 80, 3), 20 * i, np.uint8)
        image[..., 0] = np.where(index == 255, 0, index * 100)
        Image.fromarray(image).save(root / "img" / f"{name}.jpg", quality=95)
        borders = np.empty((2, 1), object)
        borders[:, 0] = [scipy.sparse.csc_matrix(index == value) for value in (1, 2)]
        content = {"Segmentation": index, "Boundaries": borders, "Categories": np.array([[15], [7]], np.uint8)}
        savemat(root / "inst" / f"{name}.mat", {"GTinst": content}, do_compression=True)
    (root / "train.txt").write_text("\n".join(TRAIN) + "\n")
    (root / "val.txt").write_text("\n".join(VAL) + "\n")
    return root


def build_folder(root: Path, masks: str) -> Path:
    """Write ``images/`` and ``masks/`` of either kind, ``objects/`` and ``backgrounds/``, and return the folder."""
    for part in ("images", "masks", "objects", "backgrounds"):
        (root / part).mkdir(parents=True)
    for i in range(4):
        image, index = image_and_index(i)
        Image.fromarray(image).save(root / "images" / f"{i}.jpg")
        Image.fromarray(image[::-1]).save(root / "backgrounds" / f"{i}.png")
        soft = cv2.GaussianBlur(np.where(index == 1, 255, 0).astype(np.uint8), (0, 0), 2)
        Image.fromarray(np.dstack([image, soft])[10:50, 10:70]).save(root / "objects" / f"mine {i}.png")
        if masks == "index":
            index[20:40, 2:9] = 2
            mask = Image.fromarray(index, "P")
            mask.putpalette(bytes(range(256)) * 3)
            mask.save(root / "masks" / f"{i}.png")
        else:
            Image.fromarray(soft).save(root / "masks" / f"{i}.png")
    return root
