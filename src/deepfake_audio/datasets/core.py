"""What a data set is made of: labels, utterances, and their parts by partition and subset."""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
    from pathlib import Path


class Label(enum.StrEnum):
    """The field's words; a person reads genuine and deepfake."""

    BONAFIDE = "bonafide"
    SPOOF = "spoof"


LABELS = {
    **dict.fromkeys(("bonafide", "bona fide", "bona-fide", "bona_fide", "genuine", "real", "human"), Label.BONAFIDE),
    **dict.fromkeys(("spoof", "spoofed", "deepfake", "fake", "synthetic"), Label.SPOOF),
}
PARTITIONS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "test", "testing"), "eval"),
}
# ASVspoof 2021's first package says hidden_track where its second says hidden.
SUBSETS = {"eval": "eval", "progress": "progress", "hidden": "hidden", "hidden_track": "hidden"}
# What utterances can be told apart by, besides their facts; `attack` is the field's word for the system.
_FIELDS = ("system", "source", "speaker", "partition", "group")
_FIELD_SYNONYMS = {"attack": "system"}


@dataclass(frozen=True, slots=True)
class Utterance:
    """
    One recording of a data set.

    Attributes:
        path: The audio file.
        label: Bona fide or spoof.
        utterance_id: Its name in the data set.
        partition: ``train``, ``dev``, ``eval`` or another word of the data set; empty where there is none.
        source: Where the recording comes from: a data set, a page, a folder.
        group: What must not be on both sides of a split: speaker, author, list of sentences.
        system: What synthesised it; empty for bona fide.
        speaker: Who speaks, where known.
        facts: What else the data set says of it, by name: codec, environment, subset, language and the like.
    """

    path: Path
    label: Label
    utterance_id: str
    partition: str = ""
    source: str = ""
    group: str = ""
    system: str = ""
    speaker: str = ""
    facts: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def is_bonafide(self) -> bool:
        """Whether a person spoke it."""
        return self.label is Label.BONAFIDE

    def fact(self, name: str) -> str:
        """
        Return what the data set says under a name; empty where it says nothing.

        Args:
            name: ``system`` (or ``attack``), ``source``, ``speaker``, ``partition``, ``group``, or a key of ``facts``.
        """
        name = _FIELD_SYNONYMS.get(name, name)
        return str(getattr(self, name)) if name in _FIELDS else self.facts.get(name, "")


@dataclass(frozen=True)
class Dataset:
    """
    The utterances of one data set, and the name of its layout.

    Attributes:
        root: Where it was read.
        layout: One of ``LAYOUTS``.
        utterances: In the order of the data set.
        whole: What this was selected from; None for what was read.
    """

    root: Path
    layout: str
    utterances: tuple[Utterance, ...]
    whole: Dataset | None = field(default=None, repr=False, compare=False)

    def select(self, partition: str) -> Dataset:
        """
        Return one partition, or several, such as ``train,dev``.

        Raises:
            DataError: If there is none of a name.
        """
        wanted = self._names("partition", partition, PARTITIONS, self.partitions)
        return self._only(u for u in self.utterances if u.partition in wanted)

    def select_subset(self, subset: str) -> Dataset:
        """
        Return one subset of ASVspoof 2021, several, such as ``progress,eval``, or ``all``.

        Official numbers are those of ``eval``. ``hidden_track`` is another word for ``hidden``.

        Raises:
            DataError: If there is none of a name.
        """
        if subset.strip().lower() == "all":
            return self
        wanted = self._names("subset", subset, SUBSETS, self.subsets)
        return self._only(u for u in self.utterances if u.facts.get("subset") in wanted)

    def _names(self, kind: str, text: str, synonyms: Mapping[str, str], there: tuple[str, ...]) -> set[str]:
        names = [name.strip() for name in text.split(",")]
        wanted = {synonyms.get(name.lower(), name): name for name in names}
        if missing := [name for key, name in wanted.items() if key not in there]:
            raise DataError(f"{self.root}: has no {kind} {missing[0]!r}; {kind}s: {', '.join(there) or 'none'}")
        return set(wanted)

    def _only(self, utterances: Iterable[Utterance]) -> Dataset:
        return Dataset(self.root, self.layout, tuple(utterances), whole=self.whole or self)

    @property
    def partitions(self) -> tuple[str, ...]:
        """The names of the partitions, in the order in which they appear."""
        return tuple(dict.fromkeys(u.partition for u in self.utterances if u.partition))

    @property
    def subsets(self) -> tuple[str, ...]:
        """The names of the subsets, in the order in which they appear; none but in ASVspoof 2021."""
        return tuple(dict.fromkeys(u.facts["subset"] for u in self.utterances if "subset" in u.facts))

    @property
    def facts(self) -> tuple[str, ...]:
        """The names under which ``Utterance.fact`` says something of at least one utterance."""
        named = [name for name in _FIELDS if any(getattr(u, name) for u in self.utterances)]
        return tuple(dict.fromkeys([*named, *(name for u in self.utterances for name in u.facts)]))

    @property
    def n_bonafide(self) -> int:
        """How many utterances are bona fide."""
        return sum(u.is_bonafide for u in self.utterances)

    @property
    def n_spoof(self) -> int:
        """How many utterances are spoofed."""
        return len(self.utterances) - self.n_bonafide


@dataclass(frozen=True)
class Layout:
    """A kind of data set: how to recognise one, and how to read it."""

    recognises: Callable[[Path], bool]
    read: Callable[[Path, Mapping[str, str]], Iterator[Utterance]]


def label_of(text: str, where: str) -> Label:
    """
    Return the label that a word means.

    Raises:
        DataError: If it is none, with ``where`` in front.
    """
    try:
        return LABELS[text.strip().lower()]
    except KeyError:
        raise DataError(f"{where}: expected a label such as bonafide or spoof, found {text!r}") from None


def each_once(
    path: str | os.PathLike[str], numbered: Iterable[tuple[int, Utterance]], key: Callable[[Utterance], Hashable]
) -> Iterator[Utterance]:
    """
    Yield the utterances of a file.

    Args:
        path: The file, for the message.
        numbered: The utterances with their line numbers.
        key: What must not be the same for two of them.

    Raises:
        DataError: Once all are read, if some are listed more than once; contradictory labels are named first.
    """
    first: dict[Hashable, tuple[int, Utterance]] = {}
    repeated = []
    for row in numbered:
        earlier = first.setdefault(key(row[1]), row)
        if earlier is row:
            yield row[1]
        else:
            repeated.append((earlier, row))
    if repeated:
        contradictory = [pair for pair in repeated if pair[0][1].label is not pair[1][1].label]
        (line, there), (number, here) = (contradictory or repeated)[0]
        count = len({key(utterance) for _, (_, utterance) in repeated})
        raise DataError(
            f"{os.fspath(path)}, line {number}: {count} files are listed more than once, first {here.path}, "
            f"in line {line} as {there.label} and here as {here.label}"
        )
