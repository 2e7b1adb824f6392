"""Names of outputs: safe, distinct, and the same for any order of the list."""

from __future__ import annotations

import os
import random
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyiseg.batch.names import OutputNames, allot, file_part, image_name, object_name, outside


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("dog", "dog"),
        ("left dog", "left_dog"),
        ("Hündin №2", "Hündin_2"),
        ("Hu\u0308ndin", "Hündin"),
        ("कुत्ता", "कुत्ता"),
        ("../../etc/passwd", "etc_passwd"),
        ("a/b\\c:d*e?f", "a_b_c_d_e_f"),
        ("\u202egnp.exe", "gnp.exe"),
        ("..", "object"),
        ("", "object"),
        ("🐕", "object"),
        (".hidden.", "hidden"),
        ("x" * 300, "x" * 60),
        ("ü" * 300, "ü" * 30),
    ],
)
def test_objects_in_names_of_files(name: str, part: str) -> None:
    assert file_part(name) == part


@given(st.text())
def test_any_object_gives_a_safe_part(name: str) -> None:
    part = file_part(name)
    assert part
    assert os.fsencode(part)
    assert not set(part) & set('/\\:*?"<>|\0\n ')
    assert part not in (".", "..")


@given(st.text())
def test_any_name_is_plain_or_refused(text: str) -> None:
    for check in (image_name, object_name):
        with suppress(ValueError):
            name = check(text)
            assert os.fsdecode(name.encode()) == name
            assert check(name) == name
    with suppress(ValueError):
        name = image_name(text)
        assert Path("/folder", name).is_relative_to("/folder")
        assert ".." not in Path(name).parts


@pytest.mark.parametrize("name", ["CON", "con.jpg", "day 1/NUL.png", "aux/photo.jpg", "COM1 .jpg", "lpt².png"])
def test_devices_of_windows_are_no_names_of_images(name: str) -> None:
    with pytest.raises(ValueError, match="is that of a device on Windows; rename the image"):
        image_name(name)


@pytest.mark.parametrize("name", ["console.jpg", "Screenshot 9.41.00\u202fAM.png", "take 9: b.jpg"])
def test_names_that_files_have_on_other_systems_are_taken(name: str) -> None:
    assert image_name(name) == name


def test_names_mirror_the_folder() -> None:
    assert allot({"a.jpg": [""], "day 1/b.c.jpg": ["dog", "cat"]}) == {
        "a.jpg": OutputNames("a", ("a",)),
        "day 1/b.c.jpg": OutputNames("day 1/b.c", ("day 1/b.c-dog", "day 1/b.c-cat")),
    }


def test_what_would_be_the_same_is_told_apart() -> None:
    assert allot({"a.jpg": ["dog"], "a.png": [""], "b/a.png": [""]}) == {
        "a.jpg": OutputNames("a.jpg", ("a.jpg-dog",)),
        "a.png": OutputNames("a.png", ("a.png",)),
        "b/a.png": OutputNames("b/a", ("b/a",)),
    }
    assert allot({"a.jpg": ["Dog", "dog", "dog!"], "a-dog.jpg": [""]}) == {
        "a-dog.jpg": OutputNames("a-dog", ("a-dog",)),
        "a.jpg": OutputNames("a", ("a-Dog-2", "a-dog-3", "a-dog-4")),
    }
    assert allot({"A.jpg": [""], "a.jpg": [""]})["a.jpg"] == OutputNames("a.jpg-2", ("a.jpg-2",))


IMAGES = st.dictionaries(
    st.lists(st.sampled_from(["a", "A", "b.c", "ü", "u\u0308", "x" * 240]), min_size=1, max_size=2).map(
        lambda parts: "/".join(parts) + ".jpg"
    )
    | st.sampled_from(["a.png", "a-a.jpg", "a.jpg.png", "a-2.jpg"]),
    st.lists(st.sampled_from(["", "a", "A", "a!", "2", "jpg"]), min_size=1, max_size=4),
    max_size=6,
)


@given(IMAGES, st.randoms(use_true_random=False))
def test_no_two_outputs_are_the_same(images: dict[str, list[str]], order: random.Random) -> None:
    names = allot(images)
    for listed in ([name.image for name in names.values()], [one for name in names.values() for one in name.objects]):
        assert len({unicodedata.normalize("NFC", name.casefold()) for name in listed}) == len(listed)
        assert all(len(os.fsencode(name.rpartition("/")[2])) < 240 for name in listed)
    assert [len(name.objects) for name in names.values()] == [len(images[image]) for image in names]
    shuffled = list(images)
    order.shuffle(shuffled)
    assert allot({image: images[image] for image in shuffled}) == names


def test_links_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "secret.jpg").touch()
    (folder / "out.jpg").symlink_to("../secret.jpg")
    (folder / "in.jpg").symlink_to("inner/a.jpg")
    (folder / "up").symlink_to("..")
    assert outside(folder.resolve(), "out.jpg")
    assert outside(folder.resolve(), "up/secret.jpg")
    assert not outside(folder.resolve(), "in.jpg")
    assert not outside(folder.resolve(), "inner/gone.jpg")
