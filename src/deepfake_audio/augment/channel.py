"""What happens to a voice behind the microphone: level, bandwidth, sample rate, bits, telephone and codecs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from deepfake_audio.augment.dsp import band, fitted, peak, resampled

if TYPE_CHECKING:
    from deepfake_audio.augment.dsp import AnyArray, FloatArray

# Container and subtype of libsndfile.
CODECS = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}
# The rates that all of these encoders take; for another, a recorder resamples, and so do we.
_CODEC_RATES = (8_000, 12_000, 16_000, 24_000, 48_000)
# libvorbis keeps what it is given on the stack, and a few minutes in one piece end the process.
_MOST_AT_ONCE = 1 << 18
# Samples: 576 of LAME's encoder, and 529 of every decoder of layer III.
_MP3_DELAY = 1_105


def gain(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Scale by -20 to +20 dB, clipping at full scale as a recorder does."""
    del sample_rate
    return np.asarray(np.clip(signal * 10 ** rng.uniform(-1.0, 1.0), -1.0, 1.0), dtype=np.float32)


def clip(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Keep what is louder than 1 to 15 dB below the peak from rising further: hard, or softly as ``tanh`` does."""
    del sample_rate
    ceiling = peak(signal) * 10 ** (-rng.uniform(1.0, 15.0) / 20)
    if rng.random() < 1 / 2:
        return np.asarray(np.clip(signal, -ceiling, ceiling), dtype=np.float32)
    return np.asarray(ceiling * np.tanh(signal / ceiling), dtype=np.float32)


def low_pass(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Remove what lies above 3 to 8 kHz."""
    high_hz, slope_hz = rng.uniform(3_000.0, 8_000.0), rng.uniform(50.0, 500.0)
    return band(signal, sample_rate, 0.0, high_hz, low_slope_hz=50.0, high_slope_hz=slope_hz)


def high_pass(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Remove what lies below 50 to 400 Hz."""
    return band(signal, sample_rate, rng.uniform(50.0, 400.0), np.inf, low_slope_hz=50.0, high_slope_hz=50.0)


def band_limit(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Keep a band only, from 50 to 400 Hz up to 3 to 8 kHz."""
    return low_pass(high_pass(signal, sample_rate, rng), sample_rate, rng)


def resample_down_and_up(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Pass through a lower sample rate of 8 to 15 kHz, at one of soxr's qualities."""
    lower = int(rng.choice([8_000, 11_025, 12_000, 14_000, 15_000]))
    quality = str(rng.choice(["QQ", "LQ", "MQ", "HQ"]))
    down = resampled(signal, sample_rate, lower, quality)
    return fitted(resampled(down, lower, sample_rate, quality), len(signal))


def quantise(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Round to 8 to 14 linear bits, which the loudest sample fills."""
    del sample_rate
    step = peak(signal) * 2.0 ** (1 - rng.integers(8, 15))
    return (np.round(signal / step) * step).astype(np.float32)


def compress(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Encode and decode by MP3, Vorbis or Opus at a random quality."""
    codec = list(CODECS)[rng.integers(len(CODECS))]
    return coded(signal, sample_rate, codec, float(rng.uniform(0.1, 0.9)))


def coded(
    signal: FloatArray,
    sample_rate: int,
    codec: str,
    level: float,
    *,
    bitrate_mode: str | None = None,
    codec_rate: int | None = None,
) -> FloatArray:
    """
    Encode and decode by one of `CODECS`, with libsndfile's own encoders.

    What encoder and decoder delay by is dropped, so the signal stays in its place.

    Args:
        signal: Shape (n_samples,); louder than full scale it is encoded softer, and made as loud again.
        sample_rate: In Hz.
        codec: A key of `CODECS`.
        level: libsndfile's compression level in [0, 1): more is smaller and worse.
        bitrate_mode: For MP3, "CONSTANT", "AVERAGE" or "VARIABLE"; None is libsndfile's choice.
        codec_rate: The rate in Hz to encode at; None is that of the signal, or 48 kHz where encoders refuse it.
    """
    loudest = max(1.0, peak(signal))
    rate = codec_rate or (sample_rate if sample_rate in _CODEC_RATES else max(_CODEC_RATES))
    given = resampled(signal / loudest, sample_rate, rate)
    decoded, _ = soundfile.read(io.BytesIO(encoded(given, rate, codec, level, bitrate_mode)), dtype="float32")
    if len(decoded) > len(given):  # too few bits for the tag in which LAME says the delay
        decoded = decoded[_MP3_DELAY:]
    return fitted(resampled(decoded, rate, sample_rate), len(signal)) * np.float32(loudest)


def encoded(signal: FloatArray, sample_rate: int, codec: str, level: float, bitrate_mode: str | None = None) -> bytes:
    """Return the file that one of `CODECS` makes of a signal, as `coded` decodes it again."""
    container, subtype = CODECS[codec]
    options = {} if bitrate_mode is None else {"bitrate_mode": bitrate_mode}
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, 1, subtype=subtype, format=container, compression_level=level, **options
    ) as encoder:
        for at in range(0, len(signal), _MOST_AT_ONCE):
            encoder.write(signal[at : at + _MOST_AT_ONCE])
    return buffer.getvalue()


def telephone(signal: FloatArray, sample_rate: int, rng: np.random.Generator) -> FloatArray:
    """Pass through a telephone line of a random one of the `G711` laws."""
    return telephoned(signal, sample_rate, sorted(G711)[rng.integers(len(G711))])


def telephoned(signal: FloatArray, sample_rate: int, law: str) -> FloatArray:
    """Pass through a telephone line: 300 to 3400 Hz at 8 kHz, in the 8 bits of one of the `G711` laws."""
    loudest = max(1.0, peak(signal))
    narrow = resampled(signal / loudest, sample_rate, 8_000)
    narrow = band(narrow, 8_000, 300.0, 3_400.0, low_slope_hz=100.0, high_slope_hz=200.0)
    return fitted(resampled(companded(narrow, law), 8_000, sample_rate), len(signal)) * np.float32(loudest)


def companded(signal: FloatArray, law: str) -> FloatArray:
    """
    Encode and decode by ITU-T G.711.

    Args:
        signal: Full scale at +-1, shape (n_samples,), at any rate; louder samples are clipped.
        law: "a-law" or "mu-law".

    Returns:
        Each sample at one of the law's 256 levels, a multiple of 1/32768.
    """
    decisions, levels = G711[law]
    pcm = np.round(np.clip(signal, -1.0, 1.0) * 32_768.0)
    codes = np.searchsorted(decisions, np.abs(pcm), side="right") - 1
    return (np.where(pcm < 0, -levels[codes], levels[codes]) / 32_768).astype(np.float32)


def _g711_tables() -> dict[str, tuple[AnyArray, AnyArray]]:
    """
    Return for each law the lower edges and the levels of its 128 positive codes, in steps of 16-bit samples.

    Eight segments of sixteen equal steps (G.711, tables 1a and 2a, there in steps of 13 and 14 bits). In the mu-law
    every segment is twice as coarse as the one before it, in the A-law the first two are alike.
    """
    segment, step = np.divmod(np.arange(128), 16)
    mu_law = ((step + 16) << (segment + 3)) - 132, ((2 * step + 33) << (segment + 2)) - 132
    doubled, lead = np.maximum(segment, 1), np.where(segment == 0, 0, 16)
    a_law = (step + lead) << (doubled + 3), (2 * (step + lead) + 1) << (doubled + 2)
    return {"a-law": a_law, "mu-law": mu_law}


G711 = _g711_tables()
