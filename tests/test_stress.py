"""Stress: each condition does what its title says, and the table counts what it says that it counts."""

from __future__ import annotations

import pickle
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from measures import AnyArray, delay_of, in_db, pitch_hz, power, rng, spectrum
from scipy.signal import correlate
from signals import RATE, FloatArray, noise, sine, voice

from deepfake_audio import stress
from deepfake_audio.augment import channel
from deepfake_audio.augment.channel import telephoned
from deepfake_audio.datasets import read_dataset
from deepfake_audio.detector import Detector, ModelRef, Skipped, Verdict
from deepfake_audio.errors import DataError
from deepfake_audio.stress import CONDITIONS, Condition, Outcome, StressRow, conditions, run_stress, stress_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deepfake_audio.audio import Recording

NOISES = (noise(0.5, seed=1), noise(7.0, seed=2))
ROOMS = (noise(0.2, seed=3),)
EVERYTHING = conditions(NOISES, ROOMS)


def through(name: str, signal: FloatArray, seed: int = 0) -> AnyArray:
    """Return a signal after a condition, in double precision so that differences can be taken."""
    return EVERYTHING[name].change(signal, RATE, rng(seed)).astype(np.float64)


# --- the conditions --------------------------------------------------------------------------------------------


def test_which_there_are() -> None:
    """Clean comes first; what needs recordings is there only with them, in its place."""
    before = ["clean", "telephone-band", "g711-mu-law", "g711-a-law"]
    before += ["mp3-128", "mp3-64", "mp3-32", "opus-24", "opus-12", "vorbis", "8-khz", "22-khz", "44-khz"]
    before += ["white-noise-30-db", "white-noise-20-db", "white-noise-10-db"]
    recorded = ["recorded-noise-30-db", "recorded-noise-20-db", "recorded-noise-10-db"]
    after = ["20-db-louder", "20-db-softer", "clipped", "silence-added", "silence-removed"]
    after += ["slower", "faster", "low-pass", "high-pass"]

    assert list(CONDITIONS) == [*before, "room", *after]
    assert list(conditions(noises=NOISES)) == [*before, *recorded, "room", *after]
    assert list(conditions(rooms=ROOMS)) == [*before, "room", "recorded-room", *after]
    assert list(EVERYTHING) == [*before, *recorded, "room", "recorded-room", *after]
    assert len({condition.title for condition in EVERYTHING.values()}) == len(EVERYTHING)


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize(
    "signal",
    [
        pytest.param(np.ones(1, np.float32), id="1-sample"),
        pytest.param(np.zeros(1, np.float32), id="1-zero"),
        pytest.param(voice(1)[:101], id="101-samples"),
        pytest.param(np.zeros(4_000, np.float32), id="silence"),
        pytest.param(np.full(4_000, -1, np.float32), id="dc"),
        pytest.param(voice(0.1) * np.float32(1e6), id="absurdly-loud"),
        pytest.param(voice(0.5), id="voice"),
    ],
)
def test_any_signal_can_be_changed(name: str, signal: FloatArray) -> None:
    """Whatever the signal and the rate, there is one afterwards, finite; the one that was given is left alone."""
    before = signal.copy()
    for rate in (8_000, 16_000, 24_000):
        changed = EVERYTHING[name].change(signal, rate, rng(0))
        assert changed.ndim == 1
        assert len(changed) >= 1
        assert changed.dtype == np.float32
        assert np.isfinite(changed).all()
    np.testing.assert_array_equal(signal, before)


@pytest.mark.parametrize("name", EVERYTHING)
def test_conditions_are_deterministic(name: str) -> None:
    """The same generator gives the same signal; only noise and rooms depend on it."""
    signal, is_random = voice(1), any(word in name for word in ("noise", "room"))
    changed = through(name, signal)

    np.testing.assert_array_equal(changed, through(name, signal))
    assert np.array_equal(changed, through(name, signal, seed=1)) is not (is_random and name != "recorded-room")
    assert np.array_equal(changed, signal) is (name in {"clean", "8-khz", "22-khz", "44-khz"})


def kept(name: str) -> tuple[AnyArray, AnyArray]:
    """Return frequencies, and by how many dB a condition lowers each in white noise."""
    signal = noise(20.0)
    hz, before = spectrum(signal, RATE)
    _, after = spectrum(through(name, signal), RATE)
    return hz, 20 * np.log10(before / (after + 1e-12))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        pytest.param("telephone-band", 300, 3_400, id="telephone-band"),
        pytest.param("low-pass", 0, 4_000, id="low-pass"),
        pytest.param("high-pass", 300, 8_000, id="high-pass"),
    ],
)
def test_bands(name: str, low: int, high: int) -> None:
    """What lies within passes as it is, what lies beyond the slopes is gone, and at the edges half is left."""
    hz, lowered_db = kept(name)
    inside = (hz > low + 55 * (low > 0)) & (hz < min(high - 105, 7_700))

    assert np.abs(lowered_db[inside]).max() < 0.01
    for edge, is_outside in ((low, hz < low - 55), (high, hz > high + 105)):
        if 0 < edge < 8_000:
            assert lowered_db[is_outside].min() > 60
            assert np.median(lowered_db[np.abs(hz - edge) < 2]) == pytest.approx(6.0, abs=0.5)


@pytest.mark.parametrize("law", ["mu-law", "a-law"])
def test_telephone(law: str) -> None:
    """The line of its law, tested in `test_augment_channel`."""
    np.testing.assert_array_equal(through(f"g711-{law}", voice(1)), telephoned(voice(1), RATE, law))


BIT_RATES = {"mp3-128": 128.0, "mp3-64": 64.0, "mp3-32": 32.0, "opus-24": 23.6, "opus-12": 12.3, "vorbis": 37.0}


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Return what will have been encoded: codec, sample rate, and bytes of the file."""
    found: list[tuple[str, int, int]] = []
    real = channel.encoded

    def spy(signal: FloatArray, sample_rate: int, codec: str, *options: Any) -> bytes:
        content = real(signal, sample_rate, codec, *options)
        found.append((codec, sample_rate, len(content)))
        return content

    monkeypatch.setattr(channel, "encoded", spy)
    return found


@pytest.mark.parametrize("name", list(BIT_RATES)[:5])
@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_bit_rates(name: str, rate: int, sizes: list[tuple[str, int, int]]) -> None:
    """The encoder gets 16 kHz whatever the rate; MP3 is of the very bit rate, Opus may do as the sound asks."""
    EVERYTHING[name].change(voice(20.0, rate), rate, rng(0))
    ((codec, encoded_at, n_bytes),) = sizes

    assert name.startswith(codec)
    assert encoded_at == 16_000
    assert 8 * n_bytes / 20.0 / 1_000 == pytest.approx(BIT_RATES[name], rel=0.01 if codec == "mp3" else 0.15)


@pytest.mark.parametrize("name", BIT_RATES)
def test_bit_rates_of_real_speech(name: str, shared: Path, sizes: list[tuple[str, int, int]]) -> None:
    """A minute of real speech has the bit rate that the title gives."""
    utterances = read_dataset(shared / "corpus" / "manifest.csv").select("train").utterances[::160]
    signal = np.concatenate([soundfile.read(u.path, dtype="float32")[0] for u in utterances])
    through(name, signal)

    assert len(signal) / RATE > 55
    assert 8 * sizes[0][2] / len(signal) * RATE / 1_000 == pytest.approx(BIT_RATES[name], rel=0.05)


@pytest.mark.parametrize("name", BIT_RATES)
def test_codecs_leave_a_voice(name: str) -> None:
    """What is decoded is the same voice, in its place and at its level."""
    signal = voice(3)
    changed = through(name, signal)

    assert delay_of(changed, signal) == 0
    assert in_db(power(changed) / power(signal)) == pytest.approx(0, abs=1)
    assert in_db(power(signal) / power(changed - signal)) > 5


def test_fewer_bits_more_error() -> None:
    """Errors grow as bit rates fall."""
    signal = voice(3)
    errors = {name: power(through(name, signal) - signal) for name in BIT_RATES}

    assert errors["mp3-128"] < errors["mp3-64"] < errors["mp3-32"]
    assert errors["opus-24"] < errors["opus-12"]


@pytest.mark.parametrize("kind", ["white", "recorded"])
def test_noise(kind: str) -> None:
    """The same noise at three levels, each as far below the speech as the name says."""
    signal = voice(3)
    added = {db: through(f"{kind}-noise-{db}-db", signal) - signal for db in (30, 20, 10)}

    for db, sound in added.items():
        assert in_db(power(signal) / power(sound)) == pytest.approx(db, abs=0.01)
        assert np.corrcoef(sound, added[10])[0, 1] > 0.9999


def test_white_noise_is_white() -> None:
    """Every quarter of the band holds a quarter of the power."""
    signal = voice(20)
    _, amplitude = spectrum((through("white-noise-10-db", signal) - signal).astype(np.float32), RATE)
    quarters = np.array([np.sum(part**2) for part in np.array_split(amplitude, 4)])

    np.testing.assert_allclose(quarters / quarters.sum(), 0.25, rtol=0.05)


def test_recorded_noise_is_a_piece_of_a_recording() -> None:
    """What is added lies in one of the recordings as it stands, repeated where that is too short."""
    signal = voice(0.7)
    repeated = [np.tile(recording, 1 + -(-len(signal) // len(recording))) for recording in NOISES]
    found = set()
    for seed in range(12):
        sound = through("recorded-noise-10-db", signal, seed) - signal
        likeness = [correlate(whole, sound, "valid", "fft").max() for whole in repeated]
        best = int(np.argmax(likeness))
        assert likeness[best] / (np.linalg.norm(sound) * np.linalg.norm(repeated[best][: len(sound)])) > 0.98
        found.add(best)
    assert found == {0, 1}


def test_made_room() -> None:
    """The answer to a click is the click, and as much energy again in noise that falls by 60 dB in 0.6 s."""
    click = np.zeros(RATE, np.float32)
    click[0] = 1
    tail = through("room", click) - click
    decay_db = 10 * np.log10(np.cumsum(tail[::-1] ** 2)[::-1] / np.sum(tail**2) + 1e-12)  # Schroeder 1965
    fitted = (decay_db < -5) & (decay_db > -35)

    assert in_db(float(np.sum(tail**2))) == pytest.approx(0, abs=0.01)
    assert -60 / np.polyfit(np.flatnonzero(fitted) / RATE, decay_db[fitted], 1)[0] == pytest.approx(0.6, rel=0.1)


def test_recorded_room() -> None:
    """The signal is convolved with the response, in its place and at its level."""
    response = np.zeros(500, np.float32)
    response[[3, 83]] = 2.0, 1.0
    changed = conditions(rooms=(response,))["recorded-room"].change(voice(1), RATE, rng(0))
    echo = voice(1) + 0.5 * np.pad(voice(1), (80, 0))[:RATE]

    np.testing.assert_allclose(changed, echo * np.sqrt(power(voice(1)) / power(echo)), atol=1e-5)


def test_level() -> None:
    """20 dB are a factor of 10, beyond full scale too."""
    signal = voice(1) / np.abs(voice(1)).max()

    np.testing.assert_allclose(through("20-db-louder", signal), 10 * signal.astype(np.float64), rtol=1e-6)
    np.testing.assert_allclose(through("20-db-softer", signal), signal.astype(np.float64) / 10, rtol=1e-6)
    assert np.abs(through("20-db-louder", signal)).max() == pytest.approx(10)


def test_clipping() -> None:
    """5 % of the samples stand at a ceiling that was theirs to exceed; the others are as they were."""
    signal = noise(1.0, seed=5)
    changed = through("clipped", signal)
    ceiling = np.abs(changed).max()
    at_ceiling = np.abs(signal) >= ceiling

    assert at_ceiling.mean() == pytest.approx(0.05, abs=1e-4)
    assert ceiling == pytest.approx(np.sort(np.abs(signal))[round(0.95 * RATE)], rel=1e-3)
    np.testing.assert_array_equal(changed[~at_ceiling], signal[~at_ceiling])
    np.testing.assert_allclose(changed[at_ceiling], np.sign(signal[at_ceiling]) * ceiling)


def test_silence_added() -> None:
    """A second of zeros at both ends, the speech between them as it was."""
    changed = through("silence-added", voice(1))

    assert len(changed) == 3 * RATE
    assert not changed[:RATE].any()
    assert not changed[-RATE:].any()
    np.testing.assert_array_equal(changed[RATE:-RATE], voice(1))


def test_silence_removed() -> None:
    """What is softer than a hundredth of the peak goes at both ends, and stays within."""
    loud, soft = np.full(100, -0.5, np.float32), np.full(70, 0.0049, np.float32)
    just_loud = np.full(1, 0.0051, np.float32)
    signal = np.concatenate([soft, just_loud, soft, loud, soft, loud, soft, soft])

    np.testing.assert_array_equal(through("silence-removed", signal), signal[70:-140])
    np.testing.assert_array_equal(through("silence-removed", np.zeros(9, np.float32)), np.zeros(9))


@pytest.mark.parametrize(("name", "tempo"), [("slower", 0.9), ("faster", 1.1)])
def test_tempo(name: str, tempo: float) -> None:
    """The length changes, the pitch does not."""
    signal = sine(200, 2.0)
    changed = through(name, signal)

    assert len(changed) == pytest.approx(len(signal) / tempo, abs=1)
    assert pitch_hz(changed[2_000:-2_000], RATE) == pytest.approx(200, abs=1)


# --- scores under each -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector(tiny_model: Path) -> Detector:
    """Return a detector that tells the voices of these tests apart."""
    return Detector.load(tiny_model)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return recordings of several formats, one that cannot be read, and one without speech."""
    directory = tmp_path_factory.mktemp("stress")
    made = {
        "a.wav": (voice(2.0, seed=1), RATE),
        "b.flac": (voice(2.0, 44_100, seed=2, robotic=True), 44_100),
        "c.ogg": (voice(1.5, 8_000, seed=3), 8_000),
        "d.wav": (np.stack([voice(1.5, seed=4), voice(1.5, seed=5)], axis=1), RATE),
        "silence.wav": (np.zeros(RATE), RATE),
        "one.wav": (np.ones(1), 96_000),
    }
    for name, (signal, rate) in made.items():
        soundfile.write(directory / name, signal, rate)
    (directory / "text.wav").write_text("no audio")
    return [str(directory / name) for name in ("a.wav", "text.wav", *list(made)[1:], "missing.wav")]


FEW = {name: EVERYTHING[name] for name in ("clean", "8-khz", "white-noise-10-db", "recorded-noise-10-db", "room")}


def outcomes(paths: Sequence[str], detector: Detector, **options: Any) -> list[tuple[Outcome, ...]]:
    """Return the outcomes of recordings all of which can be read."""
    results = list(run_stress(paths, detector, options.pop("conditions", FEW), **options))
    return [result for result in results if not isinstance(result, Skipped)]


def test_clean_is_what_the_detector_says(files: list[str], detector: Detector) -> None:
    """Without a change every file of any format gets the score and verdict that it gets from its path."""
    for path, result in zip(files, run_stress(files, detector, {"clean": CONDITIONS["clean"]}), strict=True):
        direct = detector.score(path)
        if isinstance(direct, Skipped):
            assert result == direct
        else:
            assert result == (Outcome("clean", direct.llr_genuine, direct.verdict),)


def test_what_cannot_be_read_is_skipped_once(files: list[str], detector: Detector) -> None:
    """Each file has its result in its place: one outcome for each condition by its name, or the reason."""
    results = list(run_stress(files, detector, FEW))

    assert [r.reason for r in results if isinstance(r, Skipped)] == ["not_audio", "missing"]
    assert isinstance(results[1], Skipped)
    assert isinstance(results[-1], Skipped)
    for result in results[2:-1]:
        assert not isinstance(result, Skipped)
        assert [outcome.condition for outcome in result] == list(FEW)


def test_same_results_for_any_number_of_processes(files: list[str], detector: Detector) -> None:
    """Two processes find the same as one, in the same order, with noise and all."""
    alone = list(run_stress(files, detector, FEW))

    assert list(run_stress(iter(files), detector, FEW, jobs=2)) == alone


def test_noise_depends_on_the_recording_and_the_seed_alone(
    files: list[str], detector: Detector, tmp_path: Path
) -> None:
    """A file has the same noise under another name and in other company; another seed is another noise."""
    shutil.copy(files[0], tmp_path / "copy.wav")
    first, other, copy = outcomes([files[0], files[2], str(tmp_path / "copy.wav")], detector)

    assert copy == first
    assert other != first
    assert outcomes([files[0]], detector) == [first]
    reseeded = outcomes([files[0]], detector, seed=1)[0]
    assert reseeded[:2] == first[:2]
    assert all(a.llr_genuine != b.llr_genuine for a, b in zip(reseeded[2:], first[2:], strict=True))


@pytest.mark.parametrize(
    ("name", "rate", "loudest"),
    [
        pytest.param("clean", 16_000, 1.0, id="clean"),
        pytest.param("8-khz", 8_000, 1.0, id="8-khz"),
        pytest.param("22-khz", 22_050, 1.0, id="22-khz"),
        pytest.param("44-khz", 44_100, 1.0, id="44-khz"),
        pytest.param("20-db-louder", 16_000, 10.0, id="louder"),
    ],
)
def test_what_the_detector_is_given(
    name: str, rate: int, loudest: float, detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The detector gets a recording of the condition's rate, as long as the original, at a level not cut off."""
    given: list[tuple[int, AnyArray]] = []
    real = detector.score_recording

    def spy(recording: Recording) -> Any:
        blocks = list(recording._decoded)
        given.append((recording.sample_rate, np.concatenate(blocks)[:, 0]))
        recording._decoded = iter(blocks)
        return real(recording)

    monkeypatch.setattr(detector, "score_recording", spy)
    soundfile.write(tmp_path / "a.wav", sine(300, 1.0, peak=1.0), RATE, subtype="FLOAT")
    list(run_stress([str(tmp_path / "a.wav")], detector, {name: CONDITIONS[name]}))
    ((found, signal),) = given

    assert found == rate
    assert len(signal) == rate
    assert np.abs(signal[500:-500]).max() == pytest.approx(loudest, rel=1e-3)


def test_first_minute_only(detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the limit is not read."""
    monkeypatch.setattr(stress, "MAX_SECONDS", 2.0)
    signal = np.concatenate([voice(2.0, seed=1), voice(20.0, seed=2, robotic=True)])
    soundfile.write(tmp_path / "long.wav", signal, RATE)
    soundfile.write(tmp_path / "short.wav", signal[: 2 * RATE], RATE)
    long, short = outcomes([str(tmp_path / "long.wav"), str(tmp_path / "short.wav")], detector, conditions=CONDITIONS)

    for a, b in zip(long, short, strict=True):
        if "noise" not in a.condition and a.condition != "room":  # these draw by the bytes of the file
            assert a == b


def test_what_a_worker_does(files: list[str], detector: Detector) -> None:
    """A worker keeps the copy of the detector and the conditions that it was sent, and scores with them."""
    stress._take(pickle.loads(pickle.dumps(stress._Stress(detector, FEW, 0))))  # noqa: S301 - our own
    assert [stress._outcomes(files[0])] == outcomes([files[0]], detector)


def test_results_come_as_they_are_made(files: list[str], detector: Detector) -> None:
    """A result is there before the next file is touched."""
    touched: list[int] = []

    def change(signal: FloatArray, _rate: int, _rng: np.random.Generator) -> FloatArray:
        touched.append(len(signal))
        return signal

    results = run_stress([files[0], files[2]], detector, {"clean": Condition("", change)})
    next(results)
    assert len(touched) == 1


# --- the table -------------------------------------------------------------------------------------------------


def told(llr: float | None, threshold: float = 0.0) -> tuple[float | None, Verdict]:
    """Return a log-likelihood ratio and its verdict, inconclusive within 1 of the threshold."""
    if llr is None:
        return None, "no_speech"
    if abs(llr - threshold) < 1:
        return llr, "inconclusive"
    return llr, "genuine" if llr > threshold else "deepfake"


def made(*columns: Sequence[float | None]) -> list[tuple[Outcome, ...]]:
    """Return the results of recordings from the log-likelihood ratios under each condition."""
    return [
        tuple(Outcome(f"c{place}", *told(llr)) for place, llr in enumerate(llrs)) for llrs in zip(*columns, strict=True)
    ]


def test_table() -> None:
    """Every figure of a small table is the one worked out by hand."""
    truth = [True, True, True, True, False, False, False, False]
    clean = [4.0, 3.0, 2.0, -3.0, -4.0, -3.0, -2.0, 0.5]
    worse = [4.0, -3.0, 0.5, -3.0, -4.0, 2.0, None, 1.5]
    first, second = stress_table(truth, made(clean, worse), 0.0)

    # Clean: one genuine of four rejected, one spoof of four accepted, and so at the threshold -3 too.
    rates = {"eer": 0.25, "frr": 0.25, "far": 0.25, "balanced_accuracy": 0.75}
    unchanged = {"eer_change": 0.0, "llr_change_median": 0.0, "verdict_changed": 0.0, "verdict_reversed": 0.0}
    assert first == StressRow("c0", 4, 4, 0, **rates, **unchanged)
    assert (second.condition, second.n_bonafide, second.n_spoof, second.n_no_speech) == ("c1", 4, 3, 1)
    # Genuine -3 -3 0.5 4, spoof -4 1.5 2. Up to 0.5 three of four are rejected and two of three accepted; two of four
    # and two of three up to the second -3: the former pair is nearer.
    assert second.eer == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert second.eer_change == pytest.approx((3 / 4 + 2 / 3) / 2 - 1 / 4)
    assert second.frr == 0.5
    assert second.far == pytest.approx(2 / 3)
    assert second.balanced_accuracy == pytest.approx(1 - (1 / 2 + 2 / 3) / 2)
    # Changes of 0 6 1.5 0 0 5 1 in the seven with speech under both.
    assert second.llr_change_median == 1.0
    # Other verdicts: -3 for 3, 0.5 for 2, 2 for -3, none for -2, 1.5 for 0.5. Two of them were and are told.
    assert second.verdict_changed == 5 / 8
    assert second.verdict_reversed == 2 / 8


def test_threshold_is_inclusive() -> None:
    """What scores the threshold is called genuine, as everywhere."""
    (row,) = stress_table([True, False], made([1.5, 1.5]), 1.5)

    assert (row.frr, row.far, row.balanced_accuracy) == (0.0, 1.0, 0.5)


def test_condition_that_leaves_no_speech_of_a_class() -> None:
    """Its rates are missing, not made up; the other class keeps its own."""
    _, row, nothing = stress_table([True, False], made([2.0, -2.0], [None, 3.0], [None, None]), 0.0)

    assert (row.n_bonafide, row.n_spoof, row.n_no_speech) == (0, 1, 1)
    assert (row.eer, row.frr, row.balanced_accuracy, row.eer_change) == (None, None, None, None)
    assert row.far == 1.0
    assert row.llr_change_median == 5.0
    assert (nothing.far, nothing.llr_change_median, nothing.verdict_changed, nothing.verdict_reversed) == (
        None,
        None,
        1.0,
        0.0,
    )


def skipped(path: str) -> Skipped:
    """Return what a file that cannot be read gives."""
    return Skipped(path, "missing", f"{path}: there is no such file", ModelRef("m", "0"))


def test_what_could_not_be_read_is_in_no_figure() -> None:
    """The rows are those without it, and the truth of the others stays with them."""
    results: list[Any] = [skipped("a"), *made([2.0, -2.0], [3.0, 3.0])]

    assert stress_table([False, True, False], iter(results), 0.0) == stress_table([True, False], results[1:], 0.0)


def test_nothing_to_tell() -> None:
    """Without recordings, without one class, or with another number of results there is no table."""
    with pytest.raises(DataError, match="none of the 2 recordings could be read"):
        stress_table([True, False], [skipped("a"), skipped("b")], 0.0)
    with pytest.raises(DataError, match="no recording with speech under 'c0'"):
        stress_table([True, False], made([None, -2.0], [1.0, 2.0]), 0.0)
    with pytest.raises(ValueError, match="zip"):
        stress_table([True, False], made([1.0]), 0.0)


def test_the_way_through(detector: Detector, tmp_path: Path) -> None:
    """On voices that a model tells apart, a louder copy changes nothing, and noise is worse the more there is."""
    paths, truth = [], []
    for number in range(12):
        robotic = number % 2 == 1
        soundfile.write(tmp_path / f"{number}.wav", voice(1.5, seed=500 + number, robotic=robotic), RATE)
        paths.append(str(tmp_path / f"{number}.wav"))
        truth.append(not robotic)
    names = ("clean", "20-db-louder", "white-noise-30-db", "white-noise-20-db", "white-noise-10-db")
    chosen = {name: CONDITIONS[name] for name in names}
    rows = stress_table(truth, run_stress(paths, detector, chosen), detector.threshold)
    clean, louder, *noisy = rows

    assert [row.condition for row in rows] == list(names)
    assert clean.eer == 0.0
    assert louder.llr_change_median == pytest.approx(0.0, abs=0.05)
    changes = [row.llr_change_median for row in noisy]
    assert all(change is not None for change in changes)
    assert changes == sorted(changes)  # type: ignore[type-var]
    assert changes[-1] > 0.5  # type: ignore[operator]
