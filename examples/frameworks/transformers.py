"""A pipeline of Hugging Face's Transformers behind a REST endpoint: what is served equals what it says here.

    python examples/frameworks/transformers.py

Needs: pip install torch transformers. Nothing is downloaded: the model is a tiny one of random weights; put your own
in its place, such as ``pipeline("text-classification", model="...")``. The cluster is one of its own, on free ports,
and is stopped at the end.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.pop(0)  # this file's folder, in which transformers would be this file

import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer, pipeline

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import transformers as deployer

WORDS = ["a", "film", "great", "poor", "very"]
TEXTS = ["great film", "a very poor film", "poor", "a great great film"]


def main():
    classifier = tiny_pipeline()
    clipper_conn = ClipperConnection(LocalContainerManager(f"transformers-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        deployer.create_endpoint(clipper_conn, "mood", "strings", classifier, sample=TEXTS[0])
        served = [clipper_conn.predict("mood", text)["output"] for text in TEXTS]
        for text, found, own in zip(TEXTS, served, classifier(TEXTS), strict=True):
            assert found["label"] == own["label"]
            assert abs(found["score"] - own["score"]) < 1e-6
            print(f"{text!r}: {found}")
        print(f"{len(served)} texts: served equals local")
    finally:
        clipper_conn.stop_all()


def tiny_pipeline():
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        Path(folder, "vocab.txt").write_text("\n".join(words))
        tokenizer = BertTokenizer.from_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words), initializer_range=1.0, **sizes)
    model = BertForSequenceClassification(config).eval()
    return pipeline("text-classification", model=model, tokenizer=tokenizer)


if __name__ == "__main__":
    main()
