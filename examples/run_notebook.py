"""Execute notebook.ipynb in a folder of its own; an error in a cell is this program's error.

    python examples/run_notebook.py [EXECUTED.ipynb]    # needs nbclient and ipykernel

The notebook itself stays as it is, without outputs; what is no notebook is not written over.
"""

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient


def main():
    if sys.argv[1:] and not sys.argv[1].endswith(".ipynb"):
        raise SystemExit(f"{sys.argv[1]} is where the notebook would be written; pass a name that ends with .ipynb")
    notebook = nbformat.read(Path(__file__).with_name("notebook.ipynb"), as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": folder}}).execute()
    images = sum("image/png" in out.get("data", ()) for cell in notebook.cells for out in cell.get("outputs", ()))
    assert images == 5, f"{images} images were shown, and there are 5"
    if sys.argv[1:]:
        nbformat.write(notebook, sys.argv[1])
    print(f"notebook: {len(notebook.cells)} cells, {images} images")


if __name__ == "__main__":
    main()
