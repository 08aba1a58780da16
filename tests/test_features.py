"""The front end against librosa, SciPy and its own definitions written out in NumPy."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from signals import FloatArray, noise, sine, voice

from deepfake_audio.errors import DataError
from deepfake_audio.features import (
    KINDS,
    FeatureSpec,
    extract,
    feature_shape,
    frontend,
    linear_filters,
    n_frames,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# One window of every character: speech, speech with silence around it, noise, a tone, a click, silence.
WINDOWS: FloatArray = np.stack(
    [
        voice(1.0),
        np.concatenate([np.zeros(4_000), voice(0.5, seed=1), np.zeros(4_000)]),
        noise(1.0),
        sine(1_000, 1.0),
        np.eye(1, 16_000, 5_000)[0],
        np.zeros(16_000),
    ]
).astype(np.float32)

# Unusual but legal: odd lengths, a window as long as the FFT, hops that do not divide, band limits, other rates.
SHAPES: dict[str, dict[str, Any]] = {
    "default": {},
    "long": {"n_fft": 1_024, "window_length": 1_024, "hop_length": 256, "n_bands": 80, "n_coefficients": 30},
    "odd-window": {"n_fft": 512, "window_length": 321, "hop_length": 77, "n_bands": 40, "n_coefficients": 40},
    "band": {"n_fft": 1_024, "f_min": 300.0, "f_max": 3_400.0, "n_bands": 30, "n_coefficients": 13},
    "8-khz": {"sample_rate": 8_000, "f_max": 4_000.0, "n_fft": 256, "window_length": 200, "hop_length": 80}
    | {"n_bands": 24, "n_coefficients": 1},
    "coarse": {"n_fft": 2_000, "window_length": 1_999, "hop_length": 5_000, "n_bands": 5, "n_coefficients": 2},
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def frames_db(power: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return decibels with librosa's floor and range."""
    return np.asarray(librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0))


def reference(signal: FloatArray, spec: FeatureSpec) -> npt.NDArray[Any]:
    """Return what librosa, or for `lfcc` the definition in NumPy, gives for one window."""
    stft = {
        "n_fft": spec.n_fft,
        "win_length": spec.window_length,
        "hop_length": spec.hop_length,
    }
    mel = {"n_mels": spec.n_bands, "fmin": spec.f_min, "fmax": spec.f_max}
    hz = np.linspace(0, spec.sample_rate / 2, 1 + spec.n_fft // 2)
    if spec.kind == "mfcc":
        return np.asarray(
            librosa.feature.mfcc(y=signal, sr=spec.sample_rate, n_mfcc=spec.n_coefficients, **stft, **mel)
        )
    if spec.kind == "mel":
        return frames_db(librosa.feature.melspectrogram(y=signal, sr=spec.sample_rate, **stft, **mel))
    if spec.kind == "linear":
        power = np.abs(librosa.stft(signal.astype(np.float64), **stft)) ** 2
        return frames_db(power[(spec.f_min <= hz) & (hz <= spec.f_max)])
    return lfcc(signal, spec)


def lfcc(signal: FloatArray, spec: FeatureSpec) -> npt.NDArray[Any]:
    """Return linear-frequency cepstral coefficients by their definition, one frame after the other."""
    half = spec.n_fft // 2
    padded = np.pad(signal.astype(np.float64), half)
    before = (spec.n_fft - spec.window_length) // 2
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.window_length) / spec.window_length)
    window = np.pad(hann, (before, spec.n_fft - spec.window_length - before))
    frames = [padded[at : at + spec.n_fft] * window for at in range(0, len(signal) + 1, spec.hop_length)]
    power = np.abs(np.fft.rfft(frames)) ** 2
    hz = np.linspace(0, spec.sample_rate / 2, half + 1)
    edges = np.linspace(spec.f_min, spec.f_max, spec.n_bands + 2)
    bands = np.stack([np.interp(hz, edges[i : i + 3], [0, 1, 0]) for i in range(spec.n_bands)])
    db = frames_db(bands @ power.T)
    k, n = np.arange(spec.n_coefficients)[:, np.newaxis], np.arange(spec.n_bands)
    dct = np.sqrt(2 / spec.n_bands) * np.cos(np.pi * k * (2 * n + 1) / (2 * spec.n_bands))
    dct[0] /= np.sqrt(2)
    return np.asarray(dct @ db)


def assert_close(features: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float = 1e-4) -> None:
    """Compare relative to the largest value."""
    assert features.shape == expected.shape
    np.testing.assert_allclose(features, expected, rtol=0, atol=tolerance * np.abs(expected).max())


# --- values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@shapes
def test_equals_the_reference(kind: Any, shape: dict[str, Any]) -> None:
    """Every kind equals librosa (mfcc, mel, linear) or its definition (lfcc), on every kind of signal."""
    spec = FeatureSpec(kind, normalise_level=False, **shape)

    features = extract(WINDOWS, spec)

    # Single bins 80 dB below a tone are where float32 ends; bands are sums and exact to much more.
    tolerance = 3e-4 if kind == "linear" else 1e-4
    for one, signal in zip(features, WINDOWS, strict=True):
        assert_close(one, reference(signal, spec), tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deltas", [1, 2])
@pytest.mark.parametrize("hop_length", [160, 6_000], ids=["frames", "fewer-frames-than-the-filter"])
def test_deltas_equal_librosa(kind: Any, deltas: int, hop_length: int) -> None:
    """First and second differences are librosa's, stacked below the features."""
    spec = FeatureSpec(kind, deltas=deltas, hop_length=hop_length)

    features = extract(WINDOWS[:3], spec)

    for one in features:
        base = one[: len(one) // (1 + deltas)]
        for order in range(1, deltas + 1):
            expected = librosa.feature.delta(base.astype(np.float64), order=order, mode="nearest")
            np.testing.assert_allclose(one[order * len(base) :][: len(base)], expected, atol=1e-4 * np.abs(base).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hop_length", [160, 5_000, 20_000], ids=["101-frames", "4-frames", "1-frame"])
def test_statistics_equal_numpy(kind: Any, hop_length: int) -> None:
    """Statistics are NumPy's, one after the other in the order that was asked for."""
    names = ("p90", "mean", "min", "p0", "std", "p25", "max", "p50", "p33", "p100")
    spec = FeatureSpec(kind, deltas=1, hop_length=hop_length)
    frames = extract(WINDOWS, spec).astype(np.float64)

    vectors = extract(WINDOWS, replace(spec, statistics=names))

    expected = [
        np.percentile(frames, int(name[1:]), axis=2) if name[0] == "p" else getattr(np, name)(frames, axis=2)
        for name in names
    ]
    assert_close(vectors, np.concatenate(expected, axis=1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "change",
    [
        *(pytest.param(lambda x, g=g: np.float32(g) * x, id=f"times-{g:g}") for g in (1e-4, 0.1, 10, 1e5, 1e30)),
        pytest.param(lambda x: -x, id="polarity"),
        pytest.param(lambda x: x + np.float32(0.4), id="dc"),
        pytest.param(lambda x: np.float32(0.05) * x - np.float32(0.2), id="quiet-and-dc"),
    ],
)
def test_level_does_not_matter(kind: Any, change: Callable[[FloatArray], FloatArray]) -> None:
    """With `normalise_level`, gain, polarity and DC offset leave the features as they are."""
    spec = FeatureSpec(kind)

    assert_close(extract(change(WINDOWS[:3]), spec), extract(WINDOWS[:3], spec), tolerance=2e-3)


def test_normalised_level_is_one() -> None:
    """The level that features are normalised to is a root mean square of 1 about the mean."""
    signal = WINDOWS[0] - WINDOWS[0].mean()
    spec = FeatureSpec("mel")

    expected = reference(signal / np.sqrt(np.mean(signal**2)), spec)

    assert_close(extract(WINDOWS[:1], spec)[0], expected)


def test_level_can_be_kept() -> None:
    """Without it, ten times the amplitude is 20 dB more."""
    spec = FeatureSpec("mel", normalise_level=False)

    assert_close(extract(10 * WINDOWS[2:3], spec), extract(WINDOWS[2:3], spec) + 20)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.zeros(16_000), id="silence"),
        pytest.param(np.full(16_000, 0.7), id="dc"),
        pytest.param(np.full(16_000, 3e38), id="largest-floats"),
        pytest.param(1e-40 * voice(1.0), id="smallest-floats"),
    ],
)
def test_no_signal_gives_no_nan(kind: Any, signal: npt.NDArray[Any]) -> None:
    """What holds no signal still has finite features."""
    spec = FeatureSpec(kind, deltas=2, statistics=("mean", "std", "p10"))

    assert np.isfinite(extract(signal[np.newaxis].astype(np.float32), spec)).all()


def test_tone_lies_in_its_band() -> None:
    """A tone of 1 kHz is loudest in the bin or band of 1 kHz."""
    tone = sine(1_000, 1.0)[np.newaxis]
    spectrum = extract(tone, FeatureSpec("linear"))[0].mean(axis=1)

    assert np.argmax(spectrum) == 1_000 / 16_000 * 512
    assert spectrum[32] - np.median(spectrum) > 60


def test_linear_filters() -> None:
    """Linear bands have one width and reach from one neighbour's centre to the other's."""
    filters = linear_filters(FeatureSpec("lfcc", n_fft=1_600, n_bands=7, n_coefficients=7))

    assert filters.shape == (7, 801)
    assert (np.argmax(filters, axis=1) * 10).tolist() == [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000]
    np.testing.assert_allclose(filters.max(axis=1), 1.0)
    np.testing.assert_allclose(filters.sum(axis=0)[100:701], 1.0)


# --- shapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("statistics", [(), ("mean",), ("mean", "std", "p50")], ids=["frames", "1", "3"])
@pytest.mark.parametrize("window_samples", [1, 159, 160, 16_001])
def test_shape(kind: Any, deltas: int, statistics: tuple[str, ...], window_samples: int) -> None:
    """What comes out, and what the graph promises, has the shape that `feature_shape` says."""
    spec = FeatureSpec(kind, deltas=deltas, statistics=statistics)
    expected = feature_shape(spec, window_samples)

    assert extract(np.zeros((2, window_samples), np.float32), spec).shape == (2, *expected)
    promised = frontend(spec, window_samples).graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in promised[1:]] == list(expected)
    if not statistics:
        assert expected[1] == n_frames(spec, window_samples)


def test_bins_of_a_band() -> None:
    """A linear spectrogram has the bins from f_min to f_max, both included."""
    spec = FeatureSpec("linear", n_fft=512, f_min=1_000.0, f_max=2_000.0)

    assert feature_shape(spec, 16_000)[0] == 33


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_batches(batch_size: int) -> None:
    """Windows do not see each other, however they are batched."""
    spec = FeatureSpec("mfcc")
    alone = np.concatenate([extract(window[np.newaxis], spec) for window in WINDOWS])

    np.testing.assert_allclose(extract(WINDOWS, spec, batch_size=batch_size), alone, atol=1e-3)


def test_no_windows() -> None:
    """No windows give no features, in the right shape and type."""
    features = extract(np.empty((0, 16_000), np.float32), FeatureSpec("mel"))

    assert features.shape == (0, 64, 101)
    assert features.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_graph_runs_everywhere(kind: Any) -> None:
    """The graph is valid, self-contained, the same each time, and free of operators that browsers lack."""
    spec = FeatureSpec(kind, deltas=2, statistics=("mean", "std", "p10"))
    model = frontend(spec, 16_000)

    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert not {node.op_type for node in model.graph.node} & {"STFT", "DFT", "MelWeightMatrix", "HannWindow"}
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert model.SerializeToString() == frontend(spec, 16_000).SerializeToString()


# --- specifications --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"kind": "cqt"}, "kind must be one of mfcc, mel, lfcc, linear", id="kind"),
        pytest.param({"window_length": 513}, "window_length", id="window-above-fft"),
        pytest.param({"window_length": 1}, "window_length", id="window-of-one"),
        pytest.param({"n_fft": 511}, "n_fft must be even", id="odd-fft"),
        pytest.param({"n_fft": 0}, "window_length", id="no-fft"),
        pytest.param({"hop_length": 0}, "hop_length", id="no-hop"),
        pytest.param({"n_bands": 0}, "n_bands must be positive", id="no-bands"),
        pytest.param({"kind": "mfcc", "n_coefficients": 0}, "n_coefficients", id="no-coefficients"),
        pytest.param({"kind": "lfcc", "n_coefficients": 65}, "n_coefficients", id="more-coefficients-than-bands"),
        pytest.param({"f_max": 8_001.0}, "f_max", id="above-nyquist"),
        pytest.param({"f_min": -1.0}, "f_min", id="negative"),
        pytest.param({"f_min": 8_000.0}, "f_min", id="empty-band"),
        pytest.param({"f_min": 1_001.0, "f_max": 1_020.0}, "no FFT bin lies between", id="between-two-bins"),
        pytest.param({"f_max": float("nan")}, "f_max", id="nan"),
        pytest.param({"sample_rate": 0}, "sample_rate", id="no-rate"),
        pytest.param({"deltas": 3}, "deltas", id="deltas"),
        *(
            pytest.param({"statistics": [name]}, "statistics must be mean", id=f"statistic-{name}")
            for name in ("median", "p101", "p", "p-1", "p1.5", "p²", "")
        ),
        pytest.param({"statistics": None}, "feature spec: ", id="statistics-none"),
        pytest.param({"statistics": [5]}, "feature spec: ", id="statistics-of-numbers"),
        pytest.param({"n_fft": "512"}, "feature spec: ", id="number-as-text"),
        pytest.param({"bands": 64}, r"unknown keys \['bands'\]", id="unknown-key"),
    ],
)
def test_bad_specs(values: dict[str, Any], message: str) -> None:
    """What cannot be computed is refused at once, by name."""
    with pytest.raises(DataError, match=message):
        FeatureSpec.from_dict({"kind": "mel", **values})


def test_spec_without_kind() -> None:
    """A kind must be given."""
    with pytest.raises(DataError, match="kind"):
        FeatureSpec.from_dict({})


@pytest.mark.parametrize("kind", KINDS)
def test_spec_goes_through_json(kind: Any) -> None:
    """A spec survives JSON."""
    spec = FeatureSpec(kind, n_bands=30, f_min=50.0, deltas=2, statistics=("mean", "p7"), normalise_level=False)

    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("mel", {"kind": "mel"}, id="kind"),
        pytest.param(" lfcc , n_bands = 40 ", {"kind": "lfcc", "n_bands": 40}, id="spaces"),
        pytest.param("mfcc,f_min=62.5,f_max=4000", {"f_min": 62.5, "f_max": 4_000.0}, id="numbers"),
        pytest.param("mfcc,statistics=mean+p90", {"statistics": ("mean", "p90")}, id="list"),
        pytest.param("mfcc,statistics=", {"statistics": ()}, id="empty-list"),
        pytest.param("mfcc,normalise_level=false", {"normalise_level": False}, id="false"),
        pytest.param("mfcc,normalise_level=true", {}, id="true"),
        pytest.param("mel,n_bands=8", {"kind": "mel", "n_bands": 8}, id="coefficients-do-not-matter"),
        pytest.param("mfcc,deltas=1,deltas=2", {"deltas": 2}, id="last-one-counts"),
    ],
)
def test_changed(text: str, values: dict[str, Any]) -> None:
    """A short text changes what it names and nothing else."""
    spec = FeatureSpec("mfcc", statistics=("std",))

    assert spec.changed(text) == replace(spec, **values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "kind must be one of", id="empty"),
        pytest.param("cqt", "kind must be one of", id="unknown-kind"),
        pytest.param("mel,bands=4", "unknown key 'bands'; keys: sample_rate, n_fft", id="unknown-key"),
        pytest.param("mel,", "unknown key ''", id="comma-at-the-end"),
        pytest.param("mel,n_bands=many", "n_bands='many' is not a int", id="no-number"),
        pytest.param("mel,n_bands", "n_bands='' is not a int", id="no-value"),
        pytest.param("mel,n_bands=1.5", "n_bands='1.5' is not a int", id="fraction"),
        pytest.param("mel,normalise_level=yes", "normalise_level='yes' is not a bool", id="no-boolean"),
        pytest.param("mel,sample_rate=8000", "f_max", id="does-not-fit-the-rest"),
    ],
)
def test_bad_changes(text: str, message: str) -> None:
    """A text that does not fit says what is wrong with it."""
    with pytest.raises(DataError, match=message):
        FeatureSpec("mfcc").changed(text)
