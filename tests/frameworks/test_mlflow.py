"""MLflow: what is served is what its pyfunc says here."""

from __future__ import annotations

import os
import re
import shutil
import warnings

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge

from clipper_admin import ClipperException
from clipper_admin.deployers import mlflow as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.pyfunc")
    pytest.importorskip("mlflow.sklearn")
    from mlflow.models import infer_signature

pandas = pytest.importorskip("pandas")
pytestmark = [pytest.mark.frameworks, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def iris():
    return load_iris(as_frame=True)


def saved(model, path, signature=None):
    """A model of scikit-learn as MLflow saves it."""
    mlflow.sklearn.save_model(
        model, str(path), signature=signature, serialization_format="cloudpickle", pip_requirements=["scikit-learn"]
    )
    return path


@pytest.fixture(scope="module")
def named(folder, iris):
    model = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
    return saved(model, folder / "named", infer_signature(iris.data, iris.target))


def test_queries_hold_the_columns_of_the_signature_in_their_order(clipper, serve, named, iris):
    expected = mlflow.pyfunc.load_model(str(named)).predict(iris.data)
    for input_type in ("doubles", "floats"):  # the signature's are doubles
        deployer.deploy_mlflow_model(clipper, input_type, 1, input_type, named)
        assert_same_answers(clipper, serve(input_type, input_type), iris.data.to_numpy(), expected)


def test_columns_get_their_types(clipper, serve, folder):
    table = pandas.DataFrame({"age": [20, 30, 40, 50], "height": [1.5, 1.7, 1.6, 1.8]})
    assert table.dtypes.astype(str).tolist() == ["int64", "float64"]
    path = saved(Ridge().fit(table, [1.0, 2.0, 2.0, 3.0]), folder / "types", infer_signature(table))
    deployer.deploy_mlflow_model(clipper, "types", 1, "doubles", str(path))
    expected = mlflow.pyfunc.load_model(str(path)).predict(table)
    assert_same_answers(clipper, serve("types"), table.to_numpy(), expected, tolerance=1e-6)
    answer = clipper.predict("types", [20.5, 1.5])
    assert answer["default"]
    assert "the model takes whole numbers" in answer["default_explanation"]
    assert (
        "the model takes 2 columns (age, height), found 3 elements"
        in clipper.predict("types", [1.0, 2.0, 3.0])["default_explanation"]
    )


@pytest.mark.parametrize("signature", ["with", "without"])
def test_a_model_without_names_gets_an_array(clipper, serve, folder, signature):
    data, target = load_diabetes(return_X_y=True)
    path = folder / f"array-{signature}"
    saved(Ridge().fit(data, target), path, infer_signature(data.astype(np.float32)) if signature == "with" else None)
    deployer.deploy_mlflow_model(clipper, path.name, 1, "doubles", path)
    new = data[:256].astype(np.float32)
    expected = mlflow.pyfunc.load_model(str(path)).predict(new)
    assert_same_answers(clipper, serve(path.name), new, expected, tolerance=1e-5)


def test_texts_and_tables(clipper, serve, folder):
    """A model of pyfunc's own: its only column holds the texts; the rows of its answer are objects."""

    class Both(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            texts = model_input.iloc[:, 0]
            return pandas.DataFrame({"length": texts.str.len(), "upper": texts.str.upper()})

    table = pandas.DataFrame({"text": ["good", "bad", "ugly"]})
    mlflow.pyfunc.save_model(
        str(folder / "texts"), python_model=Both(), signature=infer_signature(table), pip_requirements=["pandas"]
    )
    deployer.deploy_mlflow_model(clipper, "texts", 1, "strings", folder / "texts", sample="good")
    expected = [{"length": len(each), "upper": each.upper()} for each in table["text"]]
    assert_same_answers(clipper, serve("texts", "strings"), table["text"].tolist(), expected)


def test_a_function_may_be_given_and_the_directory_is_copied(clipper, iris, named, folder):
    names = iris.target_names.tolist()
    columns = list(iris.data.columns)

    def name(model, inputs):
        import pandas

        return [names[label] for label in model.predict(pandas.DataFrame(inputs, columns=columns))]

    shutil.copytree(named, folder / "gone")
    deployer.create_endpoint(clipper, "iris", "doubles", folder / "gone", func=name)
    shutil.rmtree(folder / "gone")
    expected = name(mlflow.pyfunc.load_model(str(named)), iris.data.to_numpy())
    assert_same_answers(clipper, "iris", iris.data.to_numpy(), expected)


def damaged(named, path, file, text):
    shutil.copytree(named, path)
    (path / file).write_bytes((path / file).read_bytes()[:200] if text is None else text)
    return path


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("MLmodel", b"flavors: {", "MLmodel can't be read"),
        ("MLmodel", b"flavors:\n  sklearn: {}\n", r"no python_function flavor, which predicts \(sklearn\)"),
        ("MLmodel", b"", "MLmodel can't be read"),
        ("model.pkl", None, "pickle|EOFError|truncated|Ran out"),
    ],
)
def test_a_damaged_model_leaves_nothing_behind(clipper, named, tmp_path, file, text, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_mlflow_model(clipper, "none", 1, "doubles", damaged(named, tmp_path / "m", file, text))
    assert "none:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("none", "1") == 0


def test_what_is_not_fitted_is_found_by_its_sample(clipper, iris, folder):
    path = saved(LogisticRegression(), folder / "unfitted", infer_signature(iris.data))
    with pytest.raises(ClipperException, match="is not fitted yet"):
        deployer.deploy_mlflow_model(clipper, "none", 1, "doubles", path)
    assert "none:1" not in clipper.get_all_models()
    assert clipper.cm.get_num_replicas("none", "1") == 0


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("/nowhere", "There is no file MLmodel in /nowhere"),
        (os.path.dirname(__file__), "There is no file MLmodel in"),
        ("models:/iris/1", r"mlflow.artifacts.download_artifacts\('models:/iris/1'\) makes one"),
        (Ridge().fit([[1.0]], [1.0]), "not a sklearn.*Ridge: save it with MLflow"),
    ],
)
def test_what_is_no_model_is_refused_before_anything_starts(clipper, model, says):
    with pytest.raises(ClipperException, match=says):
        deployer.deploy_mlflow_model(clipper, "none", 1, "doubles", model)
    assert "none:1" not in clipper.get_all_models()


@pytest.fixture(scope="module")
def noted(folder, iris):
    """A model with the packages that MLflow found it to need."""
    model = LogisticRegression(max_iter=500).fit(iris.data, iris.target)
    signature = infer_signature(iris.data, iris.target)
    mlflow.sklearn.save_model(model, str(folder / "noted"), signature=signature, serialization_format="cloudpickle")
    return folder / "noted"


@pytest.mark.timeout(600)  # MLflow as a whole has some ninety packages
@pytest.mark.parametrize("distribution", ["mlflow", "mlflow-skinny"])
def test_the_packages_that_mlflow_noted_are_enough(clipper, serve, noted, iris, tmp_path, distribution):
    file = noted / "requirements.txt"
    packages = file.read_text()
    assert packages.startswith(f"mlflow=={mlflow.__version__}\n"), packages
    assert "scikit-learn==" in packages
    if distribution != "mlflow":
        file = tmp_path / "requirements.txt"
        file.write_text(
            re.sub(r"cloudpickle==.*", "cloudpickle==3.1.1", packages).replace("mlflow==", "mlflow-skinny==")
        )
    name = f"noted-{distribution}"
    deployer.deploy_mlflow_model(clipper, name, 1, "doubles", noted, requirements=file)
    expected = mlflow.pyfunc.load_model(str(noted)).predict(iris.data)
    assert_same_answers(clipper, serve(name), iris.data.to_numpy(), expected)


@pytest.mark.parametrize(
    ("packages", "says"),
    [
        (["scikit-learn"], r"Missing package 'mlflow': pass pkgs_to_install=\['mlflow'\]"),
        (["mlflow-skinny", "scikit-learn"], r"Missing package 'pandas': pass pkgs_to_install=\['pandas'\]"),
        (["mlflow-skinny", "pandas"], r"Missing package 'sklearn': pass pkgs_to_install=\['scikit-learn'\]"),
    ],
)
def test_a_package_that_pyfunc_lacks_is_named(clipper, noted, tmp_path, packages, says):
    (tmp_path / "requirements.txt").write_text("\n".join(packages))
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "lacks", "doubles", noted, requirements=tmp_path / "requirements.txt")
    assert_nothing_left(clipper, "lacks")
