"""The models: ONNX predicts what scikit-learn predicts, and a file that was touched is refused."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from mlsys_lib import World
from mlsys_lib.data import code_fingerprint
from mlsys_lib.features import CATEGORIES, FEATURES, batch
from mlsys_lib.models import (
    Column,
    Signature,
    backtest,
    boosted,
    constant,
    fit,
    logistic,
    rule_of_thumb,
)
from mlsys_lib.package import PackageError, load, save

BUILDERS = [constant, rule_of_thumb, logistic, boosted]


def native(signature):
    """Gradient boosting that treats names in its own way, which ONNX does not know."""
    return small(signature, categorical_features=signature.places(CATEGORIES))


def small(signature, **more):
    return boosted(signature, max_iter=20, early_stopping=False, **more)


@pytest.fixture(scope="module")
def year():
    """All flights of 2013 that landed, with their features."""
    world = World("2014-01-10")
    rows = batch(world, world.decisions(since="2013-01-01 05:00"))
    known = world.labels().set_index("flight_id").available_at.rename("labelled_at")
    rows = rows[rows.label_status == "matured"]
    return rows.join(known, on="flight_id").reset_index(drop=True)


@pytest.fixture(scope="module")
def train(year):
    """Every third day up to the end of April: enough to fit, quick."""
    return year[(year.decided_at < "2013-05-01 04:00") & (year.decided_at.dt.day_of_year % 3 == 0)]


@pytest.fixture(scope="module")
def test_rows(year):
    return year[year.decided_at >= "2013-05-01 04:00"]


@pytest.fixture(scope="module")
def models(train):
    return {build.__name__: fit(build, train) for build in [*BUILDERS, small]}


@pytest.fixture(scope="module")
def released(models, train, tmp_path_factory):
    """One packaged model to damage."""
    return save(models["small"], tmp_path_factory.mktemp("released"), train, auc="0.75")


def rewritten(path, target, **changed):
    """A copy with members exchanged, its list of sums left as it was."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, changed.get(name.split(".")[0], old.read(name)))
    return target


def resealed(path, target, change):
    """A copy whose manifest was changed and whose sums were reckoned anew, as a forger would."""
    from mlsys_lib.package import _zipped

    with zipfile.ZipFile(path) as old:
        members = {n: old.read(n) for n in ("model.onnx", "manifest.json", "MODEL_CARD.md")}
    facts = json.loads(members["manifest.json"])
    change(facts, members)
    target.write_bytes(_zipped({**members, "manifest.json": json.dumps(facts).encode()}))
    return target


def refusal(file):
    try:
        load(file)
    except PackageError as error:
        return str(error)


@pytest.mark.parametrize("name", [build.__name__ for build in BUILDERS])
def test_onnx_equals_scikit_learn_on_every_test_flight(name, models, test_rows, tmp_path):
    assert len(test_rows) == 221_871
    model = models[name]
    package = load(save(model, tmp_path, test_rows))
    p = model.predict(test_rows)
    assert np.abs(package.predict(test_rows) - p).max() < 1e-5
    assert (len(np.unique(p)) == 1) == (name == "constant")


def test_native_categories_are_refused_and_really_differ(train, tmp_path):
    model = fit(native, train)
    with pytest.raises(PackageError, match=r"differs from scikit-learn on \d+\.\d% of .* codes"):
        save(model, tmp_path, train)
    assert list(tmp_path.iterdir()) == []


def test_the_same_model_saved_twice_gives_the_same_bytes(models, train, released, tmp_path):
    again = save(fit(small, train), tmp_path / "new" / "folder", train, auc="0.75")
    assert again.name == released.name
    assert again.read_bytes() == released.read_bytes()
    other = save(models["small"], tmp_path, train, auc="0.74")
    assert other.name != released.name


def test_a_package_says_what_it_is(released, train):
    package = load(released)
    assert package.sha256.startswith(released.stem.removeprefix("late-"))
    assert package.facts["training rows"] == len(train)
    assert package.facts["code"] == code_fingerprint()
    assert package.signature == load(released).signature
    assert package.signature.names == FEATURES
    for line in ("- **auc**: 0.75", f"{len(train):,} flights", "| visib | miles | 0"):
        assert line in package.card


def test_the_hash_that_was_written_down_is_accepted(released):
    sha256 = load(released).sha256
    assert (
        load(released, sha256=sha256).sha256 == load(released, sha256=sha256[:12]).sha256 == sha256
    )


def test_another_file_than_the_released_one_is_refused(released):
    with pytest.raises(PackageError, match=r"late-\w+\.zip has the SHA-256 .* Take the file again"):
        load(released, sha256="0" * 64)


def test_a_flipped_byte_is_refused_or_changes_nothing(released, tmp_path):
    """Anywhere in the file; a few bytes of a zip, such as a date, mean nothing to the model."""
    content, whole = released.read_bytes(), load(released)
    file = tmp_path / "flipped.zip"
    positions = np.random.default_rng(0).integers(0, len(content), 150).tolist()
    refused = 0
    for position in [*positions, *range(40), *range(len(content) - 300, len(content))]:
        file.write_bytes(
            content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
        )
        said = refusal(file)
        if said is None:
            found = load(file)
            assert (found.graph, found.facts, found.card) == (whole.graph, whole.facts, whole.card)
        else:
            assert "flipped.zip" in said and "Take the file again" in said
            refused += 1
    assert refused > 200


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
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.zip")


def test_a_swapped_graph_is_refused(models, train, released, tmp_path):
    other = save(models["rule_of_thumb"], tmp_path, train)
    with zipfile.ZipFile(other) as archive:
        graph = archive.read("model.onnx")
    mixed = rewritten(released, tmp_path / "mixed.zip", model=graph)
    with pytest.raises(PackageError, match=r"model\.onnx in .*mixed\.zip was altered.*Take"):
        load(mixed)


def test_an_altered_manifest_or_card_is_refused(released, tmp_path):
    with zipfile.ZipFile(released) as archive:
        manifest, card = archive.read("manifest.json"), archive.read("MODEL_CARD.md")
    fewer = rewritten(released, tmp_path / "a.zip", manifest=manifest.replace(b'"UA"', b'"AU"'))
    with pytest.raises(PackageError, match=r"manifest\.json in .*a\.zip was altered"):
        load(fewer)
    better = rewritten(released, tmp_path / "b.zip", MODEL_CARD=card.replace(b"0.75", b"0.95"))
    with pytest.raises(PackageError, match=r"MODEL_CARD\.md in .*b\.zip was altered"):
        load(better)


def test_another_format_is_refused(released, tmp_path):
    def to_the_future(facts, members):
        facts["format"] = 2

    file = resealed(released, tmp_path / "future.zip", to_the_future)
    with pytest.raises(PackageError, match=r"future\.zip is of format 2; .* reads 1\. Use"):
        load(file)


def test_a_graph_that_does_not_fit_its_signature_is_refused(released, tmp_path):
    def a_column_less(facts, members):
        facts["signature"].pop()

    file = resealed(released, tmp_path / "narrow.zip", a_column_less)
    with pytest.raises(PackageError, match=r"narrow\.zip: the graph takes 30 columns.* 29"):
        load(file)


def test_a_graph_that_is_none_is_refused(released, tmp_path):
    def scrap(facts, members):
        members["model.onnx"] = b"scrap"

    file = resealed(released, tmp_path / "scrap.zip", scrap)
    with pytest.raises(PackageError, match=r"scrap\.zip holds no graph"):
        load(file)


def test_a_forged_list_of_sums_is_refused_by_the_hash_alone(released, tmp_path):
    def renamed(facts, members):
        facts["stated"]["auc"] = "0.95"

    forged = resealed(released, tmp_path / "forged.zip", renamed)
    assert load(forged).facts["stated"] == {"auc": "0.95"}
    with pytest.raises(PackageError, match="another file"):
        load(forged, sha256=load(released).sha256)


def test_unseen_names_and_values_are_counted_and_predicted(released, test_rows):
    package = load(released)
    odd = test_rows.head(100).copy()
    odd.loc[odd.index[:3], "carrier"] = "YX"
    odd.loc[odd.index[3], "dest"] = None
    odd.loc[odd.index[4:6], "wind_speed"] = [1048.0, -1.0]
    outside = package.signature.outside(odd)
    assert outside["carrier"] == 3 and outside["wind_speed"] == 2
    assert outside["dest"] == package.signature.outside(test_rows.head(100))["dest"]
    p = package.predict(odd)
    assert ((p > 0) & (p < 1)).all()


def test_a_flight_alone_is_what_it_is_in_a_table(released, test_rows):
    package = load(released)
    some = test_rows.sample(60, random_state=0)
    matrix, p = package.signature.matrix(some), package.predict(some)
    for place, row in enumerate(some.to_dict("records")):
        row.update({name: None for name in ("wind_gust", "pressure") if pd.isna(row[name])})
        vector = package.signature.vector({**row, "carrier": row["carrier"]})
        np.testing.assert_array_equal(vector, matrix[[place]])
        assert package.score(vector)[0] == p[place]


def test_the_order_of_columns_and_columns_too_many_do_not_matter(models, test_rows):
    model, some = models["boosted"], test_rows.head(50)
    np.testing.assert_array_equal(model.predict(some), model.predict(some[some.columns[::-1]]))


@pytest.mark.parametrize("name", ["boosted", "logistic"])
def test_text_where_numbers_belong_is_refused(name, models, test_rows):
    wrong = test_rows.head(3).assign(visib="ten miles")
    with pytest.raises(PackageError, match=r"column visib must hold numbers \(miles\)"):
        models[name].predict(wrong)
    with pytest.raises(PackageError, match="must hold numbers"):
        models[name].signature.vector(wrong.iloc[0].to_dict())


def test_a_missing_column_is_named(models, test_rows, train):
    less = test_rows.head(3).drop(columns="visib")
    for refuse in (models["boosted"].predict, models["boosted"].signature.outside):
        with pytest.raises(PackageError, match=r"missing columns \['visib'\]"):
            refuse(less)
    with pytest.raises(PackageError, match="column 'visib' is missing"):
        models["boosted"].signature.vector(less.iloc[0].to_dict())
    with pytest.raises(PackageError, match=r"missing columns \['late', 'visib'\]"):
        fit(boosted, train.drop(columns=["visib", "late"]))


def test_a_missing_label_is_refused(train):
    pending = train.head(10).assign(late=[None, *[0.0] * 9])
    with pytest.raises(ValueError, match=r"1 of 10 rows have no label; train on"):
        fit(constant, pending)
    with pytest.raises(ValueError, match="0 of 0 rows"):
        fit(constant, train.head(0))


def test_a_graph_that_was_compared_with_nothing_is_not_saved(models, train, tmp_path):
    with pytest.raises(ValueError, match="no rows to compare"):
        save(models["constant"], tmp_path, train.head(0))


def test_a_column_remembers_what_training_saw():
    names = Column.of(pd.Series(["UA", None, "DL"], name="carrier"))
    assert names.names == ("DL", "UA") and names.codes == {"DL": 0, "UA": 1}
    assert Column.of(pd.Series([None, None], name="wind_gust", dtype=float)).low == -np.inf
    assert Signature((names,)).places(["dest", "carrier"]) == [0]


def test_a_backtest_sees_only_labels_that_were_known_at_each_cut(year):
    rows = year[year.decided_at < "2013-03-01"]
    cuts = ["2013-02-01", "2013-02-10 12:00", "2013-02-20"]
    seen = []

    def noted(signature):
        model = rule_of_thumb(signature)
        plain = model.fit
        model.fit = lambda x, y: seen.append(len(y)) or plain(x, y)
        return model

    p = backtest(noted, rows, cuts)
    known = [int((rows.labelled_at <= pd.Timestamp(cut, tz="UTC")).sum()) for cut in cuts]
    decided = [int((rows.decided_at < pd.Timestamp(cut, tz="UTC")).sum()) for cut in cuts]
    assert seen == known
    assert all(k < d for k, d in zip(known, decided, strict=True))
    assert p.isna().equals(rows.decided_at < "2013-02-01")


def test_what_comes_after_a_window_does_not_change_its_predictions(year):
    rows = year[(year.decided_at < "2013-02-20") & (year.origin == "LGA")]
    cuts = ["2013-02-01", "2013-02-10"]
    before = rows.decided_at < "2013-02-10"
    upset = rows.assign(late=rows.late.where(rows.labelled_at <= "2013-02-01", 1 - rows.late))
    p, q = backtest(rule_of_thumb, rows, cuts), backtest(rule_of_thumb, upset, cuts)
    assert p[before].equals(q[before])
    assert not p[~before].equals(q[~before])


def test_rows_without_a_label_are_predicted_and_not_trained_on(year):
    rows = year[year.decided_at < "2013-02-10"].copy()
    rows.loc[rows.index[::7], "late"] = np.nan
    p = backtest(rule_of_thumb, rows, ["2013-02-01"])
    assert p[rows.decided_at >= "2013-02-01"].notna().all()


def test_cuts_that_make_no_sense_are_refused(year):
    rows = year[year.decided_at < "2013-01-05"]
    with pytest.raises(ValueError, match="must increase"):
        backtest(constant, rows, ["2013-01-03", "2013-01-02"])
    with pytest.raises(ValueError, match="no row has a label by the cut at 2012-12-31"):
        backtest(constant, rows, ["2012-12-31"])
    with pytest.raises(PackageError, match="labelled_at"):
        backtest(constant, rows.drop(columns="labelled_at"), ["2013-01-03"])
