"""The front end as a whole: deltas, statistics, level, several specs in one graph, shapes, and the graph itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import librosa
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from references import FRAMED, WINDOWS, assert_close, make_spec, reference
from signals import FloatArray, noise, voice

from deepfake_audio.backends import svm
from deepfake_audio.errors import DataError
from deepfake_audio.features import KINDS, VECTORS, FeatureSpec, extract, feature_shape, frontend, n_frames

if TYPE_CHECKING:
    from collections.abc import Callable

# What onnxruntime-web computes in WebAssembly.
PORTABLE = {
    *("Abs", "Add", "AveragePool", "Cast", "Concat", "Conv", "Cos", "Div", "Exp", "Flatten", "Gather", "Identity"),
    *(
        "Log",
        "MatMul",
        "Max",
        "Mod",
        "Mul",
        "Pad",
        "ReduceMax",
        "ReduceMean",
        "Reshape",
        "Sin",
        "Slice",
        "Sqrt",
        "Squeeze",
    ),
    *("Sub", "TopK", "Transpose", "Unsqueeze"),
}
STATISTICS = ("p90", "mean", "min", "p0", "std", "p25", "crest", "max", "p50", "p33", "p100")

kinds = pytest.mark.parametrize("kind", KINDS)
framed = pytest.mark.parametrize("kind", FRAMED)


def summed(kind: str, **changes: Any) -> FeatureSpec:
    """Return a spec of a kind that gives a vector."""
    return make_spec(kind, **({} if kind in VECTORS else {"deltas": 2, "statistics": STATISTICS}), **changes)


def with_frames(kind: str, frames: int, **changes: Any) -> FeatureSpec:
    """Return a spec that gives so many frames of 16,000 samples."""
    n_spectra = frames + (2 if kind == "phase" else 0)
    return make_spec(kind, hop_length=16_000 // n_spectra + 1, **changes)


def operators(specs: FeatureSpec | list[FeatureSpec], window_samples: int = 16_000) -> Counter[str]:
    """Return how many nodes of each operator a front end has."""
    return Counter(node.op_type for node in frontend(specs, window_samples).graph.node)


# --- sums over frames ------------------------------------------------------------------------------------------


@framed
@pytest.mark.parametrize("deltas", [1, 2])
@pytest.mark.parametrize("frames", [101, 3, 1])
def test_deltas_equal_librosa(kind: str, deltas: int, frames: int) -> None:
    """First and second differences are librosa's, stacked below, also with fewer frames than the filter has."""
    spec = with_frames(kind, frames, deltas=deltas)

    features = extract(WINDOWS[:3], spec)

    for one in features:
        base = one[: len(one) // (1 + deltas)]
        assert base.shape[1] == frames
        for order in range(1, deltas + 1):
            expected = librosa.feature.delta(base.astype(np.float64), order=order, mode="nearest")
            np.testing.assert_allclose(one[order * len(base) :][: len(base)], expected, atol=1e-4 * np.abs(base).max())


def statistic(name: str, frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a statistic by NumPy; `crest` is by how much the level of the mean power is above the mean level."""
    if name == "crest":
        return np.asarray(10 * np.log10(np.mean(10 ** (frames / 10), axis=2)) - frames.mean(axis=2))
    if name.startswith("p"):
        return np.asarray(np.percentile(frames, int(name[1:]), axis=2))
    return np.asarray(getattr(np, name)(frames, axis=2))


@framed
@pytest.mark.parametrize("frames", [101, 4, 1])
def test_statistics_equal_numpy(kind: str, frames: int) -> None:
    """Statistics are NumPy's, one after the other in the order that was asked for."""
    spec = with_frames(kind, frames, deltas=1)
    values = extract(WINDOWS, spec).astype(np.float64)

    vectors = extract(WINDOWS, replace(spec, statistics=STATISTICS))

    assert_close(vectors, np.concatenate([statistic(name, values) for name in STATISTICS], axis=1))


# --- level -----------------------------------------------------------------------------------------------------


@kinds
@pytest.mark.parametrize(
    "change",
    [
        *(pytest.param(lambda x, g=g: np.float32(g) * x, id=f"times-{g:g}") for g in (1e-4, 0.1, 10, 1e5, 1e30)),
        pytest.param(lambda x: -x, id="polarity"),
        pytest.param(lambda x: x + np.float32(0.4), id="dc"),
        pytest.param(lambda x: np.float32(0.05) * x - np.float32(0.2), id="quiet-and-dc"),
    ],
)
def test_level_does_not_matter(kind: str, change: Callable[[FloatArray], FloatArray]) -> None:
    """With `normalise_level`, gain, polarity and DC offset leave the features as they are."""
    spec = make_spec(kind)
    # All bins count alike to phases and fine structure: no bin may be so empty that it holds rounding errors.
    windows = WINDOWS[:3] + (0.2 * noise(1.0, seed=3) if kind in ("phase", "cepstrum") else 0)

    assert_close(extract(change(windows), spec), extract(windows, spec), tolerance=2e-3)


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


@kinds
@pytest.mark.parametrize("normalise_level", [True, False])
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.zeros(16_000), id="silence"),
        pytest.param(np.full(16_000, 0.7), id="dc"),
        pytest.param(1e-40 * voice(1.0), id="smallest-floats"),
    ],
)
def test_no_signal_gives_no_nan(kind: str, signal: npt.NDArray[Any], normalise_level: bool) -> None:  # noqa: FBT001
    """What holds no signal still has finite features."""
    spec = summed(kind, normalise_level=normalise_level)

    assert np.isfinite(extract(signal[np.newaxis].astype(np.float32), spec)).all()


@kinds
def test_largest_floats_give_no_nan(kind: str) -> None:
    """Squares do not overflow, since the peak is divided out first."""
    signal = (3e38 * np.sign(noise(1.0))).astype(np.float32)

    assert np.isfinite(extract(signal[np.newaxis], summed(kind))).all()


# --- several specs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "specs",
    [
        pytest.param([summed(kind) for kind in KINDS], id="all-kinds"),
        pytest.param([summed(kind, normalise_level=False) for kind in KINDS] + [summed("mel")], id="two-levels"),
        pytest.param(
            [summed("linear"), summed("linear", f_max=3_000.0), summed("fine", f_max=3_000.0), summed("mel")],
            id="limits",
        ),
        pytest.param([summed("mel", hop_length=hop) for hop in (100, 160)] + [summed("phase")], id="hops"),
        pytest.param(list(svm.DEFAULT_SPECS), id="svm"),
        pytest.param([summed("mel")], id="one"),
    ],
)
def test_several_specs_are_the_single_ones_end_to_end(specs: list[FeatureSpec]) -> None:
    """What shares a graph, and a spectrum, is what each alone would be."""
    windows = WINDOWS[:3]

    features = extract(windows, specs)

    assert_close(features, np.concatenate([extract(windows, spec) for spec in specs], axis=1), tolerance=1e-6)


@pytest.mark.parametrize(
    ("other", "n_spectra"),
    [
        *(pytest.param(summed(kind), 1, id=kind) for kind in KINDS if kind != "mel"),
        pytest.param(summed("mel", n_bands=20, f_min=200.0), 1, id="other-bands"),
        pytest.param(summed("linear", f_max=3_000.0), 2, id="fewer-bins"),
        pytest.param(summed("mel", n_fft=1_024), 2, id="other-fft"),
        pytest.param(summed("mel", window_length=320), 2, id="other-window"),
        pytest.param(summed("mel", hop_length=100), 2, id="other-hop"),
        pytest.param(summed("mel", normalise_level=False), 2, id="other-level"),
    ],
)
def test_a_spectrum_is_computed_once(other: FeatureSpec, n_spectra: int) -> None:
    """Specs that agree in the frame share its two matrix products, and the level is made 1 once."""
    mel = summed("mel")

    together = operators([mel, other])

    alone = operators(mel)["MatMul"] + operators(other)["MatMul"]
    assert together["MatMul"] == alone - 2 * (2 - n_spectra)
    assert together["Abs"] == 1


def test_power_is_computed_once() -> None:
    """Specs that share a spectrum share its squares as well."""
    specs = [make_spec(kind, statistics=("mean",)) for kind in ("mel", "lfcc", "flatness", "cepstrum")]

    def n_squares(some: list[FeatureSpec]) -> int:
        nodes = frontend(some, 16_000).graph.node
        return sum(node.op_type == "Mul" and node.input[0] == node.input[1] for node in nodes)

    assert n_squares(specs[:1]) == n_squares(specs[:3]) == 1 + 2  # of the signal, of real and imaginary part
    assert n_squares(specs) == 1 + 2 + 1  # and of the cepstrum's coefficients


@pytest.mark.parametrize(
    "specs",
    [
        pytest.param([], id="none"),
        pytest.param([make_spec("mel"), summed("mel")], id="frames-and-vector"),
        pytest.param([make_spec("mel"), make_spec("mel")], id="frames"),
        pytest.param([summed("mel"), summed("mel", sample_rate=22_050)], id="two-rates"),
    ],
)
@pytest.mark.parametrize("function", [feature_shape, frontend])
def test_what_cannot_be_put_end_to_end(specs: list[FeatureSpec], function: Callable[..., Any]) -> None:
    """Only vectors at one sample rate can be put end to end."""
    with pytest.raises(DataError, match="only vectors, of one sample_rate, can be put end to end, got"):
        function(specs, 16_000)


# --- shapes ----------------------------------------------------------------------------------------------------


def assert_shape(spec: FeatureSpec, window_samples: int) -> tuple[int, ...]:
    """Require that what comes out, and what the graph promises, has the shape that `feature_shape` says."""
    expected = feature_shape(spec, window_samples)
    assert extract(np.zeros((2, window_samples), np.float32), spec).shape == (2, *expected)
    promised = frontend(spec, window_samples).graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in promised[1:]] == list(expected)
    return expected


@framed
@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("statistics", [(), ("mean",), ("mean", "std", "p50")], ids=["frames", "1", "3"])
@pytest.mark.parametrize("window_samples", [1, 159, 160, 16_001])
def test_shape(kind: str, deltas: int, statistics: tuple[str, ...], window_samples: int) -> None:
    """Frames and statistics have the promised shape; the shortest window of `phase` has two frames more."""
    spec = make_spec(kind, deltas=deltas, statistics=statistics)
    window_samples += 320 if kind == "phase" else 0

    shape = assert_shape(spec, window_samples)

    if not statistics:
        assert shape[1] == n_frames(spec, window_samples)


@pytest.mark.parametrize("kind", VECTORS)
@pytest.mark.parametrize("window_samples", [480, 639, 1_600, 8_000, 48_000])
@pytest.mark.parametrize("n_bands", [1, 24])
def test_shape_of_vectors(kind: str, window_samples: int, n_bands: int) -> None:
    """Vectors have the promised shape, from the shortest window on."""
    assert_shape(make_spec(kind, n_bands=n_bands, hop_length=160, lag=1), window_samples)


@pytest.mark.parametrize(
    ("spec", "fewest"),
    [
        pytest.param(make_spec("phase"), 3, id="phase"),
        pytest.param(make_spec("phase", deltas=2, statistics=("mean",)), 3, id="phase-deltas"),
        pytest.param(make_spec("modulation"), 3, id="modulation"),
        *(
            pytest.param(make_spec("correlation", lag=lag), n, id=f"lag-{lag}")
            for lag, n in ((0, 3), (1, 3), (2, 4), (9, 11))
        ),
    ],
)
@pytest.mark.parametrize("function", [feature_shape, frontend], ids=["shape", "graph"])
def test_too_few_frames(spec: FeatureSpec, fewest: int, function: Callable[..., Any]) -> None:
    """A window too short for a kind is refused, with what it needs; one frame more is enough."""
    enough = spec.hop_length * (fewest - 1)

    with pytest.raises(
        DataError, match=f"{spec.kind} needs {fewest} frames or more, a window of .* has {fewest - 1}; make the window"
    ):
        function(spec, enough - 1)
    assert np.isfinite(extract(noise(1.0)[np.newaxis, :enough], spec)).all()


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


@pytest.mark.parametrize(
    ("specs", "shape"),
    [
        pytest.param(FeatureSpec("mel"), (64, 101), id="frames"),
        pytest.param([summed("mel"), make_spec("correlation")], (64 * 3 * 11 + 64 * 64,), id="vectors"),
    ],
)
def test_no_windows(specs: FeatureSpec | list[FeatureSpec], shape: tuple[int, ...]) -> None:
    """No windows give no features, in the right shape and type."""
    features = extract(np.empty((0, 16_000), np.float32), specs)

    assert features.shape == (0, *shape)
    assert features.dtype == np.float32


# --- the graph -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("specs", [*([summed(kind)] for kind in KINDS), list(svm.DEFAULT_SPECS)], ids=[*KINDS, "svm"])
def test_graph_runs_everywhere(specs: list[FeatureSpec]) -> None:
    """The graph is valid, self-contained, the same each time, and made of operators that browsers have."""
    model = frontend(specs, 16_000)

    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert {node.op_type for node in model.graph.node} <= PORTABLE
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert model.SerializeToString() == frontend(specs, 16_000).SerializeToString()
