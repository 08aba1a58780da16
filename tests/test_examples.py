"""What a backend learns from: the speech that is read, parts of whole groups, weights, windows, and their cache."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from signals import RATE, noise, voice, write_voices

from deepfake_audio import augment, examples
from deepfake_audio.augment import Augmentation
from deepfake_audio.datasets import Dataset, Label, Utterance, read_dataset
from deepfake_audio.errors import AudioError, DataError
from deepfake_audio.examples import (
    ExampleMaker,
    Features,
    Speech,
    balanced_weights,
    divide,
    read_speech,
    refuse_contradictions,
    require_both_classes,
    silent,
)
from deepfake_audio.features import FeatureSpec, extract
from deepfake_audio.store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WINDOW = 4_000
MEAN = FeatureSpec("lfcc", n_bands=8, n_coefficients=4, statistics=("mean",))
RHYTHM = FeatureSpec("modulation", n_fft=256, window_length=256, hop_length=64, n_bands=4)
MEL = FeatureSpec("mel", n_bands=16)
NEVER = Augmentation({})
OFTEN = Augmentation({"gain": 1.0, "noise": 1.0})


def utterances(n_groups: int, per_group: int = 4, *, one_class_groups: bool = False) -> list[Utterance]:
    """Return utterances in groups, half of them bona fide, either inside each group or by whole groups."""
    made = []
    for group in range(n_groups):
        for number in range(per_group):
            bonafide = (group if one_class_groups else number) % 2 == 0
            label = Label.BONAFIDE if bonafide else Label.SPOOF
            made.append(Utterance(Path(f"{group}-{number}.wav"), label, f"{group}-{number}", group=str(group)))
    return made


def both_classes_in_each(made: Sequence[Utterance], assigned: Sequence[int], n_parts: int) -> bool:
    """Return whether the parts are numbered from 0, and each has genuine and spoofed utterances."""
    labels = {(int(part), u.label) for part, u in zip(assigned, made, strict=True)}
    return labels == set(itertools.product(range(n_parts), Label))


# --- parts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_class_groups", [False, True], ids=["mixed", "one-class"])
@pytest.mark.parametrize("parts", [None, 2, 3, 10])
def test_groups_stay_together(one_class_groups: bool, parts: int | None) -> None:  # noqa: FBT001 - pytest's form
    """No group is in two parts, and every part has both classes."""
    made = utterances(40, one_class_groups=one_class_groups)
    assigned = divide(made, 3, parts=parts).tolist()
    assert len({(u.group, part) for u, part in zip(made, assigned, strict=True)}) == 40
    assert both_classes_in_each(made, assigned, parts or 5)


def test_parts_are_of_one_size() -> None:
    """Of many groups each of five parts gets a fifth."""
    made = utterances(100)
    np.testing.assert_allclose(np.bincount(divide(made, 0)) / len(made), 0.2, atol=0.02)


def test_parts_depend_on_the_seed_alone() -> None:
    """One seed gives one division; another seed gives another."""
    made = utterances(40)
    assert divide(made, 1).tolist() == divide(made, 1).tolist()
    assert divide(made, 1).tolist() != divide(made, 2).tolist()


def test_few_groups_make_fewer_parts() -> None:
    """Unless a number of parts is asked for, there are as many as have both classes."""
    assert both_classes_in_each(utterances(2), divide(utterances(2), 0).tolist(), 2)
    one_class = utterances(6, one_class_groups=True)
    assert both_classes_in_each(one_class, divide(one_class, 0).tolist(), 3)


@pytest.mark.parametrize("field", ["source", "speaker"])
def test_what_stands_in_for_a_group(field: str) -> None:
    """Where there are no groups, sources stay together, or else speakers."""
    made = []
    for u in utterances(10):
        instead: dict[str, Any] = {field: u.group}
        made.append(Utterance(u.path, u.label, u.utterance_id, **instead))
    assigned = divide(made, 0).tolist()
    assert len({(getattr(u, field), part) for u, part in zip(made, assigned, strict=True)}) == 10


@pytest.mark.parametrize("group", ["", "all"], ids=["without groups", "one group"])
def test_without_groups_each_recording_stands_alone(group: str) -> None:
    """A plain pair of folders, where nothing is known of speakers, can be trained on."""
    made = [Utterance(u.path, u.label, u.utterance_id, group=group) for u in utterances(10)]
    assert both_classes_in_each(made, divide(made, 0).tolist(), 5)


def test_identical_files_are_of_one_part() -> None:
    """Groups that share the bytes of a file are one group."""
    made = utterances(40)
    hashes = [f"{number % 80}" for number in range(len(made))]  # every second group repeats the files of another
    assigned = divide(made, 0, hashes).tolist()
    assert len(set(zip(hashes, assigned, strict=True))) == 80


@pytest.mark.parametrize(
    ("made", "parts", "message"),
    [
        pytest.param(utterances(1, 1), None, "1 groups with genuine and 0 with spoofed ones", id="one recording"),
        pytest.param(utterances(2, one_class_groups=True), None, "1 groups with genuine and 1 with", id="a group each"),
        pytest.param(utterances(4), 5, "in each of 5 parts that share no group", id="fewer groups than parts"),
        pytest.param(utterances(3, 2)[:4] + utterances(3, 1)[2:], 3, "2 with spoofed .* 3 parts", id="a class too few"),
    ],
)
def test_too_few_groups(made: list[Utterance], parts: int | None, message: str) -> None:
    """With too few groups for the parts the error says how many there are."""
    with pytest.raises(DataError, match=message):
        divide(made, 0, parts=parts)


# --- labels and weights ----------------------------------------------------------------------------------------


def test_classes_weigh_the_same_and_large_sources_less() -> None:
    """Each class sums up to the same, and 100 of one source outweigh 1 of another by 10, not by 100."""
    many = [Utterance(Path(f"{i}"), Label.BONAFIDE, str(i), source="large") for i in range(100)]
    few = [Utterance(Path("a"), Label.BONAFIDE, "a", source="small")]
    spoof = [Utterance(Path("b"), Label.SPOOF, "b", source="large")]
    weights = balanced_weights([*many, *few, *spoof])
    assert weights.mean() == pytest.approx(1)
    assert weights[:101].sum() == pytest.approx(weights[101:].sum())
    assert weights[:100].sum() / weights[100] == pytest.approx(10)


@pytest.mark.parametrize(("bonafide", "found"), [(True, "bona fide"), (False, "spoofed")])
def test_one_class_only(bonafide: bool, found: str) -> None:  # noqa: FBT001 - pytest's form
    """Training needs both classes, and the message says what there is."""
    made = [u for u in utterances(3) if u.is_bonafide is bonafide]
    with pytest.raises(DataError, match=f"here: all 6 recordings are {found}; training needs both classes"):
        require_both_classes(made, "here")
    require_both_classes(utterances(3), "here")


def test_identical_files_with_different_labels() -> None:
    """A file that is both genuine and a deepfake is refused, and both places are named."""
    made = utterances(2, 2)
    refuse_contradictions(made, ["a", "b", "a", "b"])
    with pytest.raises(DataError, match=r"0-1\.wav and 0-0\.wav are identical files with different labels"):
        refuse_contradictions(made, ["a", "a", "b", "c"])


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.fixture
def speech(tmp_path: Path) -> Iterator[Speech]:
    """Return an empty store of speech."""
    with (tmp_path / "speech").open("wb") as file:
        yield Speech(file)


def with_bad_files(directory: Path, n_bad: int) -> Dataset:
    """Return 20 voices of which some were overwritten by text."""
    write_voices(directory, n_each=10, seconds=1.0)
    for path in sorted(directory.rglob("*.wav"))[:n_bad]:
        path.write_text("not audio")
    return read_dataset(directory)


@pytest.mark.parametrize("jobs", [1, 2])
def test_speech_is_read_in_order(speech: Speech, tmp_path: Path, jobs: int) -> None:
    """The speech of each recording lies where its end says, with the hash of its file."""
    dataset = with_bad_files(tmp_path / "data", 0)
    heard: list[tuple[int, int, str]] = []
    read, bad = read_speech(speech, dataset, RATE, jobs, lambda _, *a: heard.append(a))
    assert (read.utterances, bad) == (list(dataset.utterances), [])
    assert heard[-1] == (20, 20, "")
    last = examples._speech_of((str(dataset.utterances[-1].path), RATE))
    assert not isinstance(last, AudioError)
    assert read.hashes[-1] == last[0]
    np.testing.assert_array_equal(read.signals()[read.ends[-2] :], last[1])
    assert read.ends[-1] == len(read.signals())


def test_a_bad_file_is_left_out_and_named(speech: Speech, tmp_path: Path) -> None:
    """Up to 5 % of unusable files are reported, and the rest is read."""
    read, bad = read_speech(speech, with_bad_files(tmp_path / "data", 1), RATE, 1, silent)
    assert [b["reason"] for b in bad] == ["not_audio"]
    assert len(read.utterances) == 19


def test_silence_is_not_speech(speech: Speech, tmp_path: Path) -> None:
    """A recording without speech counts as unusable."""
    dataset = with_bad_files(tmp_path / "data", 0)
    soundfile.write(dataset.utterances[3].path, np.zeros(RATE), RATE)
    _, bad = read_speech(speech, dataset, RATE, 1, silent)
    assert [(b["reason"], b["path"]) for b in bad] == [("no_speech", dataset.utterances[3].utterance_id)]


def test_many_bad_files_stop_the_run(speech: Speech, tmp_path: Path) -> None:
    """More than 5 % stop it; the error has the count and the first file."""
    with pytest.raises(DataError, match=r"2 of 20 files cannot be used, more than 5%.*000\.wav"):
        read_speech(speech, with_bad_files(tmp_path / "data", 2), RATE, 1, silent)


def test_a_class_that_was_unusable(speech: Speech, tmp_path: Path) -> None:
    """Both classes are still needed without what could not be used."""
    dataset = with_bad_files(tmp_path / "data", 1)
    one_bad = Dataset(dataset.root, dataset.layout, (dataset.utterances[0], *dataset.utterances[10:]))
    assert one_bad.n_spoof == 1
    many = dataclasses.replace(one_bad, utterances=(*one_bad.utterances, *one_bad.utterances[1:]))
    with pytest.raises(DataError, match="after leaving out 1 unusable files: all 20 recordings are bona fide"):
        read_speech(speech, many, RATE, 1, silent)


def test_long_recordings_are_read_up_to_a_minute(tmp_path: Path) -> None:
    """Of a recording no more than a minute of speech is kept, and decoding ends there."""
    soundfile.write(tmp_path / "long.wav", np.tile(voice(30.0), 6), RATE)
    result = examples._speech_of((str(tmp_path / "long.wav"), RATE))
    assert isinstance(result, tuple)
    assert len(result[1]) == 60 * RATE


def test_fingerprint_is_of_audio_and_labels(tmp_path: Path) -> None:
    """Neither order nor names of files change it; a label does."""
    made = utterances(2, 2)

    def fingerprint(chosen: Sequence[Utterance], hashes: Sequence[str]) -> str:
        with (tmp_path / "speech").open("wb") as file:
            speech = Speech(file)
            for utterance, sha256 in zip(chosen, hashes, strict=True):
                speech.append(utterance, sha256, voice(0.1))
            return speech.fingerprint()

    plain = fingerprint(made, "abcd")
    assert fingerprint(made[::-1], "dcba") == plain
    assert fingerprint([dataclasses.replace(u, path=Path("x")) for u in made], "abcd") == plain
    assert fingerprint(made[::-1], "abcd") != plain


# --- windows and features --------------------------------------------------------------------------------------


def filled(speech: Speech, lengths: Sequence[int]) -> Speech:
    """Fill a store with recordings of these lengths in samples, genuine and spoofed in turn."""
    for number, length in enumerate(lengths):
        label = Label.SPOOF if number % 2 else Label.BONAFIDE
        signal = noise(length / RATE, seed=number)
        speech.append(Utterance(Path(f"{number}"), label, f"{number}"), f"hash{number}", signal)
    return speech


def maker_of(speech: Speech, directory: Path, **changes: Any) -> ExampleMaker:
    """Return what makes examples of speech."""
    plain = ExampleMaker(speech, RATE, WINDOW, 0, 1, FeatureStore(directory / "features"))
    return dataclasses.replace(plain, **changes)


def made(maker: ExampleMaker, specs: tuple[FeatureSpec, ...] = (MEAN,), copies: int = 0, how: Any = NEVER) -> Features:
    """Make features."""
    return maker.features(specs, copies, how, silent, "features")


def test_windows_cover_a_recording(speech: Speech, tmp_path: Path) -> None:
    """All windows of a recording hold all of its samples; a short one is repeated."""
    maker = maker_of(filled(speech, [1_000, 10_000]), tmp_path)
    signals = speech.signals()
    np.testing.assert_array_equal(maker.windows(0), np.tile(signals[:1_000], 4)[np.newaxis])
    assert maker.windows(1).shape == (3, WINDOW)
    assert set(signals[1_000:].tolist()) == set(maker.windows(1).ravel().tolist())


def test_what_is_learnt_from_is_what_will_be_scored(speech: Speech, tmp_path: Path) -> None:
    """Of recordings of any length, the windows as they are have the features of those that the detector cuts."""
    lengths = [1_000, 4_000, 8_000, 8_001, 18_000]
    maker = maker_of(filled(speech, lengths), tmp_path)
    features = made(maker, copies=1)
    assert features.rows.tolist() == [0, 1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4]
    expected = extract(np.concatenate([maker.windows(row) for row in range(len(lengths))]), (MEAN,))
    np.testing.assert_allclose(features.values[0], expected, atol=1e-4)
    moved = np.abs(features.values[1] - expected).max(axis=1) > 0.01
    assert moved.tolist() == [False, False] + [True] * 10  # a copy of a whole recording has nowhere else to go


def test_features_are_those_of_the_windows(speech: Speech, tmp_path: Path) -> None:
    """Of a recording as long as a window or shorter they are the front end's, unchanged in the first copy."""
    maker = maker_of(filled(speech, [4_000, 4_000, 3_000]), tmp_path)
    features = made(maker, (MEAN, RHYTHM), 2, OFTEN)
    expected = extract(np.concatenate([maker.windows(row) for row in range(3)]), (MEAN, RHYTHM))
    np.testing.assert_allclose(features.values[0], expected, atol=1e-4)
    assert features.sizes == (4, expected.shape[1] - 4)
    for one, other in itertools.combinations(features.values, 2):
        assert np.abs(one - other).max(axis=1).min() > 0.01


def test_pictures_have_no_sizes(speech: Speech, tmp_path: Path) -> None:
    """Spectrograms keep their shape, and are no vectors end to end."""
    features = made(maker_of(filled(speech, [4_000, 4_000]), tmp_path), (MEL,))
    assert (features.values.shape, features.sizes) == ((1, 2, 16, 26), ())


def test_jobs_change_nothing(speech: Speech, tmp_path: Path) -> None:
    """Randomness belongs to a window, not to the process that makes it."""
    filled(speech, [9_000] * 40)
    one = made(maker_of(speech, tmp_path, store=FeatureStore(tmp_path / "one")), copies=1, how=OFTEN)
    two = made(maker_of(speech, tmp_path, store=FeatureStore(tmp_path / "two"), jobs=2), copies=1, how=OFTEN)
    np.testing.assert_array_equal(one.values, two.values)


def test_examples_of_chosen_utterances(speech: Speech, tmp_path: Path) -> None:
    """Classes weigh the same, utterances as much however long they are, and the windows of one share its weight."""
    filled(speech, [1_000, 8_000, 40_000, 16_000, 9_000, 20_000])
    features = made(maker_of(speech, tmp_path), (MEAN, RHYTHM))
    chosen = np.array([True, True, True, False, False, True])
    got = features.examples(speech.utterances, chosen)
    rows = features.rows[got.chosen]
    assert set(rows.tolist()) == {0, 1, 2, 5}
    assert got.is_bonafide.tolist() == [row % 2 == 0 for row in rows]
    assert got.weights.mean() == pytest.approx(1)
    assert got.weights[got.is_bonafide].sum() == pytest.approx(got.weights[~got.is_bonafide].sum())
    of_row = [got.weights[rows == row] for row in (0, 1, 2, 5)]
    assert all(np.ptp(weights) == 0 for weights in of_row)
    assert [weights.sum() for weights in of_row] == pytest.approx([of_row[0].sum()] * 4)
    assert got.sizes == features.sizes
    assert got.features is features.values


# --- the cache -------------------------------------------------------------------------------------------------


def is_cached(
    maker: ExampleMaker, specs: tuple[FeatureSpec, ...] = (MEAN,), copies: int = 0, how: Augmentation = NEVER
) -> bool:
    """Return whether features come from the store; they are there afterwards."""
    notes: list[str] = []

    def progress(stage: str, step: int, steps: int, note: str = "") -> None:  # noqa: ARG001
        notes.append(note)

    maker.features(specs, copies, how, progress, "features")
    return notes == ["from the cache"]


def test_features_come_from_the_store(speech: Speech, tmp_path: Path) -> None:
    """The second time they are read, and are the same."""
    maker = maker_of(filled(speech, [4_000, 9_000]), tmp_path)
    first = made(maker, copies=1, how=OFTEN)
    assert is_cached(maker, (MEAN,), 1, OFTEN)
    np.testing.assert_array_equal(made(maker, copies=1, how=OFTEN).values, first.values)


def test_what_does_not_matter_is_not_in_the_key(speech: Speech, tmp_path: Path) -> None:
    """Labels, names, processes and changes that never happen make no new features."""
    maker = maker_of(filled(speech, [4_000, 9_000]), tmp_path)
    made(maker)
    made(maker, copies=1, how=OFTEN)
    renamed = [dataclasses.replace(u, label=Label.SPOOF, path=Path("x"), source="s") for u in speech.utterances]
    other = dataclasses.replace(speech, utterances=renamed, hashes=["x", "y"])
    assert is_cached(maker_of(other, tmp_path, jobs=2))
    assert is_cached(maker, (MEAN,), 0, OFTEN)  # without copies nothing is changed
    assert is_cached(maker, (MEAN,), 1, Augmentation({"noise": 1.0, "clip": 0.0, "gain": 1.0}))


def test_what_matters_is_in_the_key(speech: Speech, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seed, window, front end, copies, changes, what they are made with and how, and the audio make new features."""
    maker = maker_of(filled(speech, [4_000, 9_000]), tmp_path)
    assert not is_cached(maker)
    assert not is_cached(maker, (MEAN,), 1, OFTEN)
    assert not is_cached(dataclasses.replace(maker, seed=1))
    assert not is_cached(dataclasses.replace(maker, window=4_001))
    assert not is_cached(maker, (dataclasses.replace(MEAN, f_max=7_000.0),))
    assert not is_cached(maker, (MEAN, RHYTHM))
    assert not is_cached(maker, (RHYTHM, MEAN))
    assert not is_cached(maker, (MEAN,), 2, OFTEN)
    assert not is_cached(maker, (MEAN,), 1, Augmentation({"gain": 1.0, "noise": 0.9}))
    assert not is_cached(maker, (MEAN,), 1, dataclasses.replace(OFTEN, noises=(noise(1.0),)))
    assert not is_cached(maker, (MEAN,), 1, dataclasses.replace(OFTEN, rooms=(noise(1.0),)))
    copied = tmp_path / "augment"
    shutil.copytree(Path(augment.__file__).parent, copied, ignore=shutil.ignore_patterns("__pycache__"))
    with monkeypatch.context() as patch:
        patch.setattr(augment, "__file__", str(copied / "__init__.py"))
        assert is_cached(maker, (MEAN,), 1, OFTEN)
        (copied / "dsp.py").write_text("# another way to change a signal")
        assert not is_cached(maker, (MEAN,), 1, OFTEN)
        assert is_cached(maker)
    with (tmp_path / "other").open("wb") as file:
        other = Speech(file)
        for number, utterance in enumerate(speech.utterances):
            signal = noise((4_000, 9_000)[number] / RATE, seed=number + 1)
            other.append(utterance, speech.hashes[number], signal)
        assert not is_cached(maker_of(other, tmp_path))
