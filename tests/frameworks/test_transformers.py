"""Transformers: what is served is what the pipeline says here.

The models are tiny, of random weights; nothing is downloaded. Labels and texts are compared exactly, numbers within
1e-6.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from clipper_admin import ClipperException
from clipper_admin.deployers import transformers as deployer
from tests.frameworks.conftest import assert_nothing_left, assert_same_answers, outputs

transformers = pytest.importorskip("transformers")
torch = pytest.importorskip("torch")

pytestmark = pytest.mark.frameworks
TOLERANCE = 1e-6
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


@pytest.fixture(scope="module")
def texts():
    """The first row of each image in words."""
    rows = load_digits().data[:64, :8].astype(int)
    return [" ".join(WORDS[each % 10] for each in row[: 1 + place % 8]) for place, row in enumerate(rows)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    file = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    file.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    loaded = transformers.BertTokenizer.from_pretrained(str(file.parent))
    assert loaded.tokenize("two nine") == ["two", "nine"]
    return loaded


def bert(kind, **options):
    torch.manual_seed(1)
    config = transformers.BertConfig(vocab_size=15, initializer_range=1.0, **SIZES, **options)
    return kind(config).eval()


@pytest.fixture(scope="module")
def classifier(tokenizer):
    model = bert(transformers.BertForSequenceClassification, id2label={0: "odd", 1: "even", 2: "none"})
    return transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")


def label(pipeline, inputs):
    return [each["label"] for each in pipeline(list(inputs))]


def scores(pipeline, inputs):
    return [[each["score"] for each in answers] for answers in pipeline(list(inputs), top_k=None)]


def test_a_pipeline_answers_without_a_function(clipper, serve, texts, classifier):
    deployer.deploy_transformers_pipeline(clipper, "plain", 1, "strings", classifier, sample=texts[0])
    answers = clipper.predict_batch(serve("plain", "strings"), texts)
    expected = classifier(texts)
    assert len({each["label"] for each in expected}) > 1
    assert [each["output"]["label"] for each in answers] == [each["label"] for each in expected]
    found = [each["output"]["score"] for each in answers]
    np.testing.assert_allclose(found, [each["score"] for each in expected], rtol=TOLERANCE)


def test_a_function_makes_labels_of_a_pipeline(clipper, texts, classifier):
    deployer.create_endpoint(clipper, "labels", "strings", classifier, label, sample=texts[0])
    assert_same_answers(clipper, "labels", texts, label(classifier, texts))


def test_a_function_makes_numbers_of_a_pipeline(clipper, serve, texts, classifier):
    deployer.deploy_transformers_pipeline(clipper, "scores", 1, "strings", classifier, scores)
    assert_same_answers(clipper, serve("scores", "strings"), texts, scores(classifier, texts), tolerance=TOLERANCE)


def test_the_settings_of_a_pipeline_stay(clipper, serve, texts, tokenizer):
    model = bert(transformers.BertForMaskedLM)
    pipeline = transformers.pipeline(
        "fill-mask", model=model, tokenizer=tokenizer, device="cpu", top_k=2, batch_size=4
    )
    masked = [f"{text} [MASK]" for text in texts]

    def words(answers):
        return [[each["token_str"] for each in answer] for answer in answers]

    expected = words(pipeline(masked))
    assert {len(each) for each in expected} == {2}
    deployer.create_endpoint(clipper, "masked", "strings", pipeline, sample="[MASK]")
    for size in (1, 2, len(masked)):
        assert words(outputs(clipper, "masked", masked[:size])) == expected[:size]
    assert words([clipper.predict("masked", masked[0])["output"]]) == expected[:1]


def test_a_pipeline_of_no_texts_takes_numbers_but_no_names_of_files(clipper, serve):
    torch.manual_seed(2)
    config = transformers.Wav2Vec2Config(
        **SIZES,
        conv_dim=(8,),
        conv_stride=(4,),
        conv_kernel=(8,),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=8,
        mask_time_prob=0.0,
    )
    pipeline = transformers.pipeline(
        "audio-classification",
        model=transformers.Wav2Vec2ForSequenceClassification(config).eval(),
        feature_extractor=transformers.Wav2Vec2FeatureExtractor(),
        device="cpu",
    )
    with pytest.raises(ClipperException, match="would open what a query names: use input_type='bytes' or 'floats'"):
        deployer.create_endpoint(clipper, "sound", "strings", pipeline)
    assert_nothing_left(clipper, "sound")
    sounds = load_digits().data[:8].astype(np.float32)
    deployer.create_endpoint(clipper, "sound", "floats", pipeline, sample=sounds[0])
    answers = clipper.predict_batch("sound", sounds.tolist())
    for answer, expected in zip(answers, pipeline(list(sounds)), strict=True):
        assert [each["label"] for each in answer["output"]] == [each["label"] for each in expected]
        found = [each["score"] for each in answer["output"]]
        np.testing.assert_allclose(found, [each["score"] for each in expected], rtol=TOLERANCE)


class Own(transformers.TextClassificationPipeline):
    pass


@pytest.mark.parametrize(
    ("change", "input_type", "says"),
    [
        (lambda given: len, "strings", "A transformers.Pipeline is deployed here, not a builtins"),
        (lambda given: given.model, "strings", "not a transformers.models.bert.*BertForSequenceClassification: make"),
        (lambda given: given, "doubles", "text-classification takes texts: pass func="),
        (
            lambda given: Own(model=given.model, tokenizer=given.tokenizer),
            "strings",
            "Own is a class of .*pytorch for",
        ),
    ],
)
def test_what_can_not_answer_is_refused_before_anything_starts(clipper, classifier, change, input_type, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "none", input_type, change(classifier))
    assert_nothing_left(clipper, "none")


@pytest.mark.parametrize(
    ("func", "says"),
    [
        (lambda pipeline, inputs: [1, 2], "Expected model to return 1 outputs, found 2 outputs"),
        (lambda pipeline, inputs: pipeline(inputs[0])["label"], "list indices must be integers"),
    ],
)
def test_what_fails_on_the_sample_leaves_nothing_behind(clipper, classifier, func, says):
    with pytest.raises(ClipperException, match=says):
        deployer.create_endpoint(clipper, "wrong", "strings", classifier, func, sample="one")
    assert_nothing_left(clipper, "wrong")
