"""
Every error that this package raises on purpose.

    DeepfakeAudioError          exit code 2
    ├── AudioError              3   a recording cannot be read or scored; in a batch it becomes a ``Skipped``
    ├── ModelFileError          2   a model file is missing, damaged, hostile or of another format
    ├── DataError               2   a data set does not fit its layout, or cannot be trained on or evaluated with
    ├── TrainingError           2   training did not give a usable model
    ├── MetricError             2   a metric is not defined for this input
    ├── OutputError             2   a result cannot be written where it was asked for
    └── MissingExtraError       2   an optional dependency is not installed

Each error knows the exit code that the command line ends with when nothing catches it earlier.
A message is one line: which file, what is wrong, what to do.
"""

from __future__ import annotations

import unicodedata


class DeepfakeAudioError(Exception):
    """The base of all errors of this package."""

    exit_code = 2


class AudioError(DeepfakeAudioError):
    """
    A recording that cannot be read or scored.

    Attributes:
        reason: A stable word for scripts, one of ``AUDIO_REASONS``.
    """

    exit_code = 3

    def __init__(self, reason: str, message: str) -> None:
        if reason not in AUDIO_REASONS:
            raise ValueError(f"unknown reason {reason!r}")
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[AudioError], tuple[str, str]]:
        """Carry the reason along when a worker process sends the error back."""
        return type(self), (self.reason, str(self))


AUDIO_REASONS = {
    "missing": "there is no such file",
    "unreadable": "the operating system does not let it be read",
    "not_a_file": "a device or socket",
    "empty": "the file has no bytes",
    "not_audio": "no format that can be decoded",
    "needs_media_extra": "a format that needs the extra `media`",
    "damaged": "the decoder gave up in the middle",
    "truncated": "the file ends before its header says",
    "no_samples": "a valid file without a single sample",
    "not_finite": "NaN, infinite or absurdly large samples",
    "bad_sample_rate": "a sample rate outside 4 to 384 kHz",
    "too_many_channels": "more than 32 channels",
}


class ModelFileError(DeepfakeAudioError):
    """A model file that is missing, damaged, hostile or of another format."""


class DataError(DeepfakeAudioError):
    """A data set that does not fit its layout, or that cannot be trained on or evaluated with."""


class TrainingError(DeepfakeAudioError):
    """A training run that did not give a usable model."""


class MetricError(DeepfakeAudioError):
    """A metric that is not defined for this input."""


class OutputError(DeepfakeAudioError):
    """A result that cannot be written where it was asked for."""


class MissingExtraError(DeepfakeAudioError):
    """An optional dependency that is not installed."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the extra `{extra}`: pip install 'deepfake-audio[{extra}]'")
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Rebuild from what the constructor took when a worker process sends the error back."""
        return type(self), (self.extra, self.purpose)


def printable(text: str) -> str:
    r"""
    Return a text as one line that can be written anywhere: undecodable bytes and control characters are escaped.

    Examples:
        >>> printable("two\nlines")
        'two\\nlines'
    """
    decodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if _is_harmless(c) else c.encode("unicode_escape").decode() for c in decodable)


def _is_harmless(character: str) -> bool:
    """Return whether a character only prints; wide, narrow and joining spaces do, which names have."""
    return character.isprintable() or character == "\u200d" or unicodedata.category(character) == "Zs"
