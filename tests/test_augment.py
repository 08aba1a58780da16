"""The selection of changes, and what holds for all of them."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from measures import rng
from signals import RATE, FloatArray, noise, voice

from deepfake_audio.augment import CHANGES, DEFAULT_PROBABILITIES, Augmentation, Change
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORDED = Augmentation({"noise": 1.0, "room": 1.0}, noises=(noise(0.3), noise(0.01)), rooms=(noise(0.2, seed=1),))
EVERYTHING = {
    **CHANGES,
    "defaults": Augmentation(),
    "recorded": RECORDED,
    "all": Augmentation(dict.fromkeys(CHANGES, 1.0)),
}
changes = pytest.mark.parametrize("change", EVERYTHING.values(), ids=EVERYTHING)


@changes
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.ones(1, np.float32), id="1-sample"),
        pytest.param(np.zeros(1, np.float32), id="1-zero"),
        pytest.param(voice(1)[:2], id="2-samples"),
        pytest.param(voice(1)[:101], id="101-samples"),
        pytest.param(np.zeros(4_000, np.float32), id="silence"),
        pytest.param(np.full(4_000, -1, np.float32), id="dc"),
        pytest.param(np.full(1_000, 1e-30, np.float32), id="nearly-silence"),
        pytest.param(voice(0.1) * np.float32(1e9), id="absurdly-loud"),
        pytest.param(voice(0.5), id="voice"),
    ],
)
def test_keeps_length_and_type(change: Change, signal: FloatArray) -> None:
    """Any signal at any rate keeps its length and type, stays finite, and the one that was given is left alone."""
    before = signal.copy()

    for rate, seed in itertools.product((4_000, 8_000, 16_000, 22_050, 48_000, 96_000), range(4)):
        changed = change(signal, rate, rng(seed))
        assert changed.shape == signal.shape
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()

    np.testing.assert_array_equal(signal, before)


@changes
def test_same_generator_same_result(change: Change) -> None:
    """The same state of the generator gives the same signal, another one another."""
    results = [change(voice(1), RATE, rng(seed)) for seed in (*range(10), *range(10))]

    for one, other in zip(results[:10], results[10:], strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({result.tobytes() for result in results}) > 1


@changes
def test_draws_do_not_depend_on_the_signal(change: Change) -> None:
    """A change draws as often for one signal as for another, so that no label can shift what comes later."""
    one, other = rng(3), rng(3)
    change(voice(1), RATE, one)
    change(-0.5 * voice(1, robotic=True), RATE, other)

    assert one.random() == other.random()


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_changes(name: str) -> None:
    """A change that is certain leaves its mark, by its name as by its function."""
    generator = rng(5)
    generator.random(1 + list(CHANGES).index(name))  # one draw for each change decides whether it happens
    changed = Augmentation({name: 1.0})(voice(1), RATE, rng(5))

    assert not np.array_equal(changed, voice(1))
    np.testing.assert_array_equal(changed, CHANGES[name](voice(1), RATE, generator))


def test_defaults_are_gentle() -> None:
    """Every change has a probability, and more than a third of many signals stay as they are."""
    signal, augment = voice(0.1), Augmentation()
    unchanged = sum(np.array_equal(augment(signal, RATE, rng(seed)), signal) for seed in range(300))
    untouched = math.prod(1 - probability for probability in DEFAULT_PROBABILITIES.values())

    assert DEFAULT_PROBABILITIES.keys() == CHANGES.keys()
    assert all(0 < probability <= 0.15 for probability in DEFAULT_PROBABILITIES.values())
    assert untouched > 1 / 3
    assert unchanged / 300 == pytest.approx(untouched, abs=4 * np.sqrt(untouched * (1 - untouched) / 300))


def test_changes_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is certain happens, what is impossible or not named does not, in the order of the table."""

    def times_two(signal: FloatArray, *_: Any) -> FloatArray:
        return 2 * signal

    def plus_one(signal: FloatArray, *_: Any) -> FloatArray:
        return signal + np.float32(1)

    monkeypatch.setitem(CHANGES, "tempo", times_two)
    monkeypatch.setitem(CHANGES, "speed", times_two)
    monkeypatch.setitem(CHANGES, "gain", times_two)
    monkeypatch.setitem(CHANGES, "compress", plus_one)

    changed = Augmentation({"compress": 1.0, "tempo": 1.0, "speed": 0.0})(np.ones(3, np.float32), RATE, rng(0))

    assert changed.tolist() == [3, 3, 3]


def test_recordings_are_used() -> None:
    """A recording takes the place of what is made on the spot: a hum is added, an inverting room inverts."""
    hum = np.tile(np.array([1, -1], np.float32), 50)
    noisy = Augmentation({"noise": 1.0}, noises=(hum,))(voice(1), RATE, rng(0)) - voice(1)
    turned = Augmentation({"room": 1.0}, rooms=(np.array([0, -1], np.float32),))(voice(1), RATE, rng(0))

    np.testing.assert_allclose(np.abs(noisy), np.abs(noisy[0]), rtol=1e-3)
    np.testing.assert_allclose(turned, -voice(1), atol=1e-6)


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        pytest.param({"echo": 0.1}, r"^unknown augmentation 'echo'; known are tempo, .*, compress$", id="unknown"),
        pytest.param({"gain": 1.5}, r"^augmentation 'gain': 1.5 is no probability; .* 0 to 1$", id="above-1"),
        pytest.param({"gain": -0.1}, "'gain': -0.1 is no probability", id="negative"),
        pytest.param({"gain": math.nan}, "'gain': nan is no probability", id="nan"),
    ],
)
def test_bad_probabilities(probabilities: Mapping[str, float], message: str) -> None:
    """A name that is not known, and a number that is no probability, are refused in one line."""
    with pytest.raises(DataError, match=message):
        Augmentation(probabilities)


@pytest.mark.parametrize(
    "recording",
    [
        pytest.param(np.zeros(0, np.float32), id="empty"),
        pytest.param(np.zeros((2, 2), np.float32), id="stereo"),
        pytest.param(np.array([np.nan], np.float32), id="nan"),
    ],
)
def test_bad_recordings(recording: FloatArray) -> None:
    """Recordings that cannot be mixed in are refused, for noise as for rooms."""
    with pytest.raises(DataError, match="non-empty mono signals of finite samples"):
        Augmentation(noises=(voice(1), recording))
    with pytest.raises(DataError, match="non-empty mono signals of finite samples"):
        Augmentation(rooms=(recording,))


def test_frozen() -> None:
    """An augmentation stays as it was made, also where the mapping that it was made from changes."""
    probabilities = {"gain": 0.0}
    augmentation = Augmentation(probabilities)
    probabilities["gain"] = 1.0

    np.testing.assert_array_equal(augmentation(voice(1), RATE, rng(0)), voice(1))


def test_pickle() -> None:
    """A copy that went through a pickle gives the same signals, recordings included."""
    copy = pickle.loads(pickle.dumps(RECORDED))  # noqa: S301 - just written

    np.testing.assert_array_equal(copy(voice(1), RATE, rng(0)), RECORDED(voice(1), RATE, rng(0)))


def test_worker_process() -> None:
    """A process that was started afresh gives the same signals."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        changed = pool.submit(RECORDED, voice(1), RATE, rng(0)).result()

    np.testing.assert_array_equal(changed, RECORDED(voice(1), RATE, rng(0)))
