"""Level, band, rate, bits, telephone and codecs against what they say that they do."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from measures import AnyArray, delay_of, in_db, power, rng, spectrum
from signals import RATE, noise, sine, voice

from deepfake_audio.augment.channel import (
    CODECS,
    band_limit,
    clip,
    coded,
    companded,
    compress,
    encoded,
    gain,
    high_pass,
    low_pass,
    quantise,
    resample_down_and_up,
    telephone,
)

if TYPE_CHECKING:
    from deepfake_audio.augment import Change


def test_gain() -> None:
    """Gain is one factor of -20 to +20 dB, and what goes beyond full scale is clipped."""
    signal = sine(200, 1.0, peak=0.5)
    factors = []
    for seed in range(60):
        changed = gain(signal, RATE, rng(seed))
        unclipped = (np.abs(changed) < 1) & (signal != 0)
        factor = np.median(changed[unclipped] / signal[unclipped])
        np.testing.assert_allclose(changed, np.clip(factor * signal, -1, 1), atol=1e-5)
        factors.append(20 * np.log10(factor))

    assert -20.01 < min(factors) < -16
    assert 16 < max(factors) < 20.01


@pytest.mark.parametrize("peak", [0.01, 4.0])
def test_clipping(peak: float) -> None:
    """Nothing exceeds a ceiling 1 to 15 dB below the peak: hard, all below it stays; soft, it bends as `tanh` does."""
    ramp = np.linspace(-peak, peak, 10_001, dtype=np.float32)
    ceilings_db: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(80):
        changed = clip(ramp, RATE, rng(seed)).astype(np.float64)
        is_hard = np.allclose(changed[4_900:5_100], ramp[4_900:5_100], rtol=1e-6)
        if is_hard:
            ceiling = changed.max()
            np.testing.assert_allclose(changed, np.clip(ramp, -ceiling, ceiling), rtol=1e-6)
        else:
            inner = slice(6_000, 7_000)
            # The second term of the series tanh(x) = x - x^3 / 3 + ... says where the ceiling is.
            ceilings = [peak * 10 ** (-db / 20) for db in np.arange(0.9, 15.1, 0.01)]
            errors = [np.abs(c * np.tanh(ramp[inner] / c) - changed[inner]).max() for c in ceilings]
            ceiling = ceilings[int(np.argmin(errors))]
            assert min(errors) < 1e-3 * peak
            assert np.abs(changed).max() <= ceiling * 1.001
            assert (np.diff(changed) >= 0).all()
        ceilings_db[is_hard].append(20 * np.log10(peak / ceiling))

    for found in ceilings_db.values():
        assert 0.9 < min(found) < 4
        assert 12 < max(found) < 15.01


def edges(change: Change, n: int) -> tuple[AnyArray, AnyArray]:
    """Return the frequencies between which a change keeps white noise, having looked that nothing else is done."""
    signal = noise(1.0, 48_000)
    hz, before = spectrum(signal, 48_000)
    found = []
    for seed in range(n):
        _, after = spectrum(change(signal, 48_000, rng(seed)), 48_000)
        ratio = after / before
        kept = np.flatnonzero(ratio > 0.5)
        low, high = hz[kept[0]], hz[kept[-1]]
        np.testing.assert_allclose(ratio[(hz > low + 30) & (hz < high - 260)], 1, atol=1e-3)
        assert ratio[(hz > high + 260) | (hz < low - 30)].max(initial=0) < 2e-3
        found.append((low, high))
    lows, highs = np.array(found).T
    return lows, highs


def test_low_pass() -> None:
    """Above 3 to 8 kHz nothing is left, below nothing changes."""
    lows, highs = edges(low_pass, 40)

    assert lows.max() == 0
    assert 2_999 < highs.min() < 3_500
    assert 7_500 < highs.max() < 8_001


def test_high_pass() -> None:
    """Below 50 to 400 Hz nothing is left, above nothing changes."""
    lows, highs = edges(high_pass, 40)

    assert highs.min() > 23_400
    assert 49 < lows.min() < 80
    assert 370 < lows.max() < 401


def test_band() -> None:
    """Both edges vary, each by itself."""
    lows, highs = edges(band_limit, 40)

    assert 49 < lows.min() < lows.max() < 401
    assert 2_999 < highs.min() < highs.max() < 8_001
    assert abs(np.corrcoef(lows, highs)[0, 1]) < 0.5


def test_lower_rate() -> None:
    """Below 3 kHz the signal stays, whatever the quality; what a rate of 8 kHz cannot hold is gone in some cases."""
    low, high = sine(500, 1.0), sine(7_700, 1.0)
    middle = slice(2_000, -2_000)
    left_db = []
    for seed in range(40):
        kept = resample_down_and_up(low, RATE, rng(seed))
        assert in_db(power(low[middle]) / power((kept - low)[middle])) > 25
        left_db.append(in_db(power(resample_down_and_up(high, RATE, rng(seed))[middle]) / power(high[middle])))

    assert min(left_db) < -80
    assert np.median(left_db) < -20


def test_quantisation() -> None:
    """A ramp becomes a staircase of 8 to 14 bits in even steps, half of one being the largest error."""
    ramp = np.linspace(-0.7, 0.7, 200_001, dtype=np.float32)
    bits = set()
    for seed in range(60):
        changed = quantise(ramp, RATE, rng(seed)).astype(np.float64)
        n_steps = len(np.unique(changed)) - 1
        assert np.ptp(np.diff(np.unique(changed))) < 1e-6
        assert np.abs(changed - ramp).max() <= 0.7 / n_steps * 1.001
        bits.add(float(np.log2(n_steps)))

    assert bits == {8, 9, 10, 11, 12, 13, 14}


# --- telephone -------------------------------------------------------------------------------------------------

PCM = np.arange(-32_768, 32_768).astype(np.int16)


def decoded(pcm: Any, law: str) -> AnyArray:
    """Return 16-bit samples after a way through G.711."""
    back = companded(np.asarray(pcm, dtype=np.float32) / np.float32(32_768), law).astype(np.float64) * 32_768
    np.testing.assert_array_equal(back, np.round(back))
    return back.astype(int)


@pytest.mark.parametrize(
    ("law", "scale", "segment_ends", "first_levels", "largest"),
    [
        # The ends of segments and the decoded values of tables 1a and 2a, in units of their 13 and 14 bits.
        pytest.param("a-law", 8, (32, 64, 128, 256, 512, 1024, 2048), (1, 3, 5), 4032, id="a-law"),
        pytest.param("mu-law", 4, (31, 95, 223, 479, 991, 2015, 4063), (0, 2, 4), 8031, id="mu-law"),
    ],
)
def test_g711_tables(
    law: str, scale: int, segment_ends: tuple[int, ...], first_levels: tuple[int, ...], largest: int
) -> None:
    """Levels are those of the standard's tables: eight segments of sixteen steps, each twice as coarse or alike."""
    levels = np.unique(np.abs(decoded(PCM, law))) / scale

    assert len(levels) == 128
    assert tuple(levels[:3]) == first_levels
    assert levels[-1] == largest
    assert [int(np.searchsorted(levels, end)) for end in segment_ends] == [16, 32, 48, 64, 80, 96, 112]
    below_and_at = decoded([[end * scale - 1, end * scale] for end in segment_ends], law) / scale
    np.testing.assert_array_equal(below_and_at[:, 0], levels[15:127:16])
    np.testing.assert_array_equal(below_and_at[:, 1], levels[16:128:16])


@pytest.mark.parametrize(("law", "subtype"), [("a-law", "ALAW"), ("mu-law", "ULAW")])
def test_g711_as_libsndfile(law: str, subtype: str) -> None:
    """All 16-bit samples decode to what libsndfile's encoder and decoder make of them."""
    buffer = io.BytesIO()
    soundfile.write(buffer, PCM, 8_000, subtype=subtype, format="WAV")
    buffer.seek(0)
    expected, _ = soundfile.read(buffer, dtype="int16")

    np.testing.assert_array_equal(decoded(PCM, law), expected)


@pytest.mark.parametrize(
    ("law", "pcm"),
    [
        # Python rounds negative samples down where these are no 14-bit number, or lie just between two levels.
        pytest.param("a-law", PCM[(PCM >= 0) | (PCM % 16 != 0)], id="a-law"),
        pytest.param("mu-law", PCM[(PCM >= 0) | (PCM % 4 == 0)], id="mu-law"),
    ],
)
def test_g711_as_audioop(law: str, pcm: AnyArray) -> None:
    """Samples decode to what Python's own tables gave."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        audioop = pytest.importorskip("audioop", reason="gone from Python 3.13 on")
    encode, decode = (audioop.lin2alaw, audioop.alaw2lin) if law == "a-law" else (audioop.lin2ulaw, audioop.ulaw2lin)

    np.testing.assert_array_equal(decoded(pcm, law), np.frombuffer(decode(encode(pcm.tobytes(), 2), 2), np.int16))


@pytest.mark.parametrize("law", ["a-law", "mu-law"])
def test_g711_distortion(law: str) -> None:
    """A tone of 0 to -30 dBm0 (full scale is 3.14) keeps more than the 33 dB to its error that ITU-T G.712 asks for."""
    for level_dbm0 in (0, -10, -20, -30):
        tone = sine(1_020, 1.0, 8_000, peak=10 ** ((level_dbm0 - 3.14) / 20))
        assert in_db(power(tone) / power(companded(tone, law) - tone)) > 33


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_telephone_band(rate: int) -> None:
    """Sounds of 400 to 3200 Hz pass in their place and at their level; those below 200 and above 3600 Hz do not."""
    middle = slice(rate // 4, -rate // 4)
    for seed in range(6):
        for hz in (400, 1_000, 3_200):
            tone = sine(hz, 1.0, rate)
            heard = telephone(tone, rate, rng(seed))
            assert in_db(power(tone[middle]) / power((heard - tone)[middle])) > 30
        for hz in (60, 200, 3_600):
            assert power(telephone(sine(hz, 1.0, rate), rate, rng(seed))[middle]) < 1e-5 * 0.125


def test_telephone_laws() -> None:
    """Both laws occur: silence becomes the lowest level of the A-law, or stays silence."""
    middles = {float(telephone(np.zeros(8_000, np.float32), 8_000, rng(seed))[4_000]) for seed in range(20)}

    assert middles == {0.0, 8 / 32_768}


# --- codecs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("peak", [0.05, 4.0])
def test_codecs(monkeypatch: pytest.MonkeyPatch, rate: int, peak: float) -> None:
    """MP3, Vorbis and Opus all occur, change something, and leave a voice that sounds the same: in place and level."""
    formats = set()
    real = soundfile.SoundFile

    def spy(*args: Any, **options: Any) -> Any:
        if "format" in options:
            formats.add((options["format"], options["subtype"]))
        return real(*args, **options)

    monkeypatch.setattr(soundfile, "SoundFile", spy)
    signal = voice(1, rate) / np.abs(voice(1, rate)).max() * np.float32(peak)
    for seed in range(12):
        changed = compress(signal, rate, rng(seed))
        assert not np.array_equal(changed, signal)
        assert abs(delay_of(changed, signal)) <= 1e-4 * rate
        assert np.corrcoef(changed, signal)[0, 1] > 0.9
        assert in_db(power(changed) / power(signal)) == pytest.approx(0, abs=1.5)

    assert formats == {("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")}


@pytest.mark.parametrize("codec", CODECS)
def test_codec_at_a_level(codec: str) -> None:
    """A higher level is fewer bytes and more error, at the rate that is asked for, and what is decoded is that file."""
    signal = voice(2)
    sizes = [len(encoded(signal, RATE, codec, level)) for level in (0.2, 0.5, 0.8)]
    errors = [power(coded(signal, RATE, codec, level) - signal) for level in (0.2, 0.5, 0.8)]
    buffer = io.BytesIO(encoded(signal, RATE, codec, 0.5))

    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    np.testing.assert_array_equal(coded(signal, RATE, codec, 0.5), soundfile.read(buffer, dtype="float32")[0])
    _, amplitude = spectrum(coded(noise(1.0, 48_000), 48_000, codec, 0.2, codec_rate=8_000), 48_000)
    assert power(amplitude[4_100:]) < 1e-4 * power(amplitude[:3_900])


@pytest.mark.parametrize("level", [0.1, 0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
def test_mp3_stays_in_its_place(mode: str, level: float) -> None:
    """Nothing is late or lost at the end, at bit rates too low for the tag that tells the delay."""
    signal = voice(2)
    changed = coded(signal, RATE, "mp3", level, bitrate_mode=mode)

    assert delay_of(changed, signal) == 0
    assert np.corrcoef(changed[-2_000:], signal[-2_000:])[0, 1] > 0.6


@pytest.mark.parametrize("codec", CODECS)
def test_codecs_take_long_signals(codec: str) -> None:
    """Minutes do not overflow the encoder's stack."""
    signal = noise(200.0, 8_000) if codec == "opus" else noise(200.0)

    assert len(encoded(signal, 8_000 if codec == "opus" else RATE, codec, 0.8)) > 100_000
