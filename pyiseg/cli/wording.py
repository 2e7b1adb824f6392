"""Errors of the library in words of the command line: it speaks to programs, of arguments rather than of options."""

from __future__ import annotations

import re

_WORDS = {
    r"\bdevice='([a-z]+)'": r"--device \1",
    r"\bpass model= that one, or replay=True to [^:;]*": "name that one with --model",
    r"\bpass model= the path of a model folder": "name a model folder with --model",
    r"\bpass what Session\.save wrote": "pass what --save-session wrote",
    r"\bmax_pixels \(--max-megapixels on the command line\)": "--max-megapixels",
    r"\bscale them to 0\.\.255 and convert\('L'\) first": "scale them to 0..255 and save it as 8-bit gray first",
    r"\bScale them to 8 bits yourself, with values = .*": "Scale them to 8 bits, and save it as an 8-bit image first",
    # What only a program could do.
    r", or open it yourself and pass it as an array or a PIL image": "",
    r", or the image itself as an array or a PIL image": "",
    r", or pass it as an array": "",
    r"; decode what it holds: PIL\.Image\.open\(io\.BytesIO\(.*?\)\)\)": "; decode it, and pass the path of the file",
}
_ANY = [(re.compile(pattern), words) for pattern, words in _WORDS.items()]


def for_command_line(text: str) -> str:
    """Return an error with the way out as who types a command can take it.

    Args:
        text: In one line, as an error of the library says it.
    """
    for pattern, words in _ANY:
        text = pattern.sub(words, text)
    return text
