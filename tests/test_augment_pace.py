"""Tempo and speed against what they say that they do."""

from __future__ import annotations

import numpy as np
import pytest
from measures import in_db, pitch_hz, power, rng
from signals import RATE, noise, silence, sine, voice

from deepfake_audio.augment.pace import change_speed, change_tempo, stretched

TEMPOS = (0.9, 0.97, 1.0, 1.04, 1.1)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize("tempo", TEMPOS)
def test_stretched_tone(tempo: float, rate: int) -> None:
    """A tone becomes longer or shorter and stays the same tone: pitch, level, and nothing beside it."""
    for hz in (90, 220, 1_000):
        changed = stretched(sine(hz, 2.0, rate), rate, tempo)
        inner = changed[rate // 10 : -rate // 10].astype(np.float64)
        n = np.arange(len(inner)) * 2 * np.pi * pitch_hz(inner, rate) / rate
        basis = np.stack([np.sin(n), np.cos(n)], axis=1)
        beside = inner - basis @ np.linalg.lstsq(basis, inner, rcond=None)[0]

        assert len(changed) == round(2 * rate / tempo)
        assert pitch_hz(inner, rate) == pytest.approx(hz, rel=0.005)
        assert in_db(power(inner) / 0.125) == pytest.approx(0, abs=0.3)
        assert in_db(power(inner) / power(beside)) > 20


@pytest.mark.parametrize("tempo", TEMPOS)
def test_stretched_events(tempo: float) -> None:
    """Sounds come earlier or later by the tempo, within the 25 ms that frames may give way."""
    bursts = [0.3, 0.9, 1.4, 2.6]
    signal = silence(3.0)
    for at in bursts:
        signal[round(at * RATE) :][: RATE // 50] = noise(0.02)
    loud = np.flatnonzero(np.abs(stretched(signal, RATE, tempo)) > 0.01) / RATE
    first = loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.1)]

    np.testing.assert_allclose(first, np.array(bursts) / tempo, atol=0.025)


def test_same_tempo() -> None:
    """At a tempo of 1 a voice comes out as it went in."""
    np.testing.assert_allclose(stretched(voice(2), RATE, 1.0), voice(2), atol=1e-6)


def test_tempo() -> None:
    """The pitch stays, while a glide becomes up to a tenth steeper or flatter; the end is made of the beginning."""
    t = np.arange(2 * RATE) / RATE
    glide = (0.5 * np.sin(2 * np.pi * (300 * t + 100 * t**2))).astype(np.float32)  # 300 + 200 t Hz
    tempos = []
    for seed in range(40):
        changed = change_tempo(glide, RATE, rng(seed))
        early, late = (pitch_hz(changed[at : at + 3_200], RATE) for at in (3_200, 24_000))
        tempos.append((late - early) / (200 * (24_000 - 3_200) / RATE))
        assert early == pytest.approx(300 + 200 * 0.3 * tempos[-1], rel=0.03)

    assert 0.88 < min(tempos) < 0.93
    assert 1.07 < max(tempos) < 1.12


def test_speed() -> None:
    """The pitch rises by as much as speech becomes faster, up to a tenth; the end is made of the beginning."""
    tone = sine(500, 2.0)
    speeds = []
    for seed in range(40):
        changed = change_speed(tone, RATE, rng(seed))
        speeds.append(pitch_hz(changed[:16_000], RATE) / 500)
        length = round(len(tone) / speeds[-1])
        if length < len(tone) - 200:
            np.testing.assert_allclose(changed[length + 100 :], changed[100 : len(tone) - length], atol=0.15)

    assert 0.899 < min(speeds) < 0.92
    assert 1.08 < max(speeds) < 1.101
