"""
From a file to a stream of signal: decoded, mixed to mono, resampled.

Every step is a generator, so memory does not grow with the length of the file.

Conventions: ``signal`` is float32, mono, shape (n_samples,), full scale at +-1; ``sample_rate`` is in Hz.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from deepfake_audio.errors import AudioError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import FileIO

FloatArray = npt.NDArray[np.float32]

STDIN = "-"
MIN_SAMPLE_RATE = 4_000
MAX_SAMPLE_RATE = 384_000
MAX_CHANNELS = 32

# Decoded values per block, over all channels: 1 MiB of float32 whatever the channel count.
_BLOCK_VALUES = 1 << 18
# A file may be this much shorter than its header says: encoders round to their own frame length.
_TRUNCATION_TOLERANCE_SECONDS = 0.15
# Full scale is 1, or 2^31 where integers were stored as they are; sums of much larger samples would overflow.
_LARGEST_SAMPLE = 1e10
# Channels of which less power than this is left in their mean cancel out; of two unrelated ones a half is left.
_CANCELLED = 0.01


@dataclass
class Recording:
    """
    An opened recording: its facts, and its signal as a stream.

    ``frames_read`` is complete once ``blocks`` has been read to its end.
    """

    name: str
    sample_rate: int
    channels: int
    sha256: str
    frames_read: int = 0
    _decoded: Iterator[FloatArray] = field(repr=False, default_factory=lambda: iter(()))

    @property
    def duration_seconds(self) -> float:
        """The length of what has been decoded so far."""
        return self.frames_read / self.sample_rate

    def blocks(self, sample_rate: int) -> Iterator[FloatArray]:
        """
        Yield the recording as mono blocks at ``sample_rate``.

        Raises:
            AudioError: If the decoder fails, samples are not finite, or there are none.
        """
        return resample(self._mono(), self.sample_rate, sample_rate)

    def _mono(self) -> Iterator[FloatArray]:
        for block in self._decoded:
            self.frames_read += len(block)
            if not np.abs(block).max(initial=0.0) <= _LARGEST_SAMPLE:  # NaN is not, either
                raise AudioError(
                    "not_finite", f"{self.name}: holds NaN, infinite or absurdly large samples; export it again"
                )
            # In short pieces, since the channels may cancel in a part of the recording only.
            n_pieces = -(-len(block) // (self.sample_rate // 4)) if block.shape[1] > 1 else 1
            for piece in np.array_split(block, n_pieces):
                yield _mixed(piece) if block.shape[1] > 1 else piece[:, 0]
        if self.frames_read == 0:
            raise AudioError("no_samples", f"{self.name}: a valid audio file without a single sample")


def _mixed(block: FloatArray) -> FloatArray:
    """Average the channels; where they cancel out, as when one is turned upside down, take the loudest alone."""
    mono: FloatArray = block.mean(axis=1, dtype=np.float32)
    powers = np.square(block).mean(axis=0)
    loudest = int(powers.argmax())
    if np.square(mono).mean() < _CANCELLED * powers[loudest]:
        return np.ascontiguousarray(block[:, loudest])
    return mono


@contextlib.contextmanager
def open_recording(path: str | os.PathLike[str]) -> Iterator[Recording]:
    """
    Open a recording for reading once, as a stream.

    Args:
        path: A file, a named pipe, or ``-`` for standard input.

    Raises:
        AudioError: If it is missing, empty, no audio, damaged, or outside the limits of this module.
    """
    name = display_name(path)
    with _open_file(path, name) as file:
        if os.fstat(file.fileno()).st_size == 0:
            raise AudioError("empty", f"{name}: the file is empty (0 bytes)")
        sha256 = _sha256(file, name)
        file.seek(0)
        magic = file.read(16)
        file.seek(0)
        with _with_data_length(file, name) as readable:
            try:
                source = soundfile.SoundFile(readable.fileno(), closefd=False)
            except soundfile.LibsndfileError as error:
                with _open_media(file, name, magic, error) as (decoded, sample_rate, channels):
                    yield _recording(name, sample_rate, channels, sha256, decoded)
                return
            with source:
                yield _recording(name, source.samplerate, source.channels, sha256, _read_soundfile(source, name))


def recording_of(signal: npt.ArrayLike, sample_rate: int, name: str = "signal") -> Recording:
    """
    Return a recording of what is in memory already, for ``Detector.score_recording``.

    Args:
        signal: Full scale at +-1, shape (n_samples,) or (n_samples, channels).
        sample_rate: In Hz.
        name: What messages and results call it.

    Returns:
        A recording whose ``sha256`` is that of the samples as float32.

    Raises:
        AudioError: If rate or channels are outside the limits of this module.
        ValueError: If the shape is another.
    """
    samples = np.array(signal, dtype=np.float32, order="C")
    frames = samples[:, None] if samples.ndim == 1 else samples
    if frames.ndim != 2 or frames.shape[1] == 0:  # noqa: PLR2004 - time and channels
        raise ValueError(f"a signal has the shape (n_samples,) or (n_samples, channels), not {samples.shape}")
    step = _frames_per_block(frames.shape[1])
    blocks = (frames[at : at + step] for at in range(0, len(frames), step))
    return _recording(name, sample_rate, frames.shape[1], hashlib.sha256(samples.data).hexdigest(), blocks)


def display_name(path: str | os.PathLike[str]) -> str:
    """Return a path as it can be printed anywhere: undecodable bytes and line breaks escaped."""
    return "<stdin>" if os.fspath(path) == STDIN else printable(os.fspath(path))


def _recording(name: str, sample_rate: int, channels: int, sha256: str, decoded: Iterator[FloatArray]) -> Recording:
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise AudioError(
            "bad_sample_rate", f"{name}: has a sample rate of {sample_rate} Hz; 4 to 384 kHz can be scored"
        )
    if channels > MAX_CHANNELS:
        raise AudioError("too_many_channels", f"{name}: has {channels} channels; at most {MAX_CHANNELS} are read")
    return Recording(name, sample_rate, channels, sha256, _decoded=decoded)


@contextlib.contextmanager
def _open_file(path: str | os.PathLike[str], name: str) -> Iterator[FileIO]:
    """Open for random access; what cannot seek (standard input, a pipe) is first copied to a temporary file."""
    if os.fspath(path) == STDIN:
        stdin = getattr(sys.stdin, "buffer", None)
        if stdin is None:
            raise AudioError("unreadable", f"{name}: standard input is closed")
        with _spooled(stdin, name) as file:
            yield file
        return
    try:
        mode = Path(path).stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            what = "a directory that cannot be searched" if stat.S_ISDIR(mode) else "not a regular file"
            raise AudioError("not_a_file", f"{name}: is {what}")
        # Without a buffer, so that the position of the descriptor, which libsndfile reads from, is the position here.
        opened = Path(path).open("rb", buffering=0)  # noqa: SIM115 - closed by the `with` below
    except (FileNotFoundError, NotADirectoryError):
        raise AudioError("missing", f"{name}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise AudioError("unreadable", f"{name}: cannot be opened ({_why(error)})") from error
    with opened:
        if stat.S_ISREG(mode):
            yield opened
        else:
            with _spooled(opened, name) as file:
                yield file


@contextlib.contextmanager
def _spooled(stream: BinaryIO | FileIO, name: str) -> Iterator[FileIO]:
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(buffering=0, prefix="deepfake-audio-"))
            while chunk := stream.read(1 << 20):
                file.write(chunk)
            file.seek(0)
        except OSError as error:
            raise AudioError("unreadable", f"{name}: cannot be copied to a temporary file ({_why(error)})") from error
        yield file


def _sha256(file: FileIO, name: str) -> str:
    try:
        return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise AudioError("unreadable", f"{name}: cannot be read ({_why(error)})") from error


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


@contextlib.contextmanager
def _with_data_length(file: FileIO, name: str) -> Iterator[FileIO]:
    """
    Yield the file, or a mended copy of a WAV whose writer never came to fill in how much data there is.

    A recorder that was killed or that wrote into a pipe leaves a 0 there, and libsndfile would find no samples.
    """
    at = _unset_data_length(file)
    file.seek(0)
    if at is None:
        yield file
        return
    with _spooled(file, name) as copy:
        copy.seek(at)
        copy.write(b"\xff\xff\xff\xff")
        copy.seek(0)
        yield copy


def _unset_data_length(file: FileIO) -> int | None:
    """Return where a WAV says that it has 0 bytes of data though data follow; None for all other files."""
    riff, size, form = file.read(4), file.read(4), file.read(4)
    if (riff, form) != (b"RIFF", b"WAVE"):
        return None
    file_size = os.fstat(file.fileno()).st_size
    for _ in range(_MAX_CHUNKS):
        kind, chunk_size = file.read(4), int.from_bytes(file.read(4), "little")
        if kind == b"data":
            # An empty recording with metadata behind the data has no data either, but its RIFF size is right.
            is_complete = abs(int.from_bytes(size, "little") + 8 - file_size) <= 1
            return None if chunk_size or is_complete or file.tell() == file_size else file.tell() - 4
        file.seek(chunk_size + chunk_size % 2, os.SEEK_CUR)
    return None


_MAX_CHUNKS = 100


def _read_soundfile(source: soundfile.SoundFile, name: str) -> Iterator[FloatArray]:
    _refuse_lying_header(source, name)
    frames_per_block = _frames_per_block(source.channels)
    read = 0
    while True:
        try:
            block: FloatArray = source.read(frames_per_block, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            reason = "truncated" if "lost sync" in str(error) else "damaged"
            raise AudioError(
                reason,
                f"{name}: the {source.format} data is damaged or cut off ({error.error_string.strip()})",
            ) from error
        if len(block) == 0:
            break
        read += len(block)
        yield block
    missing = (source.frames - read) / source.samplerate
    if missing > _TRUNCATION_TOLERANCE_SECONDS:
        promised = source.frames / source.samplerate
        raise _truncated(name, f"promises {promised:.1f} s", f"{read / source.samplerate:.1f} s")


def _frames_per_block(channels: int) -> int:
    return max(1, _BLOCK_VALUES // channels)


def _truncated(name: str, promise: str, found: str) -> AudioError:
    return AudioError("truncated", f"{name}: is cut off: its header {promise}, the file holds {found}; copy it again")


def _refuse_lying_header(source: soundfile.SoundFile, name: str) -> None:
    """
    Raise if a chunk claims more bytes than the file has.

    libsndfile mends such headers silently, but notes each in its log as ``data : 128000 (should be 63978)``.
    Streaming writers, which cannot know the length beforehand, put 0 or the largest number: those are accepted.
    """
    for line in source.extra_info.splitlines():
        claim, found_it, actual = line.partition("(should be ")
        kind, _, claimed_text = claim.rpartition(":")
        if not found_it or kind.split(":")[0].strip().lower() not in {"data", "ssnd", "data size"}:
            continue
        claimed, held = _number(claimed_text), _number(actual.rstrip(") "))
        tolerance = _TRUNCATION_TOLERANCE_SECONDS * source.samplerate * held / max(1, source.frames)
        is_placeholder = any(limit - _HEADER_BYTES <= claimed <= limit + 1 for limit in (0x7FFFFFFF, 0xFFFFFFFF))
        if not is_placeholder and claimed - held > tolerance:
            raise _truncated(name, f"promises {claimed:,} bytes of audio", f"{held:,}")


# Some writers subtract their headers from the largest number, SoX as much as this.
_HEADER_BYTES = 0x1000


def _number(text: str) -> int:
    digits = text.strip().split(" ")[0]
    return int(digits, 0) if digits.isdigit() or digits.startswith("0x") else 0


# The first bytes of containers that libsndfile does not read and FFmpeg does.
_MEDIA_MAGIC: tuple[tuple[int, bytes], ...] = (
    (4, b"ftyp"),  # mp4, m4a, mov, 3gp
    (0, b"\x1aE\xdf\xa3"),  # webm, mkv
    (0, b"\xff\xf1"),  # AAC in ADTS
    (0, b"\xff\xf9"),
    (0, b"#!AMR"),
    (0, b"0&\xb2u\x8ef\xcf\x11"),  # asf, wma, wmv
    (0, b"FLV\x01"),
    (8, b"AVI "),
    (0, b"OggS"),  # speex and other codecs in ogg
    (0, b"\x00\x00\x01\xba"),  # MPEG program stream
    (0, b"G@"),  # MPEG transport stream
)
# libsndfile's SF_ERR_MALFORMED_FILE: a format that it reads, but not like this.
_MALFORMED = 3


@contextlib.contextmanager
def _open_media(
    file: FileIO, name: str, magic: bytes, refusal: soundfile.LibsndfileError
) -> Iterator[tuple[Iterator[FloatArray], int, int]]:
    if not any(magic[at : at + len(mark)] == mark for at, mark in _MEDIA_MAGIC):
        why = refusal.error_string.strip()
        if refusal.code == _MALFORMED:
            raise AudioError("damaged", f"{name}: is damaged or cut off ({why})")
        known = "wav, flac, ogg, opus, mp3, aiff and, with the extra `media`, m4a, webm, mp4"
        raise AudioError("not_audio", f"{name}: is not audio that can be read ({why}); {known} are")
    try:
        import av
    except ImportError:
        raise AudioError(
            "needs_media_extra",
            f"{name}: this format needs the extra `media`: pip install 'deepfake-audio[media]'",
        ) from None
    file.seek(0)
    try:
        with av.open(file, mode="r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise AudioError("not_audio", f"{name}: has no audio track")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise AudioError("not_audio", f"{name}: FFmpeg has no decoder for its audio track")
            yield _read_media(container, stream, name), stream.rate, stream.channels
    except av.FFmpegError as error:
        raise AudioError("damaged", f"{name}: cannot be decoded ({error.strerror})") from error


def _read_media(container: Any, stream: Any, name: str) -> Iterator[FloatArray]:
    import av

    layout, rate, channels = stream.layout, stream.rate, stream.channels
    try:
        # Broadcasts change their format midway, and a converter keeps to one.
        for _, frames in itertools.groupby(container.decode(stream), key=_frame_format):
            converter = av.AudioResampler(format="flt", layout=layout, rate=rate)
            for frame in itertools.chain(frames, [None]):
                for converted in converter.resample(frame):
                    yield converted.to_ndarray().reshape(-1, channels)
    except (av.FFmpegError, IndexError, ValueError) as error:  # PyAV raises the latter two on some damaged files
        raise AudioError("damaged", f"{name}: is damaged or cut off ({_why(error)})") from error


def _frame_format(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def resample(blocks: Iterable[FloatArray], rate_in: int, rate_out: int) -> Iterator[FloatArray]:
    """
    Resample a stream of mono blocks; the same as resampling the whole at once.

    soxr in its high quality; nothing is done where the two rates are equal.
    """
    if rate_in == rate_out:
        yield from blocks
        return
    stream = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality="HQ")
    for block in blocks:
        out: FloatArray = stream.resample_chunk(np.ascontiguousarray(block))
        if len(out):
            yield out
    tail: FloatArray = stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)
    if len(tail):
        yield tail
