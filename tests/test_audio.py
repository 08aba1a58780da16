"""Decoding and resampling; all recordings are written here."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio import audio
from deepfake_audio.audio import display_name, open_recording, recording_of, resample
from deepfake_audio.errors import AUDIO_REASONS, AudioError

if TYPE_CHECKING:
    from collections.abc import Callable

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="such file names exist on Linux only")


def read(path: str | os.PathLike[str], sample_rate: int = RATE) -> FloatArray:
    """Return a whole recording."""
    with open_recording(path) as recording:
        return np.concatenate([silence(0), *recording.blocks(sample_rate)])


def wav(
    signal: FloatArray | None = None,
    *,
    rate: int = RATE,
    channels: int = 1,
    data_size: int | None = None,
    riff_size: int | None = None,
    tail: bytes = b"",
) -> bytes:
    """Return the bytes of a 16 bit WAV whose header may say whatever it likes."""
    data = b"" if signal is None else (32767 * signal).astype("<i2").tobytes()
    data_size = len(data) if data_size is None else data_size
    riff_size = 36 + len(data) + len(tail) if riff_size is None else riff_size
    layout = struct.pack("<HHIIHH", 1, channels, rate, (rate * 2 * channels) & 0xFFFFFFFF, 2 * channels & 0xFFFF, 16)
    header = b"RIFF" + struct.pack("<I", riff_size) + b"WAVEfmt " + struct.pack("<I", 16) + layout
    return header + b"data" + struct.pack("<I", data_size) + data + tail


def encoded(format_: str, subtype: str, signal: FloatArray, rate: int = RATE) -> bytes:
    """Return the bytes of a file that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, signal, rate, format=format_, subtype=subtype)
    return buffer.getvalue()


def snr_db(signal: FloatArray, reference: FloatArray) -> float:
    """Return how far below a signal its difference to another lies."""
    return float(10 * np.log10(np.mean(reference**2) / max(1e-20, np.mean((signal - reference) ** 2))))


# --- decoding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "subtype", "least_snr_db"),
    [
        pytest.param("WAV", "PCM_U8", 20, id="wav-8"),
        pytest.param("WAV", "PCM_16", 70, id="wav-16"),
        pytest.param("WAV", "PCM_24", 110, id="wav-24"),
        pytest.param("WAV", "PCM_32", 120, id="wav-32"),
        pytest.param("WAV", "FLOAT", 150, id="wav-float"),
        pytest.param("WAV", "DOUBLE", 150, id="wav-double"),
        pytest.param("WAV", "ULAW", 30, id="wav-mulaw"),
        pytest.param("WAV", "IMA_ADPCM", 15, id="wav-adpcm"),
        pytest.param("WAVEX", "PCM_16", 70, id="wavex"),
        pytest.param("RF64", "PCM_16", 70, id="rf64"),
        pytest.param("W64", "PCM_16", 70, id="w64"),
        pytest.param("FLAC", "PCM_16", 70, id="flac-16"),
        pytest.param("FLAC", "PCM_24", 110, id="flac-24"),
        pytest.param("OGG", "VORBIS", 8, id="vorbis"),
        pytest.param("OGG", "OPUS", 8, id="opus"),
        pytest.param("MP3", "MPEG_LAYER_III", 8, id="mp3"),
        pytest.param("AIFF", "PCM_16", 70, id="aiff"),
        pytest.param("AU", "PCM_16", 70, id="au"),
        pytest.param("CAF", "PCM_16", 70, id="caf"),
        pytest.param("CAF", "ALAC_16", 70, id="caf-alac"),
    ],
)
def test_formats(tmp_path: Path, format_: str, subtype: str, least_snr_db: float) -> None:
    """A recording decodes to the signal that was written, as exactly as its codec allows, whatever its name."""
    path = tmp_path / "recording.bin"
    path.write_bytes(encoded(format_, subtype, voice()))

    signal = read(path)

    assert signal.dtype == np.float32
    assert snr_db(signal[: len(voice())], voice()) > least_snr_db
    assert np.abs(signal[len(voice()) :]).max(initial=0) < 1e-2  # block codecs fill their last block


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 32])
def test_channels_are_averaged(tmp_path: Path, channels: int) -> None:
    """Any number of channels becomes their mean."""
    signals = np.stack([noise(seed=seed) for seed in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", signals, RATE, subtype="FLOAT")

    np.testing.assert_allclose(read(tmp_path / "a.wav"), signals.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 384_000])
def test_rates(tmp_path: Path, rate: int) -> None:
    """Any sample rate becomes the one that was asked for, with the pitch and the length kept."""
    soundfile.write(tmp_path / "a.wav", sine(1_000, 2.0, rate), rate, subtype="FLOAT")

    signal = read(tmp_path / "a.wav")

    assert len(signal) == pytest.approx(2 * RATE, abs=1)
    assert snr_db(signal[800:31_000], sine(1_000, 2.0)[800:31_000]) > 60


def test_facts(tmp_path: Path) -> None:
    """A recording knows its rate, channels, hash, and, once read, its length."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros((22_050, 2)), 44_100)

    with open_recording(path) as recording:
        assert recording.frames_read == 0
        list(recording.blocks(RATE))

    assert (recording.name, recording.sample_rate, recording.channels) == (str(path), 44_100, 2)
    assert recording.duration_seconds == 0.5
    assert recording.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_recording_in_memory(tmp_path: Path, channels: int) -> None:
    """A signal in memory gives the facts and blocks of the file that holds it; only the hash is of the samples."""
    frames = np.stack([noise(30.0, seed=channel) for channel in range(channels)], axis=1)
    frames = frames[:, 0] if channels == 1 else frames
    soundfile.write(tmp_path / "a.wav", frames, RATE, subtype="FLOAT")
    held = recording_of(frames, RATE, "take 1")

    assert (held.name, held.sample_rate, held.channels) == ("take 1", RATE, channels)
    assert held.sha256 == hashlib.sha256(frames.tobytes()).hexdigest()
    with open_recording(tmp_path / "a.wav") as recording:
        for block, expected in zip(held.blocks(8_000), recording.blocks(8_000), strict=True):
            np.testing.assert_array_equal(block, expected)
    assert held.duration_seconds == recording.duration_seconds == 30.0


def test_recording_in_memory_refuses() -> None:
    """What no file could hold is refused as in a file, and a shape that says nothing is an error of the caller."""
    with pytest.raises(AudioError, match="without a single sample"):
        list(recording_of([], RATE).blocks(RATE))
    with pytest.raises(AudioError, match="NaN"):
        list(recording_of([0.0, float("nan")], RATE).blocks(RATE))
    with pytest.raises(AudioError, match="sample rate of 10 Hz"):
        recording_of([0.0], 10)
    with pytest.raises(AudioError, match="33 channels"):
        recording_of(np.zeros((2, 33)), RATE)
    for shape in ((), (2, 0), (2, 2, 2)):
        with pytest.raises(ValueError, match="shape"):
            recording_of(np.zeros(shape), RATE)


def test_blocks_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording is decoded block by block, and blocks of another size give the same signal."""
    soundfile.write(tmp_path / "a.wav", np.stack([voice(), voice(seed=1)], axis=1), RATE)
    whole = read(tmp_path / "a.wav")

    monkeypatch.setattr(audio, "_BLOCK_VALUES", 2_000)
    with open_recording(tmp_path / "a.wav") as recording:
        blocks = list(recording.blocks(RATE))

    assert max(map(len, blocks)) == 1_000
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@given(
    rate=st.sampled_from([4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 192_000, 384_000]),
    cuts=st.lists(st.integers(0, 6_000), max_size=8),
)
@settings(deadline=None, max_examples=50)
def test_resampling_does_not_depend_on_blocks(rate: int, cuts: list[int]) -> None:
    """A stream in blocks of any size, also empty ones, equals soxr on the whole signal."""
    signal = noise(6_000 / RATE)

    stream = np.concatenate(list(resample(np.split(signal, sorted(cuts)), rate, RATE)))

    np.testing.assert_allclose(stream, soxr.resample(signal, rate, RATE, quality="HQ"), atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("n_samples", [1, 2, 100])
def test_very_short(tmp_path: Path, rate: int, n_samples: int) -> None:
    """A recording of a few samples is read as well."""
    soundfile.write(tmp_path / "a.wav", np.full(n_samples, 0.5, np.float32), rate)

    assert len(read(tmp_path / "a.wav")) == pytest.approx(n_samples * RATE / rate, abs=1)


def test_channels_that_cancel_out_are_still_heard(tmp_path: Path) -> None:
    """One channel turned upside down, or one microphone of 32, does not make a recording silent."""
    signal = voice(2.0)
    many = np.zeros((len(signal), 32), dtype=np.float32)
    many[:, 7] = signal
    for name, channels in (("stereo", np.stack([signal, -signal], axis=1)), ("many", many)):
        soundfile.write(tmp_path / f"{name}.wav", channels, RATE, subtype="FLOAT")
        with open_recording(tmp_path / f"{name}.wav") as recording:
            heard = np.concatenate(list(recording.blocks(RATE)))
        np.testing.assert_allclose(heard, signal, atol=1e-6)


# --- where it comes from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file_name", "printed"),
    [
        pytest.param("two words.wav", "two words.wav", id="space"),
        pytest.param("naïve 声.wav", "naïve 声.wav", id="unicode"),
        pytest.param("a\nb\x1b[31m.wav", "a\\nb\\x1b[31m.wav", id="control-characters", marks=only_linux),
        pytest.param(os.fsdecode(b"caf\xe9.wav"), "caf\\udce9.wav", id="undecodable", marks=only_linux),
        pytest.param("-", "-", id="dash"),
        pytest.param("%s{0}.mp3", "%s{0}.mp3", id="formats-and-wrong-suffix"),
    ],
)
def test_file_names(tmp_path: Path, file_name: str, printed: str) -> None:
    """A file of any name is read, and its name can be printed anywhere on one line."""
    (tmp_path / file_name).write_bytes(wav(voice()))

    with open_recording(tmp_path / file_name) as recording:
        assert len(np.concatenate(list(recording.blocks(RATE)))) == len(voice())

    assert recording.name == str(tmp_path / printed)
    recording.name.encode("utf-8")


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash is standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(encoded("FLAC", "PCM_16", voice()))))

    assert display_name("-") == "<stdin>"
    assert snr_db(read("-"), voice()) > 70


@pytest.mark.parametrize(
    ("stdin", "reason"),
    [
        pytest.param(io.TextIOWrapper(io.BytesIO()), "empty", id="empty"),
        pytest.param(None, "unreadable", id="closed"),
    ],
)
def test_standard_input_without_a_recording(
    monkeypatch: pytest.MonkeyPatch, stdin: io.TextIOWrapper | None, reason: str
) -> None:
    """Standard input may be empty or closed."""
    monkeypatch.setattr(sys, "stdin", stdin)

    with pytest.raises(AudioError, match=r"^<stdin>: ") as caught:
        read("-")

    assert caught.value.reason == reason


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_named_pipe(tmp_path: Path) -> None:
    """A named pipe is read to its end, like ``<(command)`` in a shell."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[wav(voice())])
    writer.start()

    signal = read(pipe)

    writer.join()
    assert len(signal) == len(voice())


class Broken(io.BytesIO):
    """A stream whose disk or network fails."""

    def read(self, *_: Any) -> NoReturn:
        """Fail."""
        raise OSError(errno.EIO, "Input/output error")


def test_stream_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that breaks off with an error is told apart from a bad recording."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Broken()))

    with pytest.raises(AudioError, match=r"<stdin>: cannot be copied .*\(Input/output error\)$") as caught:
        read("-")

    assert caught.value.reason == "unreadable"


def test_disk_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a file on a disk that fails."""
    (tmp_path / "a.wav").write_bytes(wav(voice()))
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: Broken().read())

    with pytest.raises(AudioError, match=r"a\.wav: cannot be read \(Input/output error\)") as caught:
        read(tmp_path / "a.wav")

    assert caught.value.reason == "unreadable"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be opened says so; root may open everything, hence the patch."""

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a.wav").write_bytes(wav(voice()))
    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(AudioError, match=r"a\.wav: cannot be opened \(Permission denied\)") as caught:
        read(tmp_path / "a.wav")

    assert caught.value.reason == "unreadable"


# --- what is refused -------------------------------------------------------------------------------------------


def make_loop(path: Path) -> None:
    """Make a link to itself."""
    path.symlink_to(path)


def halved(content: bytes) -> bytes:
    """Return the first half."""
    return content[: len(content) // 2]


def changed(content: bytes, at: int, by: bytes) -> bytes:
    """Return bytes with some of them overwritten."""
    return content[:at] + by + content[at + len(by) :]


def floats(*odd: float, channels: int = 1) -> bytes:
    """Return a WAV of floats among which are these."""
    samples = np.tile(voice()[:, np.newaxis], (1, channels))
    samples[1_000, : len(odd)] = odd
    return encoded("WAV", "FLOAT", samples)


M4A_HEADER = b"\0\0\0\x20ftypM4A " + bytes(100)
FLAC = encoded("FLAC", "PCM_16", voice())
MP3 = encoded("MP3", "MPEG_LAYER_III", voice())
TEXT = b"Dear Sir or Madam,\n" * 50

REFUSED: dict[str, tuple[str, str, bytes | Callable[[Path], object] | None]] = {
    # what it is: (reason, what the message says, how it is made)
    "missing": ("missing", "there is no such file", None),
    "loop": ("unreadable", "cannot be opened", make_loop),
    "directory": ("not_a_file", "is a directory", Path.mkdir),
    "nothing": ("empty", "0 bytes", b""),
    "text": ("not_audio", "is not audio", TEXT),
    "one-byte": ("not_audio", "is not audio", b"R"),
    "half-a-header": ("not_audio", "is not audio", wav()[:20]),
    "header-without-chunks": ("not_audio", "is not audio", wav()[:12]),
    "only-id3": ("not_audio", "is not audio", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + TEXT),
    "zeros": ("not_audio", "is not audio", bytes(5_000)),
    "many-chunks": ("not_audio", "is not audio", wav()[:12] + b"junk\0\0\0\0" * 1_000),
    "no-channel": ("not_audio", "is not audio", wav(voice(), channels=0)),
    "65535-channels": ("not_audio", "is not audio", wav(voice(), channels=65_535)),
    "m4a": ("needs_media_extra", "pip install 'deepfake-audio.media.'", M4A_HEADER),
    "caf-cut": ("damaged", "damaged or cut off", halved(encoded("CAF", "PCM_16", voice()))),
    "flac-wrong-length": ("damaged", "damaged or cut off", changed(FLAC, 25, b"\xff")),
    "flac-changed": ("truncated", "damaged or cut off", changed(FLAC, len(FLAC) // 2, bytes(40))),
    "flac-cut": ("truncated", "damaged or cut off", halved(FLAC)),
    "wav-cut": ("truncated", "promises 96,000 bytes of audio, the file holds 47,978", halved(wav(voice()))),
    "adpcm-cut": ("truncated", "is cut off", encoded("WAV", "GSM610", voice())[:-500]),
    "aiff-cut": ("truncated", "is cut off", halved(encoded("AIFF", "PCM_16", voice()))),
    "au-cut": ("truncated", "is cut off", halved(encoded("AU", "PCM_16", voice()))),
    "mp3-cut": ("truncated", "promises 3.0 s", halved(MP3)),
    "promises-1-gib": ("truncated", "promises 1,073,741,824 bytes", wav(data_size=1 << 30)),
    "promises-3-gib": ("truncated", "promises 3,221,225,472 bytes", wav(voice(), data_size=3 << 30)),
    "promises-4-gib": ("no_samples", "without a single sample", wav(data_size=0xFFFFFFFF)),
    "no-samples": ("no_samples", "without a single sample", wav()),
    "no-samples-but-tags": ("no_samples", "without a single sample", wav(tail=b"LIST\4\0\0\0INFO")),
    "no-samples-caf": ("no_samples", "without a single sample", encoded("CAF", "PCM_16", voice()[:0])),
    "nan": ("not_finite", "holds NaN", floats(np.nan)),
    "infinity": ("not_finite", "holds NaN, infinite", floats(np.inf)),
    "infinities-that-cancel": ("not_finite", "holds NaN, infinite", floats(np.inf, -np.inf, channels=2)),
    "huge": ("not_finite", "absurdly large", floats(3e38)),
    "0-hz": ("not_audio", "is not audio", wav(voice(), rate=0)),
    "1-hz": ("bad_sample_rate", "1 Hz; 4 to 384 kHz", wav(voice(), rate=1)),
    "3999-hz": ("bad_sample_rate", "3999 Hz", wav(voice(), rate=3_999)),
    "384001-hz": ("bad_sample_rate", "384001 Hz", wav(voice(), rate=384_001)),
    "10-mhz": ("bad_sample_rate", "10000000 Hz", wav(voice(), rate=10_000_000)),
    "33-channels": ("too_many_channels", "33 channels; at most 32", wav(voice(), channels=33)),
    "1024-channels": ("too_many_channels", "1024 channels", wav(voice(), channels=1_024)),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """What cannot be scored says why, in one line that begins with its name, and by a stable word."""
    reason, message, content = REFUSED[case]
    monkeypatch.setitem(sys.modules, "av", None)  # as if the extra were not installed
    path = tmp_path / "recording.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        content(path)

    with pytest.raises(AudioError, match=message) as caught:
        read(path)

    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_every_reason_is_tested() -> None:
    """Each documented reason is given by some file above."""
    assert {reason for reason, *_ in REFUSED.values()} == AUDIO_REASONS.keys()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("/dev/null", "not_a_file", id="device"),
        pytest.param("a\0b", "unreadable", id="null-character"),
        pytest.param("x" * 300, "unreadable", id="too-long"),
        pytest.param(f"{__file__}/a.wav", "missing", id="below-a-file"),
    ],
)
@only_linux
def test_refused_paths(path: str, reason: str) -> None:
    """What is no path of a recording is refused as well."""
    with pytest.raises(AudioError, match=r"file|cannot be opened") as caught:
        read(path)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(wav(voice(), data_size=0xFFFFFFFF, riff_size=0xFFFFFFFF), id="ffmpeg"),
        pytest.param(wav(voice(), data_size=0x7FFFF000, riff_size=0x7FFFF024), id="sox"),
        pytest.param(wav(voice(), data_size=0x80000000, riff_size=0x80000024), id="arecord"),
        pytest.param(wav(voice(), data_size=0xFFFFFFFF - 36, riff_size=0xFFFFFFFF), id="less-the-header"),
        pytest.param(wav(voice(), data_size=0, riff_size=0), id="zeros"),
        pytest.param(wav(voice(), data_size=0, riff_size=36), id="only-the-header"),
        pytest.param(wav(voice(), data_size=0, riff_size=0xFFFFFFFF), id="zero-of-many"),
        pytest.param(wav(voice(), data_size=96_001) + b"x", id="odd-byte"),
        pytest.param(wav(voice()) + b"x", id="byte-behind"),
        pytest.param(FLAC + TEXT, id="flac-and-text"),
        pytest.param(b"ID3\x04\0\0\0\0\x10\0" + bytes(2_048) + FLAC, id="id3-and-flac"),
        pytest.param(b"ID3\x04\0\0\0\0\x10\0" + bytes(2_048) + MP3, id="id3-and-mp3"),
    ],
)
def test_accepted(tmp_path: Path, content: bytes) -> None:
    """Headers of writers that did not know the length, and harmless extras, do not cost a sample."""
    path = tmp_path / "recording.wav"
    path.write_bytes(content)

    with open_recording(path) as recording:
        signal = np.concatenate(list(recording.blocks(RATE)))

    assert len(signal) == len(voice())
    assert snr_db(signal, voice()) > 8
    assert recording.sha256 == hashlib.sha256(content).hexdigest()


# --- containers that need PyAV ---------------------------------------------------------------------------------


def write_media(
    path: Path, codec: str, *, container: str, rate: int = 48_000, layout: str = "mono", picture: bool = False
) -> None:
    """Write three seconds of voice, and if wanted a black picture, by FFmpeg; no codec, no audio."""
    av = pytest.importorskip("av", reason="needs the extra `media`")
    with av.open(str(path), "w", format=container) as output:
        streams = []  # all of them must be known before the first packet
        if picture:
            video = output.add_stream("mpeg4", rate=10)
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            streams.append((video, [black]))
        if codec:
            stream = output.add_stream(codec, rate=rate, layout=layout)
            channels = 1 if layout == "mono" else 2
            frame = av.AudioFrame.from_ndarray(np.tile(voice(3, rate), (channels, 1)), format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, 0
            size = stream.codec_context.frame_size or 1_024
            fitted = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate, frame_size=size)
            streams.append((stream, [*fitted.resample(frame), *fitted.resample(None)]))
        for stream, frames in streams:
            for piece in [*frames, None]:
                output.mux(stream.encode(piece))


@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        pytest.param("aac", "mp4", {}, id="m4a"),
        pytest.param("aac", "mp4", {"layout": "stereo", "rate": 44_100}, id="m4a-stereo"),
        pytest.param("aac", "mp4", {"picture": True}, id="mp4"),
        pytest.param("alac", "ipod", {}, id="alac"),
        pytest.param("libopus", "webm", {}, id="webm"),
        pytest.param("flac", "matroska", {"rate": 16_000}, id="mkv"),
        pytest.param("aac", "adts", {}, id="aac"),
        pytest.param("aac", "mpegts", {}, id="ts"),
        pytest.param("aac", "flv", {}, id="flv"),
        pytest.param("pcm_s16le", "avi", {}, id="avi"),
        pytest.param("pcm_f32le", "mov", {}, id="mov"),
        pytest.param("flac", "ogg", {}, id="ogg-flac"),
        pytest.param("mp2", "mpeg", {}, id="mpg"),
    ],
)
def test_media(tmp_path: Path, codec: str, container: str, options: dict[str, Any]) -> None:
    """What phones and browsers record decodes to the signal that was written, but for the delay of its codec."""
    path = tmp_path / "recording"
    write_media(path, codec, container=container, **options)

    signal = read(path)

    assert len(signal) == pytest.approx(3 * RATE, abs=0.07 * RATE)
    rate = options.get("rate", 48_000)
    reference = soxr.resample(voice(3, rate), rate, RATE)
    match = np.correlate(np.pad(signal, (0, 200)), reference[800:40_000], mode="valid")
    norm = np.linalg.norm(reference[800:40_000]) * np.linalg.norm(signal[800:40_000])
    assert match.max() / norm > 0.97


@pytest.mark.parametrize(
    ("make", "reason", "message"),
    [
        pytest.param(lambda _: M4A_HEADER, "damaged", "cannot be decoded", id="only-a-header"),
        pytest.param(lambda _: b"OggS" + bytes(500), "damaged", "cannot be decoded", id="empty-ogg"),
        pytest.param(lambda content: content[:20_000], "damaged", "cut off|cannot be decoded", id="cut"),
        pytest.param(
            lambda content: changed(content, len(content) // 2, b"\x55" * 400), "damaged", "damaged", id="changed"
        ),
    ],
)
def test_damaged_media(tmp_path: Path, make: Callable[[bytes], bytes], reason: str, message: str) -> None:
    """Damaged containers are refused like other damaged files."""
    path = tmp_path / "a.m4a"
    write_media(path, "aac", container="mp4")
    path.write_bytes(make(path.read_bytes()))

    with pytest.raises(AudioError, match=message) as caught:
        read(path)

    assert caught.value.reason == reason


def test_film_without_sound(tmp_path: Path) -> None:
    """A video without an audio track is no audio."""
    path = tmp_path / "a.mp4"
    write_media(path, "", container="mp4", picture=True)

    with pytest.raises(AudioError, match="has no audio track") as caught:
        read(path)

    assert caught.value.reason == "not_audio"


def test_unknown_codec(tmp_path: Path) -> None:
    """So is a track that nothing here decodes."""
    path = tmp_path / "a.mka"
    write_media(path, "pcm_s16le", container="matroska")
    path.write_bytes(path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_NEW/INT/LIT"))

    with pytest.raises(AudioError, match="FFmpeg has no decoder for its audio track") as caught:
        read(path)

    assert caught.value.reason == "not_audio"


def test_format_changes_midway(tmp_path: Path) -> None:
    """A broadcast that goes from mono to stereo and to another rate keeps its length."""
    path = tmp_path / "part.aac"
    content = b""
    for layout, rate in (("mono", 48_000), ("stereo", 48_000), ("mono", 16_000)):
        write_media(path, "aac", container="adts", layout=layout, rate=rate)
        content += path.read_bytes()
    path.write_bytes(content)

    assert len(read(path)) == pytest.approx(9 * RATE, abs=0.25 * RATE)


def test_surprises_in_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyAV meets some damaged files with an IndexError; that is a damaged file too."""
    av = pytest.importorskip("av", reason="needs the extra `media`")

    class Surprise:
        def __init__(self, **_: Any) -> None:
            raise IndexError("list index out of range")

    write_media(tmp_path / "a.m4a", "aac", container="mp4")
    monkeypatch.setattr(av, "AudioResampler", Surprise)

    with pytest.raises(AudioError, match=r"damaged or cut off \(list index out of range\)"):
        read(tmp_path / "a.m4a")


def test_channels_that_cancel_for_a_while_are_heard_throughout(tmp_path: Path) -> None:
    """A channel that is turned upside down in one half only takes nothing away."""
    signal = voice(4.0)
    other = np.concatenate([-signal[: 2 * RATE], signal[2 * RATE :]])
    soundfile.write(tmp_path / "a.wav", np.stack([signal, other], axis=1), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read(tmp_path / "a.wav"), signal, atol=1e-6)
