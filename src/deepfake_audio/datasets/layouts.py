"""The one table of layouts, and how a place is read by it."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from deepfake_audio.datasets import asvspoof, folders, manifests
from deepfake_audio.datasets.core import Dataset, Layout
from deepfake_audio.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

# In the order in which they are tried: what is more particular comes first.
LAYOUTS: dict[str, Layout] = {
    "asvspoof2019": Layout(asvspoof.is_2019, asvspoof.read_2019),
    "asvspoof2021": Layout(asvspoof.is_2021, asvspoof.read_2021),
    "asvspoof5": Layout(asvspoof.is_5, asvspoof.read_5),
    "in-the-wild": Layout(manifests.is_in_the_wild, manifests.read_in_the_wild),
    "wavefake": Layout(folders.is_wavefake, folders.read_wavefake),
    "fake-or-real": Layout(folders.is_fake_or_real, folders.read_fake_or_real),
    "csv": Layout(manifests.is_csv, manifests.read_csv),
    "folders": Layout(folders.is_folders, folders.read_folders),
}


def read_dataset(
    root: str | os.PathLike[str], layout: str = "auto", columns: Mapping[str, str] | None = None
) -> Dataset:
    """
    Read a data set; its audio files need not be there.

    Args:
        root: A directory, a CSV manifest, or a protocol or key file of ASVspoof.
        layout: One of ``LAYOUTS``, or ``auto`` to recognise it.
        columns: For manifests whose header uses other names: our name -> theirs, such as ``{"path": "clip"}``.

    Raises:
        DataError: If nothing is there, or it does not fit the layout.
    """
    root = Path(root)
    if not root.exists():
        raise DataError(f"{root}: there is no such directory or manifest")
    if layout == "auto":
        layout = _recognise(root)
    if layout not in LAYOUTS:
        raise DataError(f"unknown layout {layout!r}; layouts: auto, {', '.join(LAYOUTS)}")
    with _no_garbage_collection():
        utterances = tuple(LAYOUTS[layout].read(root, columns or {}))
    if not utterances:
        raise DataError(f"{root}: no labelled audio files were found (layout {layout})")
    return Dataset(root, layout, utterances)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Let half a million utterances be made without being searched for cycles again and again: 4 s instead of 7."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _recognise(root: Path) -> str:
    for name, layout in LAYOUTS.items():
        if layout.recognises(root):
            return name
    raise DataError(
        f"{root}: the layout was not recognised; expected a CSV manifest, a protocol or key file of ASVspoof, "
        "sub-directories named bonafide (genuine, real) and spoof (deepfake, fake), or an unpacked ASVspoof 2019, "
        "2021 or 5, In-the-Wild, WaveFake or Fake-or-Real"
    )
