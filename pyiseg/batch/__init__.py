"""Work on many items: side by side, and continued where it was interrupted.

Example:
    >>> from pyiseg.batch.folder import run_folder
    >>> outcome = run_folder("photos", "cut", "prompts.csv", jobs=2)  # as `pyiseg batch` does
"""
