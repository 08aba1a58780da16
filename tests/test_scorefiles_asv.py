"""Scores of a speaker verification system: 2019 in one file, 2021 with a key beside it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from layouts import write

from deepfake_audio.errors import DataError
from deepfake_audio.scorefiles import read_asv_scores

if TYPE_CHECKING:
    from pathlib import Path

# The first line is from the official file of 2019's evaluation part.
ASV_2019 = "bonafide target 7.981530\nbonafide nontarget -12.5\nA07 spoof 1.25\nA19 spoof -3\nbonafide target 9\n"
# 2021: claimed speaker, trial, score; and speaker, trial, codec, transmission, attack, key, trim, subset.
ASV_2021 = "LA_0007 LA_E_1 5.5\nLA_0007 LA_E_2 -4\nLA_0008 LA_E_3 1\nLA_0008 LA_E_1 -2\n"
KEY_LA = (
    "LA_0007 LA_E_1 alaw ita_tx bonafide target notrim eval\n"
    "LA_0007 LA_E_2 none - bonafide nontarget notrim progress\n"
    "LA_0008 LA_E_3 alaw ita_tx A07 spoof notrim eval\n"
    "LA_0008 LA_E_1 alaw ita_tx bonafide nontarget trim hidden_track\n"
)


def keys_2021(root: Path, key: str = KEY_LA, scores: str = ASV_2021) -> Path:
    """Write scores and key where the official package has them; return where the scores are."""
    write(root / "keys" / "LA" / "ASV" / "trial_metadata.txt", key)
    return write(root / "keys" / "LA" / "ASV" / "ASVTorch_Kaldi" / "score.txt", scores)


def test_2019(tmp_path: Path) -> None:
    """Three kinds of trials, in the order of the file; a spoofed one has an attack."""
    path = write(tmp_path / "asv.txt", ASV_2019)
    found = read_asv_scores(path)
    assert (found.target.tolist(), found.nontarget.tolist(), found.spoof.tolist()) == (
        [7.98153, 9],
        [-12.5],
        [1.25, -3],
    )
    assert found.spoof_systems.tolist() == ["A07", "A19"]
    assert found.scores.dtype == np.float64
    assert (found.path, found.systems.tolist()) == (path, ["", "", "A07", "A19", ""])
    assert (set(found.codecs.tolist()), set(found.subsets.tolist())) == ({""}, {""})


@pytest.mark.parametrize("text", ["\ufeff" + ASV_2019, ASV_2019.replace("\n", "\r\n", 2), "\n" + ASV_2019 + "\n\n"])
def test_dialects(text: str, tmp_path: Path) -> None:
    """However the file was saved, it says the same."""
    assert read_asv_scores(write(tmp_path / "asv.txt", text)).target.tolist() == [7.98153, 9]


def test_2021(tmp_path: Path) -> None:
    """The key says what each trial is, which codec it went through, and which subset it belongs to."""
    found = read_asv_scores(keys_2021(tmp_path))
    assert (found.target.tolist(), found.nontarget.tolist(), found.spoof.tolist()) == ([5.5], [-4, -2], [1])
    assert found.spoof_systems.tolist() == ["A07"]
    assert found.codecs.tolist() == ["alaw", "none", "alaw", "alaw"]
    assert found.subsets.tolist() == ["eval", "progress", "eval", "hidden"]


def test_a_cell_of_2021(tmp_path: Path) -> None:
    """The trials of a codec or a subset, or of both, are as well a set of scores."""
    found = read_asv_scores(keys_2021(tmp_path))
    assert found.where(codec="alaw").scores.tolist() == [5.5, 1, -2]
    assert found.where(subset="eval").keys.tolist() == ["target", "spoof"]
    assert found.where("alaw", "hidden_track").nontarget.tolist() == [-2]
    assert found.where().scores.tolist() == found.scores.tolist()


def test_2021_pa(tmp_path: Path) -> None:
    """PA's key has twelve columns and names no attack."""
    key = "PA_0010 PA_E_1 R3 M3 d4 r1 m1 s4 c4 spoof notrim eval\nPA_0011 PA_E_2 R3 M3 D4 - - - - target notrim eval\n"
    path = write(tmp_path / "scores.txt", "PA_0010 PA_E_1 1.5\nPA_0011 PA_E_2 -1\n")
    found = read_asv_scores(path, write(tmp_path / "key.txt", key))
    assert (found.spoof.tolist(), found.target.tolist(), found.spoof_systems.tolist()) == ([1.5], [-1], [""])


def test_2021_ids_with_their_condition(tmp_path: Path) -> None:
    """Scores may name a trial by its id and its condition."""
    scores = ASV_2021.replace("LA_E_1 5", "LA_E_1-alaw-ita_tx 5")
    assert read_asv_scores(keys_2021(tmp_path, scores=scores)).target.tolist() == [5.5]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        pytest.param("", "asv.txt: holds no scores, it is empty", id="empty"),
        pytest.param("bonafide target 1\nbonafide 2\n", "line 2: expected 3 columns .*, found 2", id="short line"),
        pytest.param("LA_E_1 A07 spoof 1\n", "line 1: expected 3 columns .*, found 4", id="scores of a detector"),
        pytest.param("bonafide target high\n", "line 1: expected a number as the score, found 'high'", id="text"),
        pytest.param("bonafide target 1\n\nbonafide target nan\n", "line 3: the score is nan", id="NaN"),
        pytest.param("A07 spoof inf\n", "line 1: the score is inf", id="infinite"),
        pytest.param("bonafide target 1\nbonafide tar 1\n", "line 2: expected target, nontarget or spoof", id="key"),
        pytest.param("A07 target 1\n", "line 1: A07 and target contradict each other", id="attack of a target"),
        pytest.param("bonafide spoof 1\n", "line 1: bonafide and spoof contradict each other", id="bona fide spoof"),
        pytest.param(ASV_2021, r"so the key is needed, too: keys/LA/ASV/trial_metadata\.txt", id="2021 without key"),
    ],
)
def test_faults(text: str, match: str, tmp_path: Path) -> None:
    """Each fault is one line with the file, the line where there is one, what was expected and what was found."""
    with pytest.raises(DataError, match=match) as raised:
        read_asv_scores(write(tmp_path / "a" / "b" / "asv.txt", text))
    assert str(raised.value).startswith(str(tmp_path / "a" / "b" / "asv.txt"))


@pytest.mark.parametrize(
    ("key", "match"),
    [
        (KEY_LA + KEY_LA, r"trial_metadata\.txt: has 8 trials, and .*score\.txt has 4 scores"),
        (KEY_LA.replace("LA_E_2", "LA_E_9"), r"score\.txt, line 2: is about LA_E_2, but line 2 of .* about LA_E_9"),
        (KEY_LA.replace(" trim", ""), r"trial_metadata\.txt, line 4: expected 8 columns \(LA\) or 12 .*, found 7"),
        (KEY_LA.replace(" target", " bonafide"), r"trial_metadata\.txt, line 1: expected target, .* found 'bonafide'"),
    ],
    ids=["more trials", "other trial", "short line", "key of a detector"],
)
def test_faults_of_the_key(key: str, match: str, tmp_path: Path) -> None:
    """A key that is not that of the scores is named with the line that shows it."""
    with pytest.raises(DataError, match=match):
        read_asv_scores(keys_2021(tmp_path, key))


def test_directories(tmp_path: Path) -> None:
    """A directory in the place of either file is refused."""
    path = keys_2021(tmp_path)
    with pytest.raises(DataError, match="keys: is a directory; give a file"):
        read_asv_scores(tmp_path / "keys")
    with pytest.raises(DataError, match="keys: is a directory; give a file"):
        read_asv_scores(path, tmp_path / "keys")


@pytest.mark.parametrize("text", [ASV_2019, ASV_2021], ids=["2019", "2021"])
def test_damage_is_never_a_traceback(text: str, tmp_path: Path) -> None:
    """A file in which anything was changed is read, or refused with one line that names it."""
    rng = random.Random(text)  # noqa: S311 - nothing secret
    path = keys_2021(tmp_path)
    n_refused = 0
    for _ in range(200):
        content = bytearray(text.encode())
        at = rng.randrange(len(content) + 1)
        content[at : at + rng.randint(0, 3)] = rng.choice([b"", b"\n", b"\r", b" ", b"\0", b"\xff", b"nan", b"-", b"9"])
        path.write_bytes(content)
        try:
            assert np.isfinite(read_asv_scores(path).scores).all()
        except DataError as error:
            n_refused += 1
            assert str(path) in str(error)  # noqa: PT017 - both outcomes are right
    assert 0 < n_refused < 200


@pytest.mark.parametrize(
    ("part", "counts", "systems"),
    [
        ("dev", (1_484, 5_768, 22_296), [f"A{n:02}" for n in range(1, 7)]),
        ("eval", (5_370, 33_327, 63_882), [f"A{n:02}" for n in range(7, 20)]),
    ],
)
def test_real_scores(part: str, counts: tuple[int, ...], systems: list[str], shared: Path) -> None:
    """The official scores of 2019 are read as they are, with the published numbers of trials."""
    found = read_asv_scores(shared / "metrics" / "asv" / f"ASVspoof2019.LA.asv.{part}.gi.trl.scores.txt.gz")
    assert (len(found.target), len(found.nontarget), len(found.spoof)) == counts
    assert sorted(set(found.spoof_systems.tolist())) == systems
