"""The errors that are pyiseg's own.

A bad value (an image of the wrong dtype, a click outside the image) raises the built-in ``ValueError``, an image that
is not there the built-in ``FileNotFoundError``. The classes here are for what only pyiseg knows about.
"""


class PyisegError(Exception):
    """Base of the errors that are pyiseg's own."""


class ModelError(PyisegError):
    """A model folder is missing, incomplete, damaged, or not one this version can run."""


class DeviceError(PyisegError):
    """A device that pyiseg knows by name cannot be used here."""


class SettingError(PyisegError, ValueError):
    """An environment variable of pyiseg has a value that it cannot have."""
