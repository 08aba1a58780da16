"""Recipes: what is written comes back, what is left out is the backend's own, and what cannot be meant is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from deepfake_audio import modelfile
from deepfake_audio.augment import CHANGES
from deepfake_audio.backends import BACKENDS, load_backend
from deepfake_audio.errors import DataError
from deepfake_audio.features import FeatureSpec
from deepfake_audio.recipe import MAX_RECIPE_BYTES, Member, Recipe, read_recipe

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = """
name = "both"
seed = 7
window_seconds = 2.5

[[members]]
backend = "svm"
features = [{ kind = "lfcc", deltas = 1, statistics = ["mean", "std"] }, { kind = "modulation" }]
options = { c = 2 }

[[members]]
backend = "cnn"
copies = 2
augmentation = { noise = 0.3, tempo = 0 }
"""


def written(directory: Path, text: str | bytes) -> Path:
    """Write a recipe."""
    path = directory / "mine.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


# --- reading and writing ---------------------------------------------------------------------------------------


def test_every_choice_of_a_file_is_taken(tmp_path: Path) -> None:
    """The file's values arrive, whole numbers as the numbers that are meant."""
    recipe = read_recipe(written(tmp_path, EXAMPLE))
    svm, cnn = recipe.members
    assert (recipe.name, recipe.seed, recipe.window_seconds) == ("both", 7, 2.5)
    assert svm.specs == (FeatureSpec("lfcc", deltas=1, statistics=("mean", "std")), FeatureSpec("modulation"))
    assert (svm.options.c, type(svm.options.c)) == (2.0, float)
    assert (cnn.copies, cnn.augmentation["noise"], cnn.augmentation["tempo"]) == (2, 0.3, 0.0)


def test_what_a_file_leaves_out_is_the_backends_own(tmp_path: Path) -> None:
    """A member without more than its backend is the backend's default, with its window."""
    text = '[[members]]\nbackend = "svm"\n[[members]]\nbackend = "cnn"'
    recipe = read_recipe(written(tmp_path, text))
    assert [member.to_dict() for member in recipe.members] == [Member.of(name).to_dict() for name in ("svm", "cnn")]
    assert (recipe.name, recipe.seed) == ("svm-cnn", 0)
    assert recipe.window_seconds == load_backend("svm").WINDOW_SECONDS


@pytest.mark.parametrize(
    "recipe",
    [
        *(pytest.param(Recipe.of(name), id=name) for name in BACKENDS),
        pytest.param(Recipe.of("svm", name="x", seed=3, window_seconds=1.5), id="changed"),
        pytest.param(
            Recipe((Member.of("svm", copies=1, augmentation={"compress": 1.0}), Member.of("cnn")), "two", 2.0),
            id="one change only",
        ),
    ],
)
def test_round_trip(recipe: Recipe) -> None:
    """What goes through JSON comes back the same, and names every choice, each change of the copies too."""
    values = json.loads(json.dumps(recipe.to_dict()))
    again = Recipe.from_dict(values)
    assert again.to_dict() == values
    assert [member.specs for member in again.members] == [member.specs for member in recipe.members]
    assert [member.options for member in again.members] == [member.options for member in recipe.members]
    for member, old in zip(again.members, recipe.members, strict=True):
        if member.copies:
            assert {n: p for n, p in member.augmentation.items() if p} == {
                n: p for n, p in old.augmentation.items() if p
            }
            assert member.to_dict()["augmentation"].keys() == CHANGES.keys()


def test_names_of_shipped_models_are_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped model's name stands for the file that lies beside it."""
    monkeypatch.setattr("deepfake_audio.recipe.SHIPPED_DIRECTORY", tmp_path)
    for name in modelfile.SHIPPED:
        (tmp_path / f"{name}.toml").write_text(f'name = "the {name}"\nmembers = [{{ backend = "svm" }}]')
    assert [read_recipe(name).name for name in modelfile.SHIPPED] == [f"the {name}" for name in modelfile.SHIPPED]


@pytest.mark.parametrize("name", modelfile.SHIPPED)
def test_shipped_recipes(name: str) -> None:
    """Each shipped model comes with a recipe that can be read, and is called so in it."""
    assert read_recipe(name).name == name


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_alone_is_the_shipped_models_recipe(name: str) -> None:
    """`train --backend` and `train --recipe` of one name are the same run."""
    assert read_recipe(name).to_dict() == Recipe.of(name).to_dict()


def test_facts_of_a_recipe() -> None:
    """Sample rate, window in samples, and a name for the kind of model follow from the members."""
    svm, cnn = Member.of("svm"), Member.of("cnn")
    assert Recipe((svm, svm), "x", 1.5).backend == "svm"
    both = Recipe((svm, cnn), "x", 1.5)
    assert (both.backend, both.sample_rate, both.window_samples) == ("fusion", 16_000, 24_000)


# --- refusals --------------------------------------------------------------------------------------------------


def member(line: str, backend: str = "svm") -> str:
    """Return a recipe of one member with one more line."""
    return f'[[members]]\nbackend = "{backend}"\n{line}'


LFCC = 'kind = "lfcc", statistics = ["mean"]'
BAD: dict[str, tuple[str | bytes, str]] = {
    "not TOML": ("= 3", "is not TOML (Invalid statement (at line 1, column 1))"),
    "not UTF-8": (b'name = "\xff"', "is not TOML ('utf-8' codec"),
    "nested without end": ("a = " + "[" * 20_000, "is not TOML"),
    "huge": (b"#" * (MAX_RECIPE_BYTES + 1), "more than 1,048,576 bytes are no recipe"),
    "empty": ("", "it needs at least one [[members]] with a backend"),
    "key": ("epochs = 3", "recipe: unknown key 'epochs'; keys: name, seed, window_seconds, members"),
    "key of a member": (member("epochs = 3"), "recipe: members: unknown key 'epochs'; keys: backend, features"),
    "key of the features": (
        member("features = [{ kind = 'mfcc', bands = 3 }]"),
        "features: unknown key 'bands'; keys: kind",
    ),
    "key of the options": (member("options = { epochs = 3 }"), "recipe: options: unknown key 'epochs'; keys: c"),
    "change": (member("augmentation = { rain = 0.1 }"), "unknown augmentation 'rain'; known are tempo"),
    "name a number": ("name = 3\n" + member(""), "name must be a string, got 3"),
    "name empty": ('name = ""\n' + member(""), "name has 1 to 100 printable characters, got {'name': ''"),
    "name with a line break": ('name = "a\\nb"\n' + member(""), "name has 1 to 100 printable characters"),
    "seed a number with a point": ("seed = 1.0\n" + member(""), "seed must be an integer, got 1.0"),
    "seed true": ("seed = true\n" + member(""), "seed must be an integer, got True"),
    "seed negative": ("seed = -1\n" + member(""), "seed is 0 to 4294967295"),
    "seed too large": (f"seed = {2**32}\n" + member(""), "seed is 0 to 4294967295"),
    "window true": ("window_seconds = true\n" + member(""), "window_seconds must be a number, got True"),
    "window a string": ('window_seconds = "3"\n' + member(""), "window_seconds must be a number, got '3'"),
    "window NaN": ("window_seconds = nan\n" + member(""), "window_seconds is 0.5 to 30"),
    "window too short": ("window_seconds = 0.4\n" + member(""), "window_seconds is 0.5 to 30"),
    "window too long": ("window_seconds = 31\n" + member(""), "window_seconds is 0.5 to 30"),
    "members a table": ('members = { backend = "svm" }', "members must be an array, got {'backend': 'svm'}"),
    "member a string": ('members = ["svm"]', "members must be a table, got 'svm'"),
    "too many members": (member("") + 8 * '\n[[members]]\nbackend = "svm"', "there are 1 to 8 members"),
    "no backend": ("members = [{}]", "a member's backend must be one of svm, cnn, got None"),
    "another backend": (member("", "knn"), "a member's backend must be one of svm, cnn, got 'knn'"),
    "backend a list": ("members = [{ backend = [] }]", "a member's backend must be one of svm, cnn, got []"),
    "copies true": (member("copies = true"), "copies must be an integer, got True"),
    "copies negative": (member("copies = -1"), "copies must be 0 to 100, got -1"),
    "copies too many": (member("copies = 101"), "copies must be 0 to 100, got 101"),
    "options a list": (member("options = []"), "options must be a table, got []"),
    "option a string": (member('options = { c = "2" }'), "options.c must be a number, got '2'"),
    "option true": (member("options = { c = true }"), "options.c must be a number, got True"),
    "option a number": (member("options = { mask = 1 }", "cnn"), "options.mask must be true or false, got 1"),
    "option out of range": (member("options = { c = -1 }"), "svm: c must be positive"),
    "probability a string": (member('augmentation = { noise = "x" }'), "augmentation.noise must be a number, got 'x'"),
    "probability true": (member("augmentation = { noise = true }"), "augmentation.noise must be a number, got True"),
    "probability above 1": (member("augmentation = { noise = 2 }"), "2.0 is no probability"),
    "augmentation a list": (member("augmentation = []"), "augmentation must be a table, got []"),
    "features a table": (member(f"features = {{ {LFCC} }}"), "features must be an array, got {'kind'"),
    "features strings": (member('features = ["lfcc"]'), "features must be a table, got 'lfcc'"),
    "features without kind": (member("features = [{ deltas = 1 }]"), "features: each table needs a kind"),
    "no features": (member("features = []"), "the backend svm needs statistics over the frames, got none"),
    "kind": (member('features = [{ kind = "chroma" }]'), "kind must be one of mfcc"),
    "kind a number": (member("features = [{ kind = 3 }]"), "features.kind must be a string, got 3"),
    "bands a fraction": (
        member(f"features = [{{ {LFCC}, n_bands = 2.5 }}]"),
        "features.n_bands must be an integer, got 2.5",
    ),
    "bands true": (member(f"features = [{{ {LFCC}, n_bands = true }}]"), "features.n_bands must be an integer"),
    "statistics a string": (
        member("features = [{ kind = 'lfcc', statistics = 'mean' }]"),
        "features.statistics must be an array, got 'mean'",
    ),
    "statistic a number": (member("features = [{ kind = 'lfcc', statistics = [1] }]"), "feature spec: "),
    "long value": (member(f'copies = "{"x" * 9000}"'), "copies must be an integer, got 'xxx"),
    "frames for an svm": (
        member("features = [{ kind = 'mel' }]"),
        "the backend svm needs statistics over the frames, got mel with []",
    ),
    "a vector for a cnn": (
        member(f"features = [{{ {LFCC} }}]", "cnn"),
        "the backend cnn takes frames, got lfcc with ['mean']",
    ),
    "two pictures for a cnn": (
        member("features = [{ kind = 'mel' }, { kind = 'linear' }]", "cnn"),
        "the backend cnn takes one kind of features, got 2",
    ),
    "few bands for a cnn": (
        member("features = [{ kind = 'mel', n_bands = 8 }]", "cnn"),
        "the backend cnn needs 16 bands and frames or more, got 8",
    ),
    "few frames for a cnn": (
        member("features = [{ kind = 'mel', hop_length = 6000 }]", "cnn"),
        "the backend cnn needs 16 bands and frames or more, got 6",
    ),
    "two sample rates": (
        member(f"features = [{{ {LFCC} }}, {{ {LFCC}, sample_rate = 8000, f_max = 4000 }}]"),
        "all members have one sample_rate",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_recipe(kind: str, tmp_path: Path) -> None:
    """Each is refused in one line that names the file, and what is wrong in it."""
    text, expected = BAD[kind]
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert expected in message
    assert message.isprintable()
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("nowhere.toml", "No such file or directory", id="missing"),
        pytest.param(".", "Is a directory", id="directory"),
        pytest.param("a\0b", "embedded null byte", id="null character"),
    ],
)
def test_a_file_that_cannot_be_read(name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says why, and what else could be given."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"cannot be read \\({why}\\); give a TOML file or .*: default, svm, cnn"):
        read_recipe(name)


# --- changes ---------------------------------------------------------------------------------------------------


def test_nothing_changed() -> None:
    """Without a choice the recipe stays what it is, whatever its members."""
    for recipe in (Recipe.of("svm"), Recipe((Member.of("svm"), Member.of("cnn")), "two", 2.0)):
        assert recipe.changed(features=None, options=[], copies=None, name=None) == recipe


def test_own_fields_of_any_recipe() -> None:
    """Name, seed and window can be changed in a recipe of several members too; a seed of 0 counts as one."""
    recipe = Recipe((Member.of("svm"), Member.of("cnn")), "two", 2.0, 5)
    changed = recipe.changed(name="x", seed=0, window_seconds=1.0)
    assert (changed.name, changed.seed, changed.window_seconds, changed.members) == ("x", 0, 1.0, recipe.members)


def test_features_options_and_copies_of_one_member() -> None:
    """A short text changes the backend's plain front end; options take the type that they have."""
    recipe = Recipe.of("cnn").changed(
        features="linear,n_fft=256,window_length=256",
        options=["epochs=3", "mask=false", " loss = focal ", "dropout=0"],
        copies=0,
    )
    (changed,) = recipe.members
    assert changed.specs == (load_backend("cnn").PLAIN_SPEC.changed("linear,n_fft=256,window_length=256"),)
    options = changed.options
    assert (options.epochs, options.mask, options.loss, options.dropout) == (3, False, "focal", 0.0)
    assert changed.copies == 0
    assert Recipe.of("cnn").changed(copies=1).members[0].options == Recipe.of("cnn").members[0].options


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param(
            {"options": ["trees=3"]}, "--set trees=3: unknown option 'trees'; options: c, loss, kernel", id="option"
        ),
        pytest.param({"options": ["c"]}, "--set c: '' is not a float", id="without value"),
        pytest.param({"options": ["c=much"]}, "--set c=much: 'much' is not a float", id="value"),
        pytest.param({"options": ["n_components=1.5"]}, "'1.5' is not a int", id="fraction"),
        pytest.param({"options": ["c=nan"]}, "c must be positive", id="nan"),
        pytest.param({"options": ["kernel=cubic"]}, "svm: kernel must be", id="choice"),
        pytest.param({"features": "mfcc,bands=3"}, "features: unknown key 'bands'", id="key of the features"),
        pytest.param({"features": "mel,statistics="}, "svm needs statistics", id="features of the wrong kind"),
        pytest.param({"copies": 101}, "copies must be 0 to 100", id="copies"),
        pytest.param({"name": "a\nb"}, "name has 1 to 100 printable characters", id="name"),
        pytest.param({"window_seconds": 31.0}, "window_seconds is 0.5 to 30", id="window"),
    ],
)
def test_changes_that_cannot_be_meant(changes: dict[str, Any], message: str) -> None:
    """Each is refused in one line."""
    with pytest.raises(DataError) as caught:
        Recipe.of("svm").changed(**changes)
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "changes", [{"features": "mfcc"}, {"options": ["c=2"]}, {"copies": 0}], ids=lambda c: next(iter(c))
)
def test_which_member_is_meant(changes: dict[str, Any]) -> None:
    """With several members, it is not clear which one would be changed."""
    recipe = Recipe((Member.of("svm"), Member.of("cnn")), "two", 2.0)
    with pytest.raises(DataError, match="the recipe 'two' has 2 members; change features, options and copies in its"):
        recipe.changed(**changes)
