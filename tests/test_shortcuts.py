"""Shortcuts: properties against their definitions, and data sets with and without one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from measures import AnyArray, rng
from signals import RATE, FloatArray, noise, silence, sine, voice

from deepfake_audio import shortcuts
from deepfake_audio.datasets import Label, Utterance, read_dataset
from deepfake_audio.errors import DataError
from deepfake_audio.metrics import roc_auc
from deepfake_audio.shortcuts import (
    NOMINAL,
    TELLING_EER,
    UNITS,
    Joint,
    Properties,
    Shortcut,
    ShortcutCheck,
    Unreadable,
    measure,
    measure_all,
    shortcut_check,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@pytest.fixture
def of(tmp_path: Path) -> Callable[..., Properties]:
    """Return a function from a signal to the properties of a WAV file that holds it."""

    def measured(signal: AnyArray, rate: int = RATE) -> Properties:
        soundfile.write(tmp_path / "a.wav", signal, rate, subtype="FLOAT")
        found = measure(str(tmp_path / "a.wav"))
        assert isinstance(found, Properties)
        return found

    return measured


# --- one file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize(("before", "after"), [(0.5, 0.25), (0.0, 0.1), (20.0, 0.0)])
def test_silence_at_the_ends(of: Callable[..., Properties], rate: int, before: float, after: float) -> None:
    """What stays below a hundredth of the peak at the ends is silence, found to a frame of 10 ms; within it is not."""
    hush = noise(0.3, rate, peak=0.004)
    parts = [
        noise(before, rate, peak=0.004),
        sine(900, 0.2, rate),
        hush,
        sine(900, 0.2, rate),
        noise(after, rate, 0.004),
    ]
    found = of(np.concatenate(parts), rate)

    assert found.leading_silence == pytest.approx(before, abs=0.0101)
    assert found.trailing_silence == pytest.approx(after, abs=0.0101)
    assert found.duration == pytest.approx(before + 0.7 + after, abs=1e-3)


def test_a_hundredth_of_the_peak(of: Callable[..., Properties]) -> None:
    """The limit lies there, and moves with the level."""
    for factor in (1.0, 0.01):
        loud = np.ones(1_600, np.float32) * np.float32(factor)
        assert of(np.concatenate([0.0099 * loud, loud])).leading_silence == 0.1
        assert of(np.concatenate([0.0101 * loud, loud])).leading_silence == 0.0


def test_levels(of: Callable[..., Properties]) -> None:
    """A sine of peak 0.5 has -6.02 dBFS at its peak and 3.01 dB less power; an offset of 0.1 has -20 dBFS."""
    tone = of(sine(1_000, 1.0, peak=0.5))
    shifted = of(sine(1_000, 1.0, peak=0.5) + np.float32(0.1))

    assert tone.peak == pytest.approx(-6.021, abs=1e-3)
    assert tone.loudness == pytest.approx(-9.031, abs=1e-3)
    assert tone.dc_offset < -100
    assert shifted.dc_offset == pytest.approx(-20.0, abs=0.01)
    assert shifted.loudness == pytest.approx(10 * np.log10(0.5**2 / 2 + 0.1**2), abs=1e-3)
    assert of(np.tile(np.array([1.0, -1.0]), 800)).loudness == 0.0


def test_noise_floor(of: Callable[..., Properties]) -> None:
    """A tenth of the frames stay below it: here those of soft noise, of power peak ** 2 / 3, and not its offset."""
    soft = noise(0.3, peak=0.001) + np.float32(0.01)
    found = of(np.concatenate([sine(500, 0.7), soft]))

    assert found.noise_floor == pytest.approx(10 * np.log10(0.001**2 / 3), abs=0.6)
    assert of(sine(500, 1.0)).noise_floor == pytest.approx(-9.03, abs=0.01)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_energy(of: Callable[..., Properties], rate: int) -> None:
    """99 % of a tone's energy lies at it, 1.1 % at another moves the edge, 0.9 % does not; an offset is no energy."""
    low, high = sine(500, 4.0, rate), sine(3_000, 4.0, rate)

    assert of(low, rate).energy_99 == pytest.approx(500, abs=40)
    assert of(low + np.float32(np.sqrt(0.009)) * high + np.float32(0.3), rate).energy_99 == pytest.approx(500, abs=80)
    assert of(low + np.float32(np.sqrt(0.0115)) * high, rate).energy_99 == pytest.approx(3_000, abs=40)


def test_bandwidth(of: Callable[..., Properties]) -> None:
    """The highest tone less than 60 dB below the strongest counts; white noise reaches to half the rate."""
    strong = sine(500, 2.0, peak=0.5)

    assert of(strong + sine(5_000, 2.0, peak=0.5e-3 * 1.2)).bandwidth == pytest.approx(5_000, abs=60)
    assert of(strong + sine(5_000, 2.0, peak=0.5e-3 / 1.2)).bandwidth == pytest.approx(500, abs=120)
    assert of(noise(2.0, 22_050), 22_050).bandwidth == pytest.approx(11_025, abs=1)
    assert of(noise(2.0, 22_050), 22_050).energy_99 == pytest.approx(0.99 * 11_025, abs=60)


def test_digital_zeros(of: Callable[..., Properties]) -> None:
    """Samples that are exactly 0 count, wherever they stand; the smallest other number does not."""
    assert of(np.array([0.0, 0.5, 0.0, 1e-30, -0.5])).digital_zeros == 0.4
    assert of(np.concatenate([silence(1.0), np.full(3 * RATE, 1e-6)])).digital_zeros == 0.25


def test_facts_of_the_file(tmp_path: Path) -> None:
    """Rate and channels are the file's own, the format is its suffix, the bit rate its size by its duration."""
    path = tmp_path / "A.Song.FLAC"
    signal = voice(2.0, 22_050)
    soundfile.write(path, np.stack([signal, 0.5 * signal], axis=1), 22_050)
    found = measure(str(path))

    assert isinstance(found, Properties)
    assert (found.sample_rate, found.channels, found.format, found.duration) == (22_050, 2, "flac", 2.0)
    assert found.bit_rate == pytest.approx(8 * path.stat().st_size / 2.0 / 1_000)
    assert found.peak == pytest.approx(20 * np.log10(0.75 * np.abs(signal).max()), abs=1e-3)
    soundfile.write(tmp_path / "plain", signal, 22_050, format="WAV")
    assert measure(str(tmp_path / "plain")).format == ""  # type: ignore[union-attr]


def test_file_without_sound(of: Callable[..., Properties]) -> None:
    """Digital silence has silence for its whole length from either end, -120 dBFS, and no band."""
    found = of(silence(1.0))

    assert (found.leading_silence, found.trailing_silence, found.duration) == (1.0, 1.0, 1.0)
    assert (found.loudness, found.peak, found.noise_floor, found.dc_offset) == (-120, -120, -120, -120)
    assert (found.energy_99, found.bandwidth, found.digital_zeros) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("n", [1, 2, 159, 160, 161, 641])
def test_very_short(of: Callable[..., Properties], n: int) -> None:
    """A file of one sample has all properties, and all are finite."""
    found = of(np.full(n, 0.5, np.float32))

    assert (found.leading_silence, found.trailing_silence, found.duration) == (0.0, 0.0, n / RATE)
    assert found.loudness == pytest.approx(-6.02, abs=0.01)
    assert all(np.isfinite(getattr(found, name)) for name in UNITS if name != "format")


def test_blocks_do_not_matter(of: Callable[..., Properties], monkeypatch: pytest.MonkeyPatch) -> None:
    """However the decoder cuts a file, its properties are the same."""
    signal = np.concatenate([noise(0.3, peak=1e-4), voice(3.0), silence(0.123)])
    whole = of(signal)
    monkeypatch.setattr("deepfake_audio.audio._BLOCK_VALUES", 777)
    cut = of(signal)

    assert cut.format == whole.format
    for name in set(UNITS) - {"format"}:
        assert getattr(cut, name) == pytest.approx(getattr(whole, name), rel=1e-9)


def test_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result for each in its place, the same by two processes; what cannot be read says why."""
    monkeypatch.setattr(shortcuts, "_FEW_FILES", 3)
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.wav", noise(0.1 * (1 + number)), RATE)
    (tmp_path / "text.wav").write_text("no audio")
    paths = [str(tmp_path / name) for name in ("3.wav", "text.wav", "0.wav", "gone.wav", "1.wav")]
    results = list(measure_all(paths))

    assert [round(r.duration, 3) for r in results if isinstance(r, Properties)] == [0.4, 0.1, 0.2]
    assert [(r.path, r.reason) for r in results if isinstance(r, Unreadable)] == [
        (paths[1], "not_audio"),
        (paths[3], "missing"),
    ]
    assert list(measure_all(iter(paths), jobs=2)) == results


# --- a data set ------------------------------------------------------------------------------------------------


def properties(**values: Any) -> Properties:
    """Return properties, all the same but for those that are given."""
    plain: dict[str, Any] = dict.fromkeys(UNITS, 1.0)
    return Properties(**(plain | {"sample_rate": 16_000, "channels": 1, "format": "wav"} | values))


def utterances(truth: Sequence[bool], groups: Sequence[str] = ()) -> list[Utterance]:
    """Return utterances with these labels, each in a group of its own if none are given."""
    return [
        Utterance(
            path=Path(f"{n}.wav"),
            label=Label.BONAFIDE if genuine else Label.SPOOF,
            utterance_id=str(n),
            group=group,
        )
        for n, (genuine, group) in enumerate(itertools.zip_longest(truth, groups[: len(truth)], fillvalue=""))
    ]


def check(truth: Sequence[bool], groups: Sequence[str] = (), **values: Sequence[Any]) -> ShortcutCheck:
    """Return the check of files with these properties."""
    columns = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return shortcut_check(utterances(truth, groups), [properties(**column) for column in columns])


def found(result: ShortcutCheck, name: str) -> Shortcut:
    """Return what was found of one property."""
    (shortcut,) = [s for s in result.shortcuts if s.name == name]
    return shortcut


def test_every_property_has_its_row() -> None:
    """The rows are those of the table of units, which are the fields of `Properties`."""
    result = check([True, False], duration=[1.0, 2.0])

    assert [(s.name, s.unit) for s in result.shortcuts] == list(UNITS.items())
    assert list(UNITS) == list(Properties.__dataclass_fields__)
    assert set(NOMINAL) <= set(UNITS)


def test_figures_by_hand() -> None:
    """Of 3 x 4 pairs the spoof is longer in 9 and as long in 2, so the area is 10 / 12."""
    truth = [True, True, True, False, False, False, False]
    result = found(check(truth, duration=[1.0, 2.0, 4.0, 2.0, 4.0, 5.0, 6.0]), "duration")

    assert (result.bonafide, result.spoof, result.higher) == (2.0, 4.5, "spoof")
    assert result.auc == pytest.approx(10 / 12)
    # Called spoof from 4 on: one of three genuine, and three of four spoofed. From 2 on: two of three, and all. The
    # hull of FRR and 1 - FAR goes through (0, 1/2), (1/3, 3/4), (2/3, 1), and FRR = FAR on its second side.
    assert result.eer == pytest.approx(2 / 7)


def test_direction() -> None:
    """Turned round, a property tells as much, of the other class."""
    truth, size = [True, False] * 50, rng(0).normal(size=100)
    size[::2] += 1.0
    up, down = (found(check(truth, loudness=(sign * size).tolist()), "loudness") for sign in (1, -1))

    assert (up.higher, down.higher) == ("bonafide", "spoof")
    assert up.auc == pytest.approx(roc_auc(size[::2], size[1::2]))
    assert up.auc == pytest.approx(down.auc)
    assert up.eer == pytest.approx(down.eer)


def test_property_that_is_the_same_for_all() -> None:
    """It tells nothing: one half, 50 %, no direction."""
    result = check([True, True, False, False, False], duration=[1.0] * 5)

    for shortcut in result.shortcuts:
        assert (shortcut.auc, shortcut.higher) == (0.5, None)
        assert shortcut.eer == pytest.approx(0.5)
        assert not shortcut.tells_apart
    assert (found(result, "format").bonafide, found(result, "sample_rate").spoof) == ("wav", 16_000)


def test_named_values() -> None:
    """Values are put in order of their share of genuine files, whatever lies between them; the commonest are told."""
    truth = [True] * 10 + [False] * 10
    rates = [16_000] * 6 + [48_000] * 3 + [24_000] + [24_000] * 7 + [22_050] * 2 + [48_000]
    result = found(check(truth, sample_rate=rates), "sample_rate")

    assert (result.bonafide, result.spoof, result.higher) == (16_000, 24_000, None)
    # In order: 22050 (0 of 2), 24000 (1 of 8), 48000 (3 of 4), 16000 (6 of 6).
    assert result.auc == pytest.approx((1 * (2 + 7 / 2) + 3 * (9 + 1 / 2) + 6 * 10) / 100)
    assert result.eer == pytest.approx(0.1)
    assert result.tells_apart


def test_many_names_are_no_shortcut() -> None:
    """Where every file has a value of its own, their order tells the classes apart by construction, and says so."""
    result = found(check([True, False] * 20, format=[f"take{n}" for n in range(40)]), "format")

    assert result.auc == 1.0
    assert result.chance_auc == 1.0
    assert not result.tells_apart


def test_rare_names_are_one() -> None:
    """However many values there are, only the commonest are told apart, so that memory stays small."""
    formats = ["mp3"] * 40 + [f"take{n}" for n in range(960)]
    result = found(check([True] * 40 + [False, True] * 480, format=formats), "format")

    # Told apart are mp3, 40 of 40, and some 100 single ones of each class; of the others some 380 are genuine.
    # 140 genuine above all, 380 and 381 in the middle.
    assert result.auc == pytest.approx((140 * 480 + 380 * (100 + 380 / 2)) / (520 * 480), abs=0.005)


@pytest.mark.parametrize(("n_bonafide", "n_spoof"), [(20, 20), (40, 160), (400, 300)])
def test_chance(n_bonafide: int, n_spoof: int) -> None:
    """Sizes drawn at random exceed the limit as rarely as it says: all properties together in 5 % of data sets."""
    generator, truth = rng(1), np.repeat([True, False], [n_bonafide, n_spoof])
    n_beyond = 0
    for _ in range(2_000):
        size = generator.normal(size=len(truth))
        auc = roc_auc_by_ranks(size, truth)
        n_beyond += max(auc, 1 - auc) > shortcuts._chance(truth, 0.05)

    assert n_beyond / 2_000 == pytest.approx(0.05, abs=0.02)
    result = check(truth.tolist(), duration=size.tolist())
    assert found(result, "duration").chance_auc == pytest.approx(shortcuts._chance(truth, 0.05 / len(UNITS)))


def roc_auc_by_ranks(size: AnyArray, truth: AnyArray) -> float:
    """Return the area as the U statistic, from the sum of ranks."""
    ranks = np.argsort(np.argsort(size)) + 1
    n_bonafide = int(truth.sum())
    won = ranks[truth].sum() - n_bonafide * (n_bonafide + 1) / 2
    return float(won / (n_bonafide * (len(truth) - n_bonafide)))


def test_chance_of_names() -> None:
    """Labels dealt at random over three values exceed the limit in about as few cases as it says."""
    generator, rates = rng(2), [8_000, 16_000, 16_000, 44_100] * 20
    beyond = []
    for _ in range(300):
        truth = generator.permutation([True] * 30 + [False] * 50).tolist()
        shortcut = shortcuts._named("sample_rate", list(rates), np.array(truth))
        beyond.append(shortcut.auc > shortcut.chance_auc)

    assert np.mean(beyond) < 0.02
    assert 0.55 < shortcut.chance_auc < 0.75


def test_few_files_raise_no_alarm() -> None:
    """Three and three in perfect order are no proof, thirty and thirty are."""
    few = found(check([True] * 3 + [False] * 3, duration=[4.0, 5.0, 6.0, 1.0, 2.0, 3.0]), "duration")
    many = found(check([True] * 30 + [False] * 30, duration=np.arange(60.0)[::-1].tolist()), "duration")

    assert (few.auc, few.eer, few.tells_apart) == (1.0, 0.0, False)
    assert (many.auc, many.eer, many.tells_apart) == (1.0, 0.0, True)


def test_weak_property_beyond_chance_is_no_shortcut() -> None:
    """With many files a small difference is certain, and still no way to tell the classes apart."""
    generator = rng(3)
    truth = [True] * 2_000 + [False] * 2_000
    size = generator.normal(size=4_000) + np.repeat([0.3, 0.0], 2_000)
    result = found(check(truth, peak=size.tolist()), "peak")

    assert result.auc > result.chance_auc
    assert result.eer > TELLING_EER
    assert not result.tells_apart


def test_one_class_or_nothing() -> None:
    """Without one class there is nothing to tell, and what could not be read is said."""
    gone = Unreadable("1.wav", "missing", "1.wav: there is no such file")
    with pytest.raises(DataError, match=r"no spoofed recordings.*1 could not be read, first: 1\.wav: there is no such"):
        shortcut_check(utterances([True, False]), [properties(), gone])
    with pytest.raises(DataError, match=r"no genuine recordings, so there is nothing to tell apart$"):
        shortcut_check(utterances([False]), [properties()])
    with pytest.raises(ValueError, match="zip"):
        shortcut_check(utterances([True, False]), [properties()])


def test_unreadable_files_are_counted() -> None:
    """They are in no figure, and the labels of the others stay with them."""
    gone = Unreadable("1.wav", "missing", "1.wav: there is no such file")
    measured: list[Properties | Unreadable] = [properties(duration=1.0), gone, properties(duration=2.0)]
    result = shortcut_check(utterances([False, True, True]), iter(measured))

    assert result.unreadable == (gone,)
    assert (result.n_bonafide, result.n_spoof) == (1, 1)
    assert found(result, "duration").higher == "bonafide"


# --- all together ----------------------------------------------------------------------------------------------


def test_joint_sees_what_none_sees_alone() -> None:
    """Where only the combination tells, no property is a shortcut alone, and all together are."""
    generator, n = rng(4), 400
    long, loud = generator.random(n) < 0.5, generator.random(n) < 0.5
    truth = (long ^ loud).tolist()
    duration, loudness = long + 0.1 * generator.normal(size=n), loud + 0.1 * generator.normal(size=n)
    result = check(truth, duration=duration.tolist(), loudness=loudness.tolist())

    assert not any(shortcut.tells_apart for shortcut in result.shortcuts)
    assert result.joint is not None
    assert result.joint.eer < 0.05
    assert result.joint.tells_apart


def test_joint_takes_names() -> None:
    """Of values without an order, more than trees can hold, the telling ones are found."""
    truth = [True, False] * 200
    formats = [("mp3" if n % 4 < 2 else "wav") if genuine else f"codec{n}" for n, genuine in enumerate(truth)]
    result = check(truth, format=formats, sample_rate=[16_000 + n for n in range(400)])

    assert result.joint is not None
    assert result.joint.eer < 0.05


def test_joint_of_nothing() -> None:
    """Random properties give no more than chance on folds that were not trained on."""
    generator = rng(5)
    truth = [True, False] * 150
    values = {name: generator.normal(size=300).tolist() for name in UNITS if name not in NOMINAL}
    result = check(truth, **values)

    assert result.joint is not None
    assert 1 - result.joint.chance_auc < result.joint.auc < result.joint.chance_auc
    assert not result.joint.tells_apart
    assert not any(shortcut.tells_apart for shortcut in result.shortcuts)


def test_groups_are_not_split() -> None:
    """What tells the groups apart and not the classes is of no use on groups that were not trained on."""
    generator = rng(6)
    of_group = generator.normal(size=40)
    genuine_group = generator.permutation([True, False] * 20)
    group = np.repeat(np.arange(40), 10)
    truth = genuine_group[group].tolist()
    values = {"bandwidth": (of_group[group] + 1e-3 * generator.normal(size=400)).tolist()}
    apart = check(truth, [f"g{n}" for n in group], **values).joint
    mixed = check(truth, **values).joint

    assert apart is not None
    assert mixed is not None
    assert (apart.folds, apart.n_folds) == ("group", 5)
    assert apart.eer > 0.35
    assert mixed.eer < 0.1


@pytest.mark.parametrize(
    ("truth", "groups", "by", "n_folds"),
    [
        pytest.param([True, False] * 10, ["a"] * 10 + ["b"] * 10, "file", 5, id="few groups"),
        pytest.param([True, False] * 10, [*"abcdefghij"] * 2, "group", 5, id="ten groups"),
        pytest.param([True] + [False] * 18 + [True], [*"abbccddeeffgghhiijja"], "file", 2, id="one class in one group"),
        pytest.param([True, False, False], [], None, 0, id="one genuine"),
    ],
)
def test_folds(truth: list[bool], groups: list[str], by: str | None, n_folds: int) -> None:
    """Groups are kept whole where every fold can be trained for; else files are; with one of a class there is none."""
    joint = check(truth, groups, duration=[float(n % 7) for n in range(len(truth))]).joint

    if by is None:
        assert joint is None
    else:
        assert joint is not None
        assert (joint.folds, joint.n_folds) == (by, n_folds)


def test_source_stands_in_for_a_group() -> None:
    """Utterances without a group are kept together by source."""
    known = [
        Utterance(u.path, u.label, u.utterance_id, source=str(n // 4))
        for n, u in enumerate(utterances([True, False] * 20))
    ]
    joint = shortcut_check(known, [properties(duration=float(n)) for n in range(40)]).joint

    assert isinstance(joint, Joint)
    assert joint.folds == "group"


# --- the way through -------------------------------------------------------------------------------------------


def written(tmp_path: Path, change: Callable[[FloatArray, bool, np.random.Generator], FloatArray]) -> ShortcutCheck:
    """Return the check of voices, of which the spoofed ones may be changed."""
    generator, truth, known = rng(7), [True, False] * 30, []
    for number, utterance in enumerate(utterances(truth)):
        path = tmp_path / f"{number}.wav"
        signal = voice(generator.uniform(1.0, 2.0), seed=number)
        soundfile.write(path, change(signal, utterance.is_bonafide, generator), RATE, subtype="FLOAT")
        known.append(Utterance(path, utterance.label, utterance.utterance_id))
    return shortcut_check(known, measure_all([str(u.path) for u in known]))


def test_fakes_that_start_with_silence(tmp_path: Path) -> None:
    """The shortcut of ASVspoof 2019 shows itself, by its name and with its size; speech is the same in both classes."""

    def change(signal: FloatArray, is_bonafide: bool, generator: np.random.Generator) -> FloatArray:  # noqa: FBT001
        seconds = generator.uniform(0.0, 0.2) if is_bonafide else generator.uniform(0.1, 0.5)
        return np.concatenate([noise(seconds, peak=1e-4), signal])

    result = written(tmp_path, change)
    telling = {s.name for s in result.shortcuts if s.tells_apart}

    assert "leading_silence" in telling
    assert telling <= {"leading_silence", "noise_floor", "loudness"}  # the latter two fall with the share of silence
    assert found(result, "leading_silence").higher == "spoof"
    assert found(result, "leading_silence").bonafide == pytest.approx(0.1, abs=0.05)
    assert found(result, "leading_silence").spoof == pytest.approx(0.3, abs=0.08)
    assert result.joint is not None
    assert result.joint.tells_apart


def test_no_shortcut(tmp_path: Path) -> None:
    """The same voices with the same silence in both classes: nothing tells."""

    def change(signal: FloatArray, _is_bonafide: bool, generator: np.random.Generator) -> FloatArray:  # noqa: FBT001
        return np.concatenate([noise(generator.uniform(0.0, 0.4), peak=1e-4), signal])

    result = written(tmp_path, change)

    assert not [s for s in result.shortcuts if s.tells_apart]
    assert result.joint is not None
    assert not result.joint.tells_apart


def test_corpus_has_no_shortcut(shared: Path) -> None:
    """What models are trained on here was prepared to have none, in either part."""
    dataset = read_dataset(shared / "corpus" / "manifest.csv")
    for part in ("train", "dev"):
        known = dataset.select(part).utterances[::2]
        result = shortcut_check(known, measure_all([str(u.path) for u in known]))
        assert not result.unreadable
        assert not [s for s in result.shortcuts if s.tells_apart]
        assert result.joint is not None
        assert not result.joint.tells_apart
