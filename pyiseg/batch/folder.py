"""Select objects in all images of a folder, by prompts from a list, and write what was selected."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyiseg
from pyiseg import _core, backend, pil_images
from pyiseg.batch import jobs
from pyiseg.batch.inputs import check_links, check_outputs, existing_folder, similar, without_prompts
from pyiseg.batch.jobs import Failure
from pyiseg.batch.names import OutputNames, allot
from pyiseg.batch.output_folder import FAILURES, OutputError, OutputFolder
from pyiseg.batch.outputs import OutputOptions, files_of, refine
from pyiseg.batch.prompt_list import ImagePrompts, ObjectPrompts, PromptList, Prompts, read_prompts
from pyiseg.batch.writing import ImageFiles, Selected, is_made, together_of, write_image, write_together
from pyiseg.image import Image
from pyiseg.model import Model, load_model
from pyiseg.paths import local_path, shown
from pyiseg.prompts import Prompt
from pyiseg.session import Session
from pyiseg.settings import check_num_threads


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a folder.

    Attributes:
        done: Images that were done now, by their names within the folder, in the order of the list.
        kept: Those that an earlier run had done, likewise.
        failed: Those that could not be done, and why.
        without_prompts: Images of the folder that the list does not name, and could, sorted; without those of outputs.
        empty: Objects of which nothing was selected: the image's name and the object's.
        notes: What of the list was not used.
        unlistable: Images of the folder whose names no list may have, such as ``CON.jpg``, sorted.
    """

    done: list[str]
    kept: list[str]
    failed: list[Failure]
    without_prompts: list[str]
    empty: list[tuple[str, str]]
    notes: list[str]
    unlistable: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Item:
    """An image to be done."""

    prompts: ImagePrompts
    file: Path
    names: OutputNames
    classes: Mapping[str, int]

    @property
    def fingerprint(self) -> list[Any]:
        """What its files depend on, besides what all do.

        Raises:
            ValueError: There is no such image.
        """
        if not self.file.is_file():
            near = similar(self.prompts.image, self.file)
            hint = f"; write {shown(near)} if that is meant" if near else ""
            raise ValueError(f"there is no such image in '{self.file.parent}'{hint}")
        found = self.file.stat()
        listed = [
            [thing.name, thing.category, self.classes.get(thing.category), [_plain(p.prompt) for p in thing.prompts]]
            for thing in self.prompts.objects
        ]
        content = json.dumps([listed, self.names.image, self.names.objects])
        return [found.st_size, found.st_mtime_ns, hashlib.sha256(content.encode()).hexdigest()]


def run_folder(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    prompts: str | os.PathLike[str] | Mapping[str, Prompts] | PromptList,
    *,
    options: OutputOptions | None = None,
    model: str | os.PathLike[str] | Model = "default",
    device: str = "cpu",
    jobs: int = 1,
    follow_links: bool = False,
    max_pixels: int | None = None,
    progress: bool | None = None,
) -> Outcome:
    """Select objects in the images of a folder, and write what was selected.

    What is done is kept in the output folder: after Ctrl-C, a crash or a kill the same call goes on with the rest. An
    image whose file, prompts or outputs have changed is done again; with another model, device or other options all
    are. An image that fails does not stop the others.

    Args:
        folder: With the images; those in folders of it count too.
        output: The folder to write into: a new or empty one, or one of an earlier run.
        prompts: The path of a CSV or COCO JSON file (docs/batch.md); or for each image, by its name within the folder
            with ``/`` between folders, a list of `pyiseg.Box`, `Click`, `LocalClick` and `Scribble`, or such lists by
            the names of objects.
        options: What is written; None for cut-outs as PNG.
        model, device: As for `pyiseg.Session`.
        jobs: How many images are worked on at a time. With the bundled model outputs are the same bits for any number;
            networks that an earlier version has exported may differ by 1/255 in a few pixels.
        follow_links: Whether images that are links to files outside of the folder are used. A list from a stranger may
            name them.
        max_pixels: As for `pyiseg.Session`: an image of more fails, before it is decoded.
        progress: As for `pyiseg.batch.jobs.run`; by default a bar on a terminal and a line every few seconds elsewhere.

    Returns:
        What came of each image. Images that the list names and that are not there are among the failed ones.

    Raises:
        pyiseg.batch.prompt_list.WrongPromptsError: Entries of the list are wrong; all of them are named, and nothing
            was done.
        ValueError: Another value is wrong, or the output folder holds files that no such run has written.
        OSError: The folder or the list cannot be read.
        pyiseg.ModelError, pyiseg.DeviceError: As for `pyiseg.Session`.
        pyiseg.batch.output_folder.OutputError: The output folder cannot be written to any more.

    Example:
        >>> outcome = run_folder("photos", "cut", {"otter.jpg": [pyiseg.Box(50, 150, 1430, 780)]}, jobs=2)
        >>> outcome.failed
        []
    """
    run = _Run(folder, output, prompts, options or OutputOptions(), model, device, jobs, follow_links, max_pixels)
    return run.go(progress)


class _Run:
    """One call of `run_folder`; everything that can be refused is, before anything is written."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        output: str | os.PathLike[str],
        prompts: str | os.PathLike[str] | Mapping[str, Prompts] | PromptList,
        options: OutputOptions,
        model: str | os.PathLike[str] | Model,
        device: str,
        count: int,
        follow_links: bool,
        max_pixels: int | None,
    ) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"jobs is {count!r}; it must be a whole number of at least 1")
        check_num_threads()
        pil_images.check_max_pixels(max_pixels)
        self.folder, self.options, self.count, self.max_pixels = existing_folder(folder), options, count, max_pixels
        self.list = read_prompts(prompts)
        names = allot({image.image: [thing.name for thing in image.objects] for image in self.list.images})
        self.classes = {name: number for number, name in enumerate(self.list.categories)}
        in_files = self.classes if "yolo" in options.formats else {}
        self.items = [
            _Item(image, self.folder / image.image, names[image.image], in_files) for image in self.list.images
        ]
        if not follow_links:
            check_links(self.folder, self.list)
        self.output_path = local_path(output)
        if os.path.realpath(self.output_path) == os.path.realpath(self.folder):
            raise ValueError(f"'{output}' is the folder of the images; name another one to write into")
        check_outputs(self.folder, self.output_path, self.list)
        planned = {item.prompts.image: files_of(options, item.names) for item in self.items}
        self.output = OutputFolder(self.output_path, planned, together_of(options))
        self.device = backend.resolve(device)
        loaded = load_model(model)
        # With jobs a model of its own: networks are opened once a model, and sessions elsewhere keep all threads.
        self.model = loaded if count == 1 else dataclasses.replace(loaded)
        self.stop = threading.Event()
        self._opening, self._opened = threading.Lock(), False
        self._fresh = set[str]()

    def go(self, progress: bool | None) -> Outcome:
        unprompted, unlistable = without_prompts(
            self.folder, self.output_path, {item.prompts.image for item in self.items}
        )
        with self.output:
            outcome = self._all(progress)
            made = outcome.results
            write_together(self.options, made, self.classes, self.list.ids, self.output)
            if outcome.failed:
                self.output.write(FAILURES, _failures(outcome.failed))
            else:
                self.output.remove(FAILURES)
            # Of those that failed nothing: an image that is not there may be so because a drive is not.
            self.output.clear_stale(made)
        return Outcome(
            done=[name for name in made if name in self._fresh],
            kept=[name for name in made if name not in self._fresh],
            failed=outcome.failed,
            without_prompts=unprompted,
            empty=[(image, name) for image, found in made.items() for name in found["empty"]],
            notes=list(self.list.notes),
            unlistable=unlistable,
        )

    def _all(self, progress: bool | None) -> jobs.Outcome[dict[str, Any]]:
        try:
            return jobs.run(
                self.items,
                self._one,
                name=lambda item: item.prompts.image,
                jobs=self.count,
                journal=self.output.journal,
                fingerprint={
                    "model": {"files": self.model.sha256, "serving": self.model.serving},
                    "device": self.device,
                    "output option": self.options.as_json(),
                    "version of a package": {"pyiseg": pyiseg.__version__, "onnxruntime": version("onnxruntime")},
                },
                item_fingerprint=lambda item: item.fingerprint,
                usable=lambda item, made: is_made(made) and self.output.holds(made["files"]),
                stop=self.stop,
                progress=progress,
                label="batch",
                unit="image",
            )
        except OSError as error:
            # Those of an image are its failure: this is the journal's.
            raise self.output.error(error, self.output.journal) from error

    def _one(self, item: _Item) -> dict[str, Any]:
        """Do an image."""
        self._open()
        # Made with other prompts or options; after a kill they must not be taken for what this makes.
        self.output.clear(item.prompts.image)
        try:
            image = Image(item.file, model=self.model, device=self.device, max_pixels=self.max_pixels)
            to = ImageFiles(self.options, item.names, item.prompts.image, self.output, item.file, item.classes)
            made = write_image(to, image, self._selected(image, item.prompts.objects))
        except OutputError:
            raise
        except (pil_images.NotAnImageError, pil_images.TooLargeError) as error:
            # Without what a program could do with an image that is not in a folder.
            raise ValueError(error.message) from error
        except pyiseg.PyisegError as error:
            # The model and the device work, see _open: it is this image that they cannot do.
            raise ValueError(str(error)) from error
        self._fresh.add(item.prompts.image)
        return made.as_json()

    def _selected(self, image: Image, objects: Sequence[ObjectPrompts]) -> Iterator[Selected]:
        for thing in objects:
            with Session(image) as session:
                for prompt, where in thing.prompts:
                    if self.stop.is_set():
                        raise ValueError("the run was stopped")
                    try:
                        session.add(prompt)
                    except ValueError as error:
                        raise ValueError(f"{where}: {error}") from None
                alpha = refine(session.alpha, self.options)
            yield Selected(thing.name, thing.category, alpha)

    def _open(self) -> None:
        """Open the model before the first image, so that one that cannot be run ends the run and fails no image.

        Raises:
            pyiseg.ModelError, pyiseg.DeviceError: It cannot be run.
        """
        with self._opening:
            if not self._opened and self.device == "cpu":
                from pyiseg.runtime.ort import networks_of

                # A job's own thread computes too; the others are shared by all jobs.
                networks_of(self.model, max(1, _core.get_num_threads() - self.count + 1) if self.count > 1 else None)
            self._opened = True


def _failures(failed: Sequence[Failure]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("image", "reason"))
    for failure in failed:
        # Lists may come from strangers, and spreadsheets take what begins so for a formula.
        formula = failure.name.startswith(("=", "+", "-", "@"))
        table.writerow((f"./{failure.name}" if formula else failure.name, failure.error))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _plain(prompt: Prompt) -> list[Any]:
    """Return a prompt as JSON can hold it."""
    return [type(prompt).__name__, *prompt] if isinstance(prompt, tuple) else [repr(prompt)]
