"""
Recipes: every choice of a training run, as a TOML file.

    name = "both"
    seed = 0
    window_seconds = 3.0

    [[members]]
    backend = "svm"
    features = [{ kind = "lfcc", deltas = 1, statistics = ["mean", "std"] }, { kind = "modulation" }]
    options = { c = 2.0 }

    [[members]]
    backend = "cnn"
    copies = 4
    augmentation = { noise = 0.3 }

A model is one or several members whose scores are joined; all of them see the same windows. What a recipe leaves out
is the backend's own choice; ``to_dict`` gives all of it, chosen and left out alike.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_audio.augment import CHANGES, Augmentation
from deepfake_audio.backends import BACKENDS, load_backend
from deepfake_audio.errors import DataError, printable
from deepfake_audio.features import FeatureSpec, converted, feature_shape
from deepfake_audio.modelfile import MAX_NAME, SHIPPED, SHIPPED_DIRECTORY, is_model_name

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

MAX_MEMBERS = 8
MAX_COPIES = 100
MAX_RECIPE_BYTES = 1 << 20
# A network halves a spectrogram four times; what is left must be something.
_SMALLEST_PICTURE = 16
# What scikit-learn and Keras take as a seed.
_LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Member:
    """
    One of the classifiers of a model.

    Attributes:
        backend: A key of ``backends.BACKENDS``.
        specs: The front end; the vectors of several are put end to end.
        options: The backend's own choices, an instance of its ``Options``.
        copies: How many changed copies of each window it learns from, beside the window itself.
        augmentation: How often each change happens to a copy, by its name in ``augment.CHANGES``.
    """

    backend: str
    specs: tuple[FeatureSpec, ...]
    options: Any
    copies: int
    augmentation: Mapping[str, float] = field(default_factory=lambda: dict(Augmentation().probabilities))

    def __post_init__(self) -> None:
        """Refuse what the backend cannot learn from."""
        if not 0 <= self.copies <= MAX_COPIES:
            raise DataError(f"recipe: copies must be 0 to {MAX_COPIES}, got {self.copies}")
        Augmentation(self.augmentation)
        vectors = load_backend(self.backend).DEFAULT_SPECS[0].is_vector
        if not self.specs or any(spec.is_vector != vectors for spec in self.specs):
            raise DataError(
                f"features: the backend {self.backend} {'needs statistics over the' if vectors else 'takes'} frames, "
                f"got {', '.join(f'{spec.kind} with {list(spec.statistics)}' for spec in self.specs) or 'none'}"
            )
        if not vectors and len(self.specs) > 1:
            raise DataError(f"features: the backend {self.backend} takes one kind of features, got {len(self.specs)}")

    @classmethod
    def of(cls, backend: str, **changes: Any) -> Member:
        """Return a backend's own choices, some of them changed."""
        module = load_backend(backend)
        own = {"specs": module.DEFAULT_SPECS, "options": module.Options(), "copies": module.COPIES}
        return cls(backend, **{**own, **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Member:
        """Read what ``to_dict`` gave, or a part of it."""
        _require_keys(values, ("backend", "features", "options", "copies", "augmentation"), "members")
        backend = values.get("backend")
        if not isinstance(backend, str) or backend not in BACKENDS:
            raise DataError(f"recipe: a member's backend must be one of {', '.join(BACKENDS)}, got {backend!r:.80}")
        own = cls.of(backend)
        specs = own.specs
        if "features" in values:
            specs = tuple(_spec(table) for table in _typed("features", values["features"], []))
        happens = _typed("augmentation", values.get("augmentation", {}), {})
        return cls(
            backend,
            specs,
            _changed(own.options, values.get("options", {})),
            _typed("copies", values.get("copies", own.copies), 0),
            {**own.augmentation, **{name: _typed(f"augmentation.{name}", p, 0.0) for name, p in happens.items()}},
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "backend": self.backend,
            "features": [spec.to_dict() for spec in self.specs],
            "options": dataclasses.asdict(self.options),
            "copies": self.copies,
            "augmentation": {name: self.augmentation.get(name, 0.0) for name in CHANGES} if self.copies else {},
        }


@dataclass(frozen=True)
class Recipe:
    """
    Every choice of a training run.

    Attributes:
        members: The classifiers.
        name: What the model calls itself.
        window_seconds: Length of a window.
        seed: Where all randomness starts.
    """

    members: tuple[Member, ...]
    name: str
    window_seconds: float
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse, before hours of training, what no model file takes."""
        checks = {
            f"name has 1 to {MAX_NAME} printable characters": is_model_name(self.name),
            f"there are 1 to {MAX_MEMBERS} members": 1 <= len(self.members) <= MAX_MEMBERS,
            "window_seconds is 0.5 to 30": 0.5 <= self.window_seconds <= 30,  # noqa: PLR2004
            f"seed is 0 to {_LARGEST_SEED}": 0 <= self.seed <= _LARGEST_SEED,
            "all members have one sample_rate": len(
                {spec.sample_rate for member in self.members for spec in member.specs}
            )
            <= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise DataError(f"recipe: the rule is that {rule}, got {printable(str(self.to_dict())[:200])}")
        for member in self.members:
            smallest = min(feature_shape(member.specs, self.window_samples))
            if not member.specs[0].is_vector and smallest < _SMALLEST_PICTURE:
                raise DataError(
                    f"features: the backend {member.backend} needs {_SMALLEST_PICTURE} bands and frames or more, "
                    f"got {smallest}"
                )

    @property
    def window_samples(self) -> int:
        """The length of a window in samples."""
        return round(self.window_seconds * self.sample_rate)

    @property
    def sample_rate(self) -> int:
        """Of all front ends, in Hz."""
        return self.members[0].specs[0].sample_rate

    @property
    def backend(self) -> str:
        """The backend of all members, or ``fusion``."""
        backends = {member.backend for member in self.members}
        return backends.pop() if len(backends) == 1 else "fusion"

    @classmethod
    def of(cls, backend: str, **changes: Any) -> Recipe:
        """Return the recipe of one member with a backend's own choices, some of the recipe's changed."""
        own = {"name": backend, "window_seconds": load_backend(backend).WINDOW_SECONDS}
        return cls((Member.of(backend),), **{**own, **changes})

    def changed(
        self,
        *,
        features: str | None = None,
        options: Sequence[str] | None = None,
        copies: int | None = None,
        **own: Any,
    ) -> Recipe:
        """
        Return this recipe with some choices changed; None leaves one as it is.

        Args:
            features: One front end instead, for ``FeatureSpec.changed``.
            options: Of the backend, ``key=value`` each.
            copies: As in ``Member``.
            own: Fields of the recipe.

        Raises:
            DataError: If a key is unknown, a value does not fit, or it is not clear which member is meant.
        """
        changes = {key: value for key, value in own.items() if value is not None}
        member, *others = self.members
        of_member: dict[str, Any] = {}
        if features is not None:
            of_member["specs"] = (load_backend(member.backend).PLAIN_SPEC.changed(features),)
        if options:
            of_member["options"] = _set(member.options, options)
        if copies is not None:
            of_member["copies"] = copies
        if of_member and others:
            raise DataError(
                f"the recipe {self.name!r} has {len(self.members)} members; change features, options and copies in "
                "its file"
            )
        if of_member:
            changes["members"] = (dataclasses.replace(member, **of_member),)
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """
        Read what ``to_dict`` gave, or a part of it.

        Raises:
            DataError: If a key is unknown, or a value does not fit.
        """
        _require_keys(values, ("name", "seed", "window_seconds", "members"), "")
        tables = _typed("members", values.get("members", []), [])
        members = tuple(Member.from_dict(_typed("members", table, {})) for table in tables)
        if not members:
            raise DataError("recipe: it needs at least one [[members]] with a backend")
        first = load_backend(members[0].backend)
        return cls(
            members,
            _typed("name", values.get("name", "-".join(m.backend for m in members)), ""),
            _typed("window_seconds", values.get("window_seconds", first.WINDOW_SECONDS), 0.0),
            _typed("seed", values.get("seed", 0), 0),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {
            "name": self.name,
            "seed": self.seed,
            "window_seconds": self.window_seconds,
            "members": [member.to_dict() for member in self.members],
        }


def read_recipe(name: str | os.PathLike[str]) -> Recipe:
    """
    Read a recipe.

    Args:
        name: A TOML file, or the name of a shipped model, whose recipe lies beside it.

    Raises:
        DataError: If it is missing, no TOML, or not a recipe; the message names the file and what is wrong.
    """
    path = SHIPPED_DIRECTORY / f"{name}.toml" if name in SHIPPED else Path(name)
    try:
        return Recipe.from_dict(tomllib.loads(_read(path).decode()))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not TOML ({printable(str(error))})") from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    """Return the bytes of a file that is no larger than a recipe can be."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_RECIPE_BYTES + 1)
    except (OSError, ValueError) as error:
        names = ", ".join(SHIPPED)
        raise DataError(
            f"cannot be read ({getattr(error, 'strerror', None) or error}); give a TOML file or the name of a shipped "
            f"model: {names}"
        ) from error
    if len(content) > MAX_RECIPE_BYTES:
        raise DataError(f"more than {MAX_RECIPE_BYTES:,} bytes are no recipe")
    return content


def _spec(table: Any) -> FeatureSpec:
    values = _typed("features", table, {})
    own = FeatureSpec("mfcc").to_dict()
    _require_keys(values, tuple(own), "features")
    if "kind" not in values:
        raise DataError("recipe: features: each table needs a kind")
    for key, value in values.items():
        _typed(f"features.{key}", value, own[key])
    return FeatureSpec.from_dict(values)


def _require_keys(values: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    if unknown := sorted(set(values) - set(known)):
        place = f"{where}: " if where else ""
        raise DataError(f"recipe: {place}unknown key {unknown[0]!r}; keys: {', '.join(known)}")


# What TOML calls the types.
_WORDS = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "an array",
    dict: "a table",
}


def _typed(key: str, value: Any, like: Any) -> Any:
    """Return a value, after making sure that it has the type of ``like``; a whole number may stand for any number."""
    if isinstance(like, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(like):
        raise DataError(f"recipe: {key} must be {_WORDS[type(like)]}, got {value!r:.80}")
    return value


def _changed(options: Any, values: Any) -> Any:
    """Return a dataclass of options with some of them changed."""
    own = dataclasses.asdict(options)
    _require_keys(_typed("options", values, {}), tuple(own), "options")
    changes = {key: _typed(f"options.{key}", value, own[key]) for key, value in values.items()}
    return dataclasses.replace(options, **changes)


def _set(options: Any, texts: Sequence[str]) -> Any:
    """Return a dataclass of options with some of them changed by texts such as ``c=2``."""
    own = dataclasses.asdict(options)
    changes = {}
    for text in texts:
        key, _, value = (part.strip() for part in text.partition("="))
        if key not in own:
            raise DataError(f"--set {text}: unknown option {key!r}; options: {', '.join(own)}")
        try:
            changes[key] = converted(own[key], value)
        except ValueError:
            raise DataError(f"--set {text}: {value!r} is not a {type(own[key]).__name__}") from None
    return dataclasses.replace(options, **changes)
