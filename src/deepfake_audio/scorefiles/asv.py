"""
Scores of a speaker verification system, which the tandem detection cost needs.

- 2019: ``CM_KEY ASV_KEY SCORE``; the attack or ``bonafide``, and ``target``, ``nontarget`` or ``spoof``
- 2021: ``CLAIMED_SPEAKER TRIAL SCORE``; a key beside it says line by line what the trials are
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepfake_audio.datasets.core import SUBSETS
from deepfake_audio.datasets.text import rows
from deepfake_audio.errors import DataError
from deepfake_audio.scorefiles.formats import as_number

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from deepfake_audio.scorefiles.reading import FloatArray

    WordArray = npt.NDArray[np.str_]

_KEYS = frozenset(["target", "nontarget", "spoof"])
_SCORE_COLUMNS = 3
_KEY_FILE = "trial_metadata.txt"
# Of the keys of 2021, by their number of columns (8 are LA's, 12 PA's): where system, key, codec and subset stand.
_KEY_COLUMNS_2021 = {8: (4, 5, 2, 7), 12: (None, 9, None, 11)}


@dataclass(frozen=True)
class AsvScores:
    """
    Scores of a speaker verification system, higher = more likely the claimed speaker.

    Attributes:
        path: The file.
        scores: One per trial, shape (n,).
        keys: ``target``, ``nontarget`` or ``spoof``, shape (n,).
        systems: The attack of a spoofed trial, else empty, shape (n,).
        codecs: What the trial went through in 2021's LA, else empty, shape (n,).
        subsets: ``eval``, ``progress`` or ``hidden`` in 2021, else empty, shape (n,).
    """

    path: Path
    scores: FloatArray
    keys: WordArray
    systems: WordArray
    codecs: WordArray
    subsets: WordArray

    @property
    def target(self) -> FloatArray:
        """The scores of bona fide trials of the claimed speaker."""
        return self.scores[self._are("target")]

    @property
    def nontarget(self) -> FloatArray:
        """The scores of bona fide trials of another speaker."""
        return self.scores[self._are("nontarget")]

    @property
    def spoof(self) -> FloatArray:
        """The scores of spoofed trials."""
        return self.scores[self._are("spoof")]

    @property
    def spoof_systems(self) -> WordArray:
        """The attack of each of ``spoof``."""
        return self.systems[self._are("spoof")]

    def _are(self, key: str) -> npt.NDArray[np.bool_]:
        return np.equal(self.keys, key)

    def where(self, codec: str | None = None, subset: str | None = None) -> AsvScores:
        """Return the trials of one codec, one subset, or both."""
        chosen = np.ones(len(self.scores), dtype=bool)
        if codec is not None:
            chosen &= self.codecs == codec
        if subset is not None:
            chosen &= self.subsets == SUBSETS.get(subset, subset)
        columns = (getattr(self, column.name)[chosen] for column in fields(self)[1:])
        return AsvScores(self.path, *columns)


def read_asv_scores(path: str | os.PathLike[str], key: str | os.PathLike[str] | None = None) -> AsvScores:
    """
    Read the scores of a speaker verification system in the format of 2019 or 2021.

    Args:
        path: The score file.
        key: For the format of 2021, ``keys/LA/ASV/trial_metadata.txt`` (or PA's); where it is not given, it is looked
            for where the official package has it.

    Raises:
        DataError: If a file does not fit its format, or the key is needed and not there.
    """
    path = Path(path)
    for given in (path, Path(key or path)):
        if given.is_dir():
            raise DataError(f"{given}: is a directory; give a file")
    numbered = list(_three_columns(path))
    if not numbered:
        raise DataError(f"{path}: holds no scores, it is empty")
    is_2019 = numbered[0][1][1] in _KEYS
    said = (
        _said_2019(path, numbered)
        if is_2019
        else _said_2021(path, numbered, Path(key or path.parent.parent / _KEY_FILE))
    )
    keys, systems, codecs, subsets = (np.array(words, dtype=np.str_) for words in zip(*said, strict=True))
    return AsvScores(path, _scores(path, numbered), keys, systems, codecs, subsets)


def _three_columns(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, cells in rows(path):
        if len(cells) != _SCORE_COLUMNS:
            raise DataError(
                f"{path}, line {number}: expected 3 columns (attack or bonafide, target or nontarget or spoof, score; "
                f"in 2021 speaker, trial, score), found {len(cells)}"
            )
        yield number, [*map(sys.intern, cells[:2]), cells[2]]


def _scores(path: Path, numbered: Sequence[tuple[int, list[str]]]) -> FloatArray:
    scores = np.empty(len(numbered))
    for n, (number, (_, _, text)) in enumerate(numbered):
        try:
            scores[n] = as_number(text)
        except ValueError:
            raise DataError(f"{path}, line {number}: expected a number as the score, found {text!r}") from None
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise DataError(f"{path}, line {numbered[wrong[0]][0]}: the score is {scores[wrong[0]]}")
    return scores


def _said_2019(path: Path, numbered: Sequence[tuple[int, list[str]]]) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, system, codec and subset of each trial; the last two are not known."""
    for number, (system, key, _) in numbered:
        where = f"{path}, line {number}"
        _require_key(key, where)
        if (system == "bonafide") is (key == "spoof"):
            raise DataError(f"{where}: {system} and {key} contradict each other")
        yield key, "" if system == "bonafide" else system, "", ""


def _require_key(key: str, where: str) -> None:
    if key not in _KEYS:
        raise DataError(f"{where}: expected target, nontarget or spoof, found {key!r}")


def _said_2021(
    path: Path, numbered: Sequence[tuple[int, list[str]]], key_path: Path
) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, system, codec and subset of each trial, from the key's line for it."""
    if not key_path.is_file():
        raise DataError(
            f"{path}: says speaker, trial and score, so the key is needed, too: keys/LA/ASV/{_KEY_FILE} (or PA's)"
        )
    trials = list(rows(key_path))
    if len(trials) != len(numbered):
        raise DataError(
            f"{key_path}: has {len(trials):,} trials, and {path} has {len(numbered):,} scores; they must go together"
        )
    for (number, (_, trial, _)), (line, cells) in zip(numbered, trials, strict=True):
        places = _KEY_COLUMNS_2021.get(len(cells))
        if places is None:
            raise DataError(f"{key_path}, line {line}: expected 8 columns (LA) or 12 (PA), found {len(cells)}")
        if trial.partition("-")[0] != cells[1].partition("-")[0]:  # an id may be followed by its condition
            raise DataError(f"{path}, line {number}: is about {trial}, but line {line} of {key_path} about {cells[1]}")
        system, key, codec, subset = (sys.intern(cells[at]) if at is not None else "" for at in places)
        _require_key(key, f"{key_path}, line {line}")
        yield key, system if key == "spoof" else "", codec, SUBSETS.get(subset, subset)
