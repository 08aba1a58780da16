"""Textures against the DCT of every patch, and against what they must say of ripples that are known."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from references import FRAMED, WINDOWS, assert_close, make_spec, texture_power
from signals import noise, voice

from deepfake_audio.errors import DataError
from deepfake_audio.features import INPUT, OUTPUT, FeatureSpec, extract, feature_shape, frontend
from deepfake_audio.features.graph import Graph, statistics
from deepfake_audio.runtime import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from references import Array

SPEC = FeatureSpec("mel", window_length=256, hop_length=80)
# Without the digital silence in which all channels are one, and ripples the rounding errors of none.
SIGNALS = np.stack([voice(1.0) + noise(1.0, peak=1e-3), noise(1.0)]).astype(np.float32)

patches = pytest.mark.parametrize(
    ("height", "length"),
    [
        pytest.param(*patch, id=f"{patch[0]}x{patch[1]}")
        for patch in ((7, 13), (2, 2), (2, 32), (32, 2), (11, 5), (3, 18))
    ],
)


def with_texture(height: int, length: int, **changes: Any) -> FeatureSpec:
    """Return the spec of the tests with a texture as its only statistic."""
    return replace(SPEC, statistics=(f"texture{height}x{length}",), **changes)


def decibels(power: Array) -> Array:
    """Return regions, then coefficients but the first, in decibels, as one vector."""
    return np.asarray(10 * np.log10(np.maximum(power.reshape(4, -1)[:, 1:], 1e-6)).ravel())


def texture_of(picture: Array, height: int, length: int) -> Array:
    """Return the texture of one picture of shape (channels, n_frames)."""
    graph = Graph()
    x = graph.add("Reshape", INPUT, graph.constant([-1, *picture.shape], np.int64))
    last = statistics(graph, x, (f"texture{height}x{length}",), picture.shape)
    model = graph.model(last, picture.size, (4 * (height * length - 1),))
    feed = {INPUT: picture.reshape(1, -1).astype(np.float32)}
    return np.asarray(open_session(model.SerializeToString()).run([OUTPUT], feed)[0][0])


# --- references ------------------------------------------------------------------------------------------------


@patches
def test_equals_the_dct_of_every_patch(height: int, length: int) -> None:
    """Regions, then coefficients row by row, are those of SciPy's DCT of every patch."""
    spec = with_texture(height, length)
    pictures = extract(SIGNALS, SPEC)

    textures = extract(SIGNALS, spec)

    for values, picture in zip(textures, pictures, strict=True):
        np.testing.assert_allclose(values, decibels(texture_power(picture, height, length)), atol=0.02)


@patches
def test_power_is_exact_to_a_millionth(height: int, length: int) -> None:
    """On every kind of signal, also where channels are alike, errors are below a millionth of the strongest ripple."""
    pictures = extract(WINDOWS, SPEC)

    textures = extract(WINDOWS, with_texture(height, length))

    for values, picture in zip(textures, pictures, strict=True):
        power = texture_power(picture, height, length)
        expected = 10 ** (decibels(power) / 10)
        np.testing.assert_allclose(10 ** (values / 10), expected, rtol=1e-4, atol=1e-6 * max(1, power.max()))


@pytest.mark.parametrize("kind", FRAMED)
@pytest.mark.parametrize("deltas", [0, 1])
def test_every_kind_has_texture(kind: str, deltas: int) -> None:
    """Textures are those of a kind's channels, with deltas stacked below."""
    spec = make_spec(kind, n_bands=24, deltas=deltas)

    textures = extract(SIGNALS, replace(spec, statistics=("texture4x6",)))

    for values, picture in zip(textures, extract(SIGNALS, spec), strict=True):
        expected = texture_power(picture, 4, 6)
        np.testing.assert_allclose(10 ** (values / 10), 10 ** (decibels(expected) / 10), rtol=1e-3, atol=2e-6)


@patches
def test_smallest_picture(height: int, length: int) -> None:
    """In the smallest picture that is enough, each region is one patch."""
    picture = np.random.default_rng(0).normal(size=(height + 3, length))

    texture = texture_of(picture, height, length)

    expected = 10 ** (decibels(texture_power(picture, height, length)) / 10)
    np.testing.assert_allclose(10 ** (texture / 10), expected, rtol=1e-4, atol=1e-6)


# --- what it hears ---------------------------------------------------------------------------------------------

RIPPLES = [(region, i, j) for region, i, j in np.ndindex(4, 5, 7) if (i, j) != (0, 0)]


@pytest.mark.parametrize(
    ("region", "i", "j"), [pytest.param(*ripple, id="-".join(map(str, ripple))) for ripple in RIPPLES]
)
def test_ripple_is_the_largest(region: int, i: int, j: int) -> None:
    """A ripple of a DCT's shape, laid for a time over some channels of an even picture, is strongest in its place."""
    channels, frames = np.arange(44)[:, np.newaxis], np.arange(210)
    ripple = np.cos(np.pi * i * (channels + 0.5) / 5) * np.cos(np.pi * j * (frames + 0.5) / 7)
    here = (channels >= 10 * region) & (channels < 10 * region + 14) & (frames < 105)

    texture = texture_of(30 + ripple * here, 5, 7)

    assert np.argmax(texture) == region * (5 * 7 - 1) + i * 7 + j - 1


def test_even_picture_has_no_texture() -> None:
    """What stands still is taken off, however different the channels; the rest is the floor."""
    picture = np.repeat(np.arange(40.0)[:, np.newaxis], 100, axis=1)

    np.testing.assert_allclose(texture_of(picture, 7, 13), -60, atol=1e-3)


def test_twice_the_depth_is_6_db_more() -> None:
    """Decibels are those of mean squares."""
    picture = np.random.default_rng(1).normal(size=(20, 60))

    doubled = texture_of(2 * picture, 5, 6)

    np.testing.assert_allclose(doubled, texture_of(picture, 5, 6) + 20 * np.log10(2), atol=0.01)


def test_channels_left_over_do_not_count() -> None:
    """Places are divided into four equal regions; up to three of them at the top are not used."""
    picture = np.random.default_rng(2).normal(size=(4 * 2 + 3 + 2, 40))
    changed = picture.copy()
    changed[-3:] *= 10

    np.testing.assert_array_equal(texture_of(changed, 3, 4), texture_of(picture, 3, 4))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: 0.01 * x, id="quieter"),
        pytest.param(lambda x: 100 * x, id="louder"),
        pytest.param(lambda x: -x, id="polarity"),
        pytest.param(lambda x: x + 0.4, id="dc"),
    ],
)
def test_level_does_not_matter(change: Callable[[Array], Array]) -> None:
    """Gain, polarity and DC offset change no texture."""
    spec = with_texture(7, 13)

    assert_close(extract(change(SIGNALS).astype(np.float32), spec), extract(SIGNALS, spec), tolerance=2e-3)


@pytest.mark.parametrize("signal", [np.zeros(16_000), np.full(16_000, 0.7)], ids=["silence", "dc"])
def test_no_signal_gives_the_floor(signal: Array) -> None:
    """Silence has no texture, and its features are finite."""
    texture = extract(signal[np.newaxis].astype(np.float32), with_texture(7, 13))

    assert np.isfinite(texture).all()
    assert texture.max() < -50


# --- shapes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "size"),
    [
        pytest.param(("texture7x13",), 4 * 90, id="alone"),
        pytest.param(("mean", "texture7x13"), 64 + 4 * 90, id="with-mean"),
        pytest.param(("texture2x2", "p25", "texture7x13", "std"), 4 * 3 + 64 + 4 * 90 + 64, id="two"),
    ],
)
def test_shape(names: tuple[str, ...], size: int) -> None:
    """Vectors hold all statistics end to end, and the graph promises their size."""
    spec = replace(SPEC, statistics=names)

    features = extract(SIGNALS, spec)

    assert feature_shape(spec, 16_000) == (size,)
    alone = [extract(SIGNALS, replace(SPEC, statistics=(name,))) for name in names]
    assert_close(features, np.concatenate(alone, axis=1))
    promised = frontend(spec, 16_000).graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in promised[1:]] == [size]


@pytest.mark.parametrize("function", [feature_shape, frontend], ids=["shape", "graph"])
@pytest.mark.parametrize(
    ("spec", "window_samples", "message"),
    [
        pytest.param(
            with_texture(7, 13, n_bands=9),
            16_000,
            "texture7x13 needs 10 channels or more, mel has 9; take more channels or smaller patches",
            id="channels",
        ),
        pytest.param(
            with_texture(7, 13),
            80 * 12 - 1,
            "texture7x13 needs 13 frames or more, a window of 959 samples has 12; make the window longer",
            id="frames",
        ),
        pytest.param(
            with_texture(7, 13, kind="phase"),
            80 * 14 - 1,
            "texture7x13 needs 13 frames or more, a window of 1,119 samples has 12; make the window longer",
            id="frames-of-phase",
        ),
    ],
)
def test_too_small_a_picture(
    spec: FeatureSpec, window_samples: int, message: str, function: Callable[..., Any]
) -> None:
    """A picture too small for a patch per region is refused, with what it needs; one more is enough."""
    with pytest.raises(DataError, match=f"^features: {message}"):
        function(spec, window_samples)

    assert feature_shape(replace(spec, n_bands=10), window_samples + 1) == (4 * 90,)


# --- names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("texture", "texture7", "texture1x13", "texture7x1", "texture33x2", "texture2x33", "texture07x13"),
        *("texture7x13x2", "texture-7x13", "texture7X13", "texture7.5x13", "texture7x13\n", "p7x13"),
    ],
)
def test_bad_names(name: str) -> None:
    """Patches are of 2 to 32 channels and frames; what is no such name is refused by the rule of statistics."""
    with pytest.raises(
        DataError, match=r"^feature spec: statistics must be mean, .* or texture2x2 to texture32x32, got"
    ):
        FeatureSpec("mel", statistics=(name,))


def test_spec_in_and_out() -> None:
    """A texture can be asked for by text, and survives JSON."""
    spec = FeatureSpec("mfcc").changed("mel,statistics=mean+texture7x13")

    assert spec == FeatureSpec("mel", statistics=("mean", "texture7x13"))
    assert FeatureSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


# --- the graph -------------------------------------------------------------------------------------------------


def test_graph_runs_everywhere() -> None:
    """The graph is valid, small, and what textures add to it are operators that browsers have."""
    model = frontend(with_texture(7, 13), 16_000)

    onnx.checker.check_model(model, full_check=True)
    assert len(model.SerializeToString()) < len(frontend(SPEC, 16_000).SerializeToString()) + 20_000
    added = {node.op_type for node in model.graph.node} - {node.op_type for node in frontend(SPEC, 16_000).graph.node}
    assert added <= {"Concat", "Conv", "Flatten", "Gather", "Reshape", "Unsqueeze"}
