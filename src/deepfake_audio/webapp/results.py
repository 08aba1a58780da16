"""
From what was uploaded to what the page shows; nothing here knows Streamlit, or keeps anything.

Results are about the content of a recording. Its name is carried along to be shown, and nothing else is done with it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.audio import Recording, display_name, open_recording
from deepfake_audio.calibration import llr_at
from deepfake_audio.detector import Detection, Detector, Skipped
from deepfake_audio.errors import AudioError, printable
from deepfake_audio.localisation import HOP_SECONDS, Region
from deepfake_audio.modelfile import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from deepfake_audio.analysis import Analysis, NotAnalysed
    from deepfake_audio.explanation import Explanation

FloatArray = npt.NDArray[np.float32]

EXAMPLE = Path(__file__).with_name("example.flac")
# An upload of 50 MB can hold a day; a page that works on one for minutes helps nobody.
MAX_HOURS = 2.0
# Of what is longer, the waveform and the spectrogram are not drawn.
PICTURE_SECONDS = 600.0
PICTURE_RATE = 16_000


@dataclass(frozen=True)
class Upload:
    """What came from a visitor: a name to show, and the bytes."""

    name: str
    content: bytes = dataclasses.field(repr=False)

    @cached_property
    def sha256(self) -> str:
        """The hash of the content, by which results are kept."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def shown_name(self) -> str:
        """The name as one line without control characters; the middle of a long one is left out."""
        name = printable(self.name)
        return name if len(name) <= _MOST_SHOWN else f"{name[: _MOST_SHOWN - 20]}…{name[-19:]}"


_MOST_SHOWN = 80
NOTHING: FloatArray = np.empty(0, dtype=np.float32)


def example() -> Upload:
    """Return the recording that ships with the page."""
    return Upload("example.flac", EXAMPLE.read_bytes())


# --- the verdict -----------------------------------------------------------------------------------------------


def shipped(name: str, *, locating: bool = False) -> Detector:
    """
    Return a shipped model.

    Args:
        name: Which one.
        locating: Whether it is for ``regions``.

    Raises:
        ValueError: If the name is another; it comes from a browser, and must not open files.
    """
    if name not in SHIPPED:
        raise ValueError(f"{name!r} is no shipped model")
    return Detector.load(name, hop_seconds=HOP_SECONDS if locating else None)


def score(upload: Upload, detector: Detector) -> Detection | Skipped:
    """
    Score an upload; what cannot be read, or lasts longer than ``MAX_HOURS`` (``too_long``), comes back as ``Skipped``.

    Args:
        upload: The recording.
        detector: What to score with; it is not changed, so that sessions can share it.
    """
    try:
        with _opened(upload) as recording:
            detection = detector.score_recording(_NotTooLong.of(recording))
    except AudioError as error:
        return Skipped(upload.name, error.reason, str(error), detector.model)
    except _TooLongError as error:
        return Skipped(upload.name, "too_long", f"{upload.shown_name}: {error}", detector.model)
    return dataclasses.replace(detection, path=upload.name)


def regions(upload: Upload, locator: Detector) -> tuple[Region, ...]:
    """
    Return where an upload looks synthetic; this takes several times as long as its score.

    Args:
        upload: The recording.
        locator: A model that was loaded for this.
    """
    with _opened(upload) as recording:
        return locator.score_recording(recording).regions or ()


def named(result: Detection | Skipped, upload: Upload) -> Detection | Skipped:
    """Return a result under the name of another upload with the same content."""
    return dataclasses.replace(result, path=upload.name)


def message_of(result: Skipped) -> str:
    """Return what is wrong with a recording as one sentence, without its name."""
    name = Upload(result.path, b"").shown_name
    text: str = result.message.removeprefix(f"{name}: ")
    verb = text.split(" ", maxsplit=1)[0]
    text = f"It {text}" if verb in {"is", "has", "holds", "lasts", "cannot"} else text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def decided(detection: Detection, threshold: float, margin: float) -> Detection:
    """
    Return a detection with the verdict that another threshold gives, without scoring anew.

    Args:
        detection: As the detector gave it.
        threshold: The log-likelihood ratio below which it is a deepfake.
        margin: Verdicts so close to the threshold are inconclusive.
    """
    llr = detection.llr_genuine
    if llr is None:
        return detection
    holding = {*detection.reasons} - {"too_close"} | ({"too_close"} if abs(llr - threshold) < margin else set())
    reasons = tuple(reason for reason in ("too_short", "too_close", "out_of_domain") if reason in holding)
    if reasons:
        return dataclasses.replace(detection, verdict="inconclusive", reasons=reasons)
    return dataclasses.replace(detection, verdict="deepfake" if llr < threshold else "genuine", reasons=())


def thresholds(detector: Detector) -> dict[str, float]:
    """Return the log-likelihood ratios that a model can decide at, by name; its own comes first, as ``own``."""
    metadata = detector.metadata
    stored = {name: llr for name, llr in metadata.operating_points.items() if llr != metadata.threshold}
    return {"own": metadata.threshold, **stored}


def threshold_at(percent: int) -> float:
    """Return the log-likelihood ratio at which the probability of a deepfake is so many percent, from 1 to 99."""
    return llr_at(min(99, max(1, percent)) / 100)


class _TooLongError(Exception):
    pass


class _NotTooLong(Recording):
    """A recording that refuses to be read beyond what the page takes."""

    @classmethod
    def of(cls, recording: Recording) -> _NotTooLong:
        return cls(**{field.name: getattr(recording, field.name) for field in dataclasses.fields(recording)})

    def blocks(self, sample_rate: int) -> Iterator[FloatArray]:
        for block in super().blocks(sample_rate):
            if self.duration_seconds > MAX_HOURS * 3600:
                raise _TooLongError(
                    f"lasts longer than {MAX_HOURS:g} hours; cut it, or use `deepfake-audio predict`, which takes all"
                )
            yield block


# --- what there is to see --------------------------------------------------------------------------------------


def analysis(upload: Upload) -> Analysis | NotAnalysed:
    """Return the voice analysis of an upload, under its own name."""
    from deepfake_audio.analysis import NotAnalysed, analyse_recording

    try:
        with _opened(upload) as recording:
            return dataclasses.replace(analyse_recording(recording), path=upload.name)
    except AudioError as error:
        return NotAnalysed(upload.name, error.reason, str(error))


def explanation(
    upload: Upload,
    detector: Detector,
    detection: Detection,
    threshold: float,
    progress: Callable[[int, int], object] | None = None,
) -> Explanation | None:
    """
    Return what moved the score, in the stretch that speaks most for the verdict; None where there is too little speech.

    Args:
        upload: The recording.
        detector: What scored it.
        detection: What that found.
        threshold: The log-likelihood ratio that decided.
        progress: Is told how many windows are done, and of how many.
    """
    from deepfake_audio.explanation import explain, most_telling

    start = most_telling(detection, threshold)
    with _opened(upload) as recording:
        return explain(detector, recording, start_seconds=start, progress=progress)


def stretch_start(found: Explanation, detection: Detection) -> float:
    """Return from where on, in seconds, to draw what an explanation is of; a short recording is drawn whole."""
    return float(found.starts[0]) if detection.duration_seconds > _WHOLE_SECONDS else 0.0


# What is no longer than this is drawn whole.
_WHOLE_SECONDS = 60.0


def signal_of(upload: Upload, start: float = 0.0, seconds: float = PICTURE_SECONDS) -> FloatArray:
    """
    Return a part of the signal at ``PICTURE_RATE``, shape (n_samples,).

    Args:
        upload: The recording.
        start: Where the part begins, in seconds.
        seconds: How long it is at most.

    Raises:
        AudioError: If it cannot be decoded.
    """
    first, last = round(start * PICTURE_RATE), round((start + seconds) * PICTURE_RATE)
    blocks, read = [NOTHING], 0
    with _opened(upload) as recording:
        for block in recording.blocks(PICTURE_RATE):
            blocks.append(block[max(0, first - read) : max(0, last - read)])
            read += len(block)
            if read >= last:
                break
    return np.concatenate(blocks)


def playable(upload: Upload) -> tuple[bytes | None, str]:
    """Return what a browser can play and its media type, which goes by the content; None where it has to be decoded."""
    for at, mark, media_type in _PLAYABLE:
        if upload.content[at : at + len(mark)] == mark:
            return upload.content, media_type
    return None, "audio/wav"


_PLAYABLE = (
    (8, b"WAVE", "audio/wav"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (4, b"ftyp", "audio/mp4"),
    (0, b"\x1aE\xdf\xa3", "audio/webm"),
)


# --- downloads -------------------------------------------------------------------------------------------------


def as_json(results: Iterable[Detection | Skipped]) -> str:
    """Return the records of all results as one JSON array."""
    return _written("json", results)


def as_csv(results: Iterable[Detection | Skipped]) -> str:
    """Return the records of all results as a table."""
    return _written("csv", results)


def _written(kind: str, results: Iterable[Detection | Skipped]) -> str:
    from deepfake_audio.reports.records import WRITERS

    stream = io.StringIO()
    WRITERS[kind](results, stream, segments=True)
    return stream.getvalue()


# --- files -----------------------------------------------------------------------------------------------------


@contextmanager
def _opened(upload: Upload) -> Iterator[Recording]:
    """
    Open an upload, through a file that only this user can open, under a name that says nothing.

    Raises:
        AudioError: As ``open_recording``, but with the upload's name where that would have the file's.
    """
    with tempfile.TemporaryDirectory(prefix="deepfake-audio-") as directory:  # made with mode 0700
        path = Path(directory) / "recording"
        path.write_bytes(upload.content)
        try:
            with open_recording(path) as recording:
                # What is open can be read without a name; but on Windows only at the end is it gone.
                with suppress(OSError):
                    path.unlink()
                yield recording
        except AudioError as error:
            what = str(error).removeprefix(f"{display_name(path)}: ")
            raise AudioError(error.reason, f"{upload.shown_name}: {what}") from error
