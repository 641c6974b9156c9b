"""A packaged model predicts what its model predicts, and a file that was touched or is none is refused."""

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from mlsys_lib import World
from mlsys_lib.data import code_fingerprint
from mlsys_lib.features import CATEGORIES, FEATURES, batch
from mlsys_lib.models import boosted, constant, fit, logistic, rule_of_thumb
from mlsys_lib.package import LARGEST, PackageError, load, save

BUILDERS = [constant, rule_of_thumb, logistic, boosted]
MEMBERS = ["model.onnx", "manifest.json", "MODEL_CARD.md"]


def small(signature, **more):
    return boosted(signature, max_iter=20, **more)


def native(signature):
    """Gradient boosting that treats names in its own way, which ONNX does not know."""
    return small(signature, categorical_features=signature.places(CATEGORIES))


@pytest.fixture(scope="module")
def model(winter):
    return fit(small, winter)


@pytest.fixture(scope="module")
def released(model, winter, tmp_path_factory):
    """One packaged model to damage."""
    return save(model, tmp_path_factory.mktemp("released"), winter, auc="0.75")


def rewritten(path, target, **changed):
    """A copy with members exchanged, its list of sums left as it was."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changed.get(name.split(".")[0], old.read(name)))
    return target


def resealed(path, target, change):
    """A copy whose members were changed and whose sums were reckoned anew, as a forger would."""
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in MEMBERS}
    change(members)
    sums = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in members.items()]
    with zipfile.ZipFile(target, "w") as new:
        for name, content in {**members, "SHA256SUMS": "".join(sums).encode()}.items():
            new.writestr(name, content)
    return target


def restated(path, target, change):
    """The same, its manifest changed as a dict."""

    def rewrite(members):
        facts = json.loads(members["manifest.json"])
        changed = change(facts)
        members["manifest.json"] = json.dumps(facts if changed is None else changed).encode()

    return resealed(path, target, rewrite)


def refusal(file):
    try:
        load(file)
    except PackageError as error:
        return str(error)


@pytest.mark.parametrize("build", BUILDERS)
def test_onnx_equals_scikit_learn_on_every_flight(build, winter, tmp_path):
    model = fit(build, winter[::4])
    package, p = load(save(model, tmp_path, winter.head(1))), model.predict(winter)
    assert np.abs(package.predict(winter) - p).max() < 1e-5
    assert (len(np.unique(p)) == 1) == (build is constant)


@pytest.mark.weekly
@pytest.mark.parametrize("build", BUILDERS)
def test_onnx_equals_scikit_learn_on_every_flight_from_may_to_december(build, year, tmp_path):
    train = year[(year.decided_at < "2013-05-01 04:00") & (year.decided_at.dt.day_of_year % 3 == 0)]
    rest = year[year.decided_at >= "2013-05-01 04:00"]
    assert len(rest) == 221_871
    model = fit(build, train)
    package = load(save(model, tmp_path, rest))
    assert np.abs(package.predict(rest) - model.predict(rest)).max() < 1e-5


@pytest.fixture(scope="module")
def year():
    """All flights of 2013 that landed, with their features."""
    world = World("2014-01-10")
    rows = batch(world, world.decisions(since="2013-01-01 05:00"))
    return rows[rows.label_status == "matured"]


def test_native_categories_are_refused_and_really_differ(winter, tmp_path):
    model = fit(native, winter)
    with pytest.raises(PackageError, match=r"differs from scikit-learn on \d+\.\d% of .* codes"):
        save(model, tmp_path, winter)
    assert list(tmp_path.iterdir()) == []


def deep(signature, **more):
    return boosted(signature, min_samples_leaf=5, max_leaf_nodes=31, **more)


def after_a_transformer(signature):
    return make_pipeline(ColumnTransformer([("all", "passthrough", [0])]), deep(signature))


def single(signature):
    return DecisionTreeClassifier(min_samples_leaf=5)


def neighbours(start, number=200):
    """Values that follow each other in float32."""
    values = np.empty(number, np.float32)
    values[0] = start
    for place in range(1, number):
        values[place] = np.nextafter(values[place - 1], np.float32(np.inf))
    return values.astype(float)


@pytest.mark.parametrize(
    "values",
    [
        22_777_000 + 2 * np.arange(200.0),  # minutes since 1970, in April 2013; exact in float32
        22_777_000 + np.arange(200.0),  # every other of them is not
        neighbours(1 / 3),
        neighbours(-1013.25),
        neighbours(-1e-42),  # denormal, around zero
    ],
)
@pytest.mark.parametrize("build", [deep, after_a_transformer, single])
def test_a_package_differs_nowhere_from_its_model_where_float32_has_no_values_between(
    build, values, tmp_path
):
    """Although `save` was shown one row: a threshold must not round to the value above it."""
    rng = np.random.default_rng(0)
    code = rng.integers(0, len(values), 4000)
    rows = pd.DataFrame({"minute": values[code]})
    rows["late"] = (rng.random(4000) < np.where(code // 2 % 2 == 0, 0.8, 0.1)).astype(float)
    model, seen = fit(build, rows, columns=["minute"]), pd.DataFrame({"minute": values})
    package = load(save(model, tmp_path, seen.head(1)))
    # Single trees do not split what lies closer than 1e-7.
    assert build is single or np.ptp(model.predict(seen)) > 0.3
    assert np.abs(package.predict(seen) - model.predict(seen)).max() <= 1e-5


def test_saving_leaves_the_model_as_it_was(winter, tmp_path):
    model = fit(small, winter)
    before = pickle.dumps(model.estimator)
    save(model, tmp_path, winter.head(10))
    assert pickle.dumps(model.estimator) == before


class OwnClassifier(ClassifierMixin, BaseEstimator):
    """One that skl2onnx has never heard of."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), 2), 0.5)


def test_an_estimator_without_a_graph_is_refused(winter, tmp_path):
    model = fit(lambda signature: OwnClassifier(), winter)
    with pytest.raises(PackageError, match=r"the estimator has no ONNX graph: .*OwnClassifier"):
        save(model, tmp_path, winter)
    assert list(tmp_path.iterdir()) == []


def test_the_same_model_saved_twice_gives_the_same_bytes(model, winter, released, tmp_path):
    again = save(fit(small, winter), tmp_path / "new" / "folder", winter, auc="0.75")
    assert again.name == released.name
    assert again.read_bytes() == released.read_bytes()
    assert save(model, again.parent, winter.head(1), auc="0.75") == again
    assert [file.name for file in again.parent.iterdir()] == [again.name]
    other = save(model, tmp_path, winter, auc="0.74")
    assert other.name != released.name


def test_a_file_that_bears_the_name_and_is_something_else_is_kept(
    model, winter, released, tmp_path
):
    taken = tmp_path / released.name
    for occupy in (lambda: taken.write_bytes(b"another model"), lambda: taken.mkdir()):
        occupy()
        with pytest.raises(
            FileExistsError, match=r"late-\w+\.zip holds something else; move it away"
        ):
            save(model, tmp_path, winter, auc="0.75")
        if taken.is_file():
            assert taken.read_bytes() == b"another model"
            taken.unlink()
    assert list(taken.iterdir()) == []


@pytest.mark.parametrize("said", [0.75, None, np.float64(0.75), ["a"]])
def test_a_statement_that_is_no_text_is_refused(said, model, winter, tmp_path):
    with pytest.raises(ValueError, match=r"auc=.* must be text, such as auc='0.75'"):
        save(model, tmp_path, winter.head(1), trained_on="winter", auc=said)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_was_compared_with_nothing_is_not_saved(model, winter, tmp_path):
    with pytest.raises(ValueError, match="no rows to compare"):
        save(model, tmp_path, winter.head(0))


def test_a_package_says_what_it_is(released, winter):
    package = load(released)
    assert package.sha256.startswith(released.stem.removeprefix("late-"))
    assert package.facts["training rows"] == len(winter)
    assert package.facts["code"] == code_fingerprint()
    assert package.signature == load(released).signature
    assert package.signature.names == FEATURES
    for line in ("- **auc**: 0.75", f"{len(winter):,} flights", "| visib | miles | 0"):
        assert line in package.card


def test_a_signature_without_ranges_is_read_as_it_was_written(winter, tmp_path):
    rows = winter.assign(mine=1.5)
    model = fit(small, rows, columns=["carrier", "visib", "mine"])
    package = load(save(model, tmp_path, rows))
    assert package.signature == model.signature
    names, _, mine = package.signature.columns
    assert (names.low, names.high, mine.low, mine.unit) == (-np.inf, np.inf, 1.5, "unknown")


def test_a_flight_alone_is_what_it_is_in_a_table(released, winter):
    package = load(released)
    some = winter.sample(60, random_state=0)
    p = package.predict(some)
    for place, row in enumerate(some.to_dict("records")):
        assert package.score(package.signature.vector(row))[0] == p[place]
    assert package.predict(some.head(0)).shape == (0,)


def test_unseen_names_and_values_are_predicted(released, winter):
    odd = winter.head(100).copy()
    odd.loc[odd.index[:3], "carrier"] = "YX"
    odd.loc[odd.index[3], "dest"] = None
    odd.loc[odd.index[4:6], "wind_speed"] = [1048.0, -1.0]
    package = load(released)
    p = package.predict(odd)
    assert ((p > 0) & (p < 1)).all()
    assert package.signature.outside(odd)["carrier"] == 3


def test_the_hash_that_was_written_down_is_accepted(released):
    sha256 = load(released).sha256
    for digits in (64, 40, 12):
        assert load(released, sha256=sha256[:digits]).sha256 == sha256


def test_another_file_than_the_released_one_is_refused(released):
    with pytest.raises(PackageError, match=r"late-\w+\.zip has the SHA-256 .* Take the file again"):
        load(released, sha256="0" * 64)


@pytest.mark.parametrize(
    "sha256", ["", "0", "0" * 11, "0" * 65, "z" * 64, "0x" + "0" * 62, " " * 12]
)
def test_what_is_no_hash_is_refused_before_it_matches_anything(released, sha256):
    with pytest.raises(ValueError, match="must be 12 to 64 of the digits"):
        load(released, sha256=sha256)


def test_a_flipped_byte_is_refused_or_changes_nothing(released, tmp_path):
    """Anywhere in the file; a few bytes of a zip, such as a date, mean nothing to the model."""
    content, whole = released.read_bytes(), load(released)
    file = tmp_path / "flipped.zip"
    positions = np.random.default_rng(0).integers(0, len(content), 60).tolist()
    refused = 0
    for position in [*positions, *range(40), *range(len(content) - 300, len(content), 2)]:
        flipped = bytearray(content)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        said = refusal(file)
        if said is None:
            found = load(file)
            assert (found.graph, found.facts, found.card) == (whole.graph, whole.facts, whole.card)
        else:
            assert "flipped.zip" in said and "Take the file again" in said
            refused += 1
    assert refused > 100


def test_every_flipped_byte_is_seen_by_whoever_wrote_the_hash_down(released, tmp_path):
    content, sha256 = bytearray(released.read_bytes()), load(released).sha256
    content[10] ^= 1  # a date in the zip's header
    file = tmp_path / "flipped.zip"
    file.write_bytes(content)
    with pytest.raises(PackageError, match="another file"):
        load(file, sha256=sha256)


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99, -1])
def test_a_file_cut_short_is_refused(released, tmp_path, kept):
    content = released.read_bytes()
    file = tmp_path / "short.zip"
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(PackageError, match=r"short\.zip is no packaged model, or is damaged"):
        load(file)


def test_what_is_no_package_is_refused(tmp_path):
    file = tmp_path / "notes.zip"
    file.write_text("carrier,late\nUA,1\n")
    with pytest.raises(PackageError, match=r"notes\.zip is no packaged model.*Take the file"):
        load(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("flights.csv", "carrier,late")
    with pytest.raises(PackageError, match=r"notes\.zip is no packaged model"):
        load(file)
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(PackageError, match=r"folder\.zip cannot be read.*Take the file"):
        load(tmp_path / "folder.zip")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.zip")


def test_what_unpacks_to_more_than_a_model_is_refused_unread(released, tmp_path):
    file = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        zipfile.ZipFile(released) as old,
    ):
        for name in old.namelist():
            with archive.open(name, "w") as member:
                member.write(old.read(name))
                for _ in range(LARGEST // 2**20 if name == "model.onnx" else 0):
                    member.write(bytes(2**20))
    assert file.stat().st_size < 2**20
    with pytest.raises(
        PackageError, match=r"bomb\.zip is no packaged model.* unpacks to more than"
    ):
        load(file)


def test_a_swapped_graph_is_refused(winter, released, tmp_path):
    other = save(fit(rule_of_thumb, winter), tmp_path, winter)
    with zipfile.ZipFile(other) as archive:
        graph = archive.read("model.onnx")
    mixed = rewritten(released, tmp_path / "mixed.zip", model=graph)
    with pytest.raises(PackageError, match=r"mixed\.zip .*model\.onnx was altered.*Take"):
        load(mixed)


def test_an_altered_manifest_or_card_is_refused(released, tmp_path):
    with zipfile.ZipFile(released) as archive:
        manifest, card = archive.read("manifest.json"), archive.read("MODEL_CARD.md")
    fewer = rewritten(released, tmp_path / "a.zip", manifest=manifest.replace(b'"UA"', b'"AU"'))
    with pytest.raises(PackageError, match=r"a\.zip .*manifest\.json was altered"):
        load(fewer)
    better = rewritten(released, tmp_path / "b.zip", MODEL_CARD=card.replace(b"0.75", b"0.95"))
    with pytest.raises(PackageError, match=r"b\.zip .*MODEL_CARD\.md was altered"):
        load(better)


def named(column, value):
    def change(facts):
        facts["signature"][0][column] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.update(format=2),
        lambda facts: facts.update(format="1"),
        lambda facts: facts.clear(),
        lambda facts: facts.pop("format") and None,
        lambda facts: facts.pop("signature") and None,
        lambda facts: facts.pop("training rows") and None,
        lambda facts: facts.update(more=1),
        lambda facts: facts.update(stated=["auc"]),
        lambda facts: facts.update({"training rows": "many"}),
        lambda facts: facts.update(data=None),
        lambda facts: facts.update(signature={}),
        lambda facts: facts.update(signature=[]),
        lambda facts: facts.update(signature=["carrier"]),
        lambda facts: facts.update(signature=[None]),
        lambda facts: facts["signature"].append(facts["signature"][0]),
        lambda facts: facts["signature"][0].pop("name") and None,
        lambda facts: facts["signature"][0].pop("names") and None,
        lambda facts: [facts],
        lambda facts: "model",
        lambda facts: 1,
        named("name", 5),
        named("unit", None),
        named("names", ["UA", 1]),
        named("names", "UA"),
        named("names", ["UA", "UA"]),
        named("names", None),
        named("low", "0"),
        named("low", 1e9),
        named("low", float("nan")),
        named("high", [1]),
        named("colour", "red"),
    ],
)
def test_a_bad_manifest_inside_a_sound_archive_is_refused_with_the_remedy(
    released, tmp_path, change
):
    file = restated(released, tmp_path / "bad.zip", change)
    with pytest.raises(
        PackageError, match=r"manifest\.json in .*bad\.zip .* or save the model again"
    ):
        load(file)


@pytest.mark.parametrize("text", [b"", b"{", b"format: 1", b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_no_json_is_refused(released, tmp_path, text):
    file = resealed(
        released, tmp_path / "bad.zip", lambda members: members.update({"manifest.json": text})
    )
    with pytest.raises(PackageError, match=r"manifest\.json in .*bad\.zip .* save the model again"):
        load(file)


def test_a_card_that_is_no_text_is_refused(released, tmp_path):
    file = resealed(released, tmp_path / "bad.zip", lambda m: m.update({"MODEL_CARD.md": b"\xff"}))
    with pytest.raises(PackageError, match=r"bad\.zip"):
        load(file)


def test_another_format_is_named(released, tmp_path):
    file = restated(released, tmp_path / "future.zip", lambda facts: facts.update(format=2))
    with pytest.raises(
        PackageError, match=r"future\.zip .* format is 2, not 1\. Use the library that"
    ):
        load(file)


def test_a_graph_that_does_not_fit_its_signature_is_refused(released, tmp_path):
    file = restated(
        released, tmp_path / "narrow.zip", lambda facts: facts["signature"].pop() and None
    )
    with pytest.raises(PackageError, match=r"narrow\.zip holds no graph that takes the 29 columns"):
        load(file)


def test_a_graph_that_is_none_or_gives_no_probabilities_is_refused(released, tmp_path):
    with zipfile.ZipFile(released) as archive:
        graph = archive.read("model.onnx")
    for content in (b"scrap", b"", graph.replace(b"probabilities", b"probabilitied")):
        scrap = resealed(
            released, tmp_path / "scrap.zip", lambda m, c=content: m.update({"model.onnx": c})
        )
        with pytest.raises(PackageError, match=r"scrap\.zip holds no graph"):
            load(scrap)


def test_a_forged_list_of_sums_is_refused_by_the_hash_alone(released, tmp_path):
    forged = restated(
        released, tmp_path / "forged.zip", lambda facts: facts["stated"].update(auc="0.95")
    )
    assert load(forged).facts["stated"] == {"auc": "0.95"}
    with pytest.raises(PackageError, match="another file"):
        load(forged, sha256=load(released).sha256)
