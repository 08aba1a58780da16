"""Score files as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepfake_audio.datasets import Label, Utterance
from deepfake_audio.datasets.core import PARTITIONS
from deepfake_audio.errors import DataError
from deepfake_audio.scorefiles.formats import read_table

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from deepfake_audio.scorefiles.formats import Table

FloatArray = npt.NDArray[np.float64]

# What stands in the place of an attack where there is none.
_NO_ATTACK = frozenset(["-", "bonafide", "A00"])
# Of the fields of an utterance these are found among the facts.
_FIELDS = ("partition", "source", "group", "speaker")


@dataclass(frozen=True)
class ScoreFile:
    """
    What a score file says.

    Attributes:
        path: The file.
        format: The name of its format.
        ids: Of the utterances, as the file has them, each once.
        scores: One per id, finite, higher = more bona fide, shape (n,).
        lines: Where each id stands, shape (n,).
        labels: One per id; None where the file says none.
        systems: What synthesised each, empty for bona fide; None where the file says none.
        facts: All else that the file says, speaker and source included: one word per id, by name.
        unscored: Ids of records that have no score.
        unit: What ``lines`` counts: ``line`` or ``record``.
    """

    path: Path
    format: str
    ids: tuple[str, ...]
    scores: FloatArray
    lines: npt.NDArray[np.int64]
    labels: tuple[Label, ...] | None = None
    systems: tuple[str, ...] | None = None
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unscored: tuple[str, ...] = ()
    unit: str = "line"

    def __len__(self) -> int:
        """Return the number of scores."""
        return len(self.ids)

    def where(self, index: int) -> str:
        """Return the file and line of one of the ids, for messages."""
        return f"{self.path}, {self.unit} {self.lines[index]}"


def read_scores(path: str | os.PathLike[str]) -> ScoreFile:
    """
    Read a score file of any of the formats; one whose name ends in ``.gz`` is unpacked.

    Raises:
        DataError: If it cannot be read, does not fit its format, has no score, a score that is no finite number, or an
            id twice.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: is a directory; give a score file")
    table = read_table(path)
    _refuse_repeated(table)
    known = [n for n, score in enumerate(table.scores) if score is not None]
    if not known:
        raise DataError(f"{path}: holds no scores" + (f"; {len(table.ids):,} records have none" if table.ids else ""))
    found = _score_file(table, known)
    wrong = np.flatnonzero(~np.isfinite(found.scores))
    if len(wrong):
        n = int(wrong[0])
        count = f"; {len(wrong):,} scores are not finite" if len(wrong) > 1 else ""
        raise DataError(f"{found.where(n)}: the score of {found.ids[n]} is {found.scores[n]}{count}")
    return found


def _refuse_repeated(table: Table) -> None:
    n_repeated = len(table.ids) - len(set(table.ids))
    if not n_repeated:
        return
    first: dict[str, int] = {}
    pairs = [(before, n) for n, name in enumerate(table.ids) if (before := first.setdefault(name, n)) != n]
    contradictory = [(m, n) for m, n in pairs if table.labels and table.labels[m] is not table.labels[n]]
    m, n = (contradictory or pairs)[0]
    labels = f", there as {table.labels[m]} and here as {table.labels[n]}" if contradictory else ""
    raise DataError(
        f"{table.where(table.lines[n])}: {table.ids[n]} stands already in {table.unit} {table.lines[m]}{labels}; "
        f"{n_repeated:,} too many, each id has one score"
    )


def _score_file(table: Table, known: list[int]) -> ScoreFile:
    """Turn a table into what is given away; ``known`` are the positions of what has a score."""
    is_complete = len(known) == len(table.ids)

    def pick(column: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(column) if is_complete else tuple(column[n] for n in known)

    labels = pick(table.labels) if table.labels else None
    facts = {name: pick(words) for name, words in table.words.items()}
    systems = facts.pop("system", None)
    if systems is not None:
        systems = tuple(
            "" if system in _NO_ATTACK or label is Label.BONAFIDE else system
            for system, label in zip(systems, labels or [None] * len(known), strict=True)
        )
    return ScoreFile(
        path=table.path,
        format=table.format,
        ids=pick(table.ids),
        scores=np.array(pick(table.scores), dtype=np.float64),
        lines=np.array(table.lines, dtype=np.int64)[known],
        labels=labels,
        systems=systems,
        facts=facts,
        unscored=tuple(name for name, score in zip(table.ids, table.scores, strict=True) if score is None),
        unit=table.unit,
    )


def utterances_of(scores: ScoreFile) -> tuple[Utterance, ...]:
    """
    Return what a score file says of its utterances, in the order of its scores, where it carries the labels itself.

    Raises:
        DataError: If it does not.
    """
    if scores.labels is None:
        raise DataError(
            f"{scores.path}: says no labels (format {scores.format}); give the data set, protocol or key of its "
            "utterances, too"
        )
    nothing = ("",) * len(scores)
    partitions, sources, groups, speakers = (scores.facts.get(name, nothing) for name in _FIELDS)
    names = [name for name in scores.facts if name not in _FIELDS]
    said = list(zip(*(scores.facts[name] for name in names), strict=True)) or [()] * len(scores)
    columns = (scores.ids, scores.labels, partitions, sources, groups, scores.systems or nothing, speakers, said)
    return tuple(
        Utterance(
            Path(name),
            label,
            name,
            PARTITIONS.get(partition.lower(), partition),
            source,
            group,
            system,
            speaker,
            {fact: word for fact, word in zip(names, words, strict=True) if word},
        )
        for name, label, partition, source, group, system, speaker, words in zip(*columns, strict=True)
    )
