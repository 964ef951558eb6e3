"""Three models of handwritten digits behind one application, and a roll-back under load.

    python examples/digits.py [--home DIR] [--free-ports]

Trains a logistic regression, a linear SVM and a random forest on scikit-learn's digits, deploys each as a version of
one model, has all of them answer the test set over REST and compares every answer with the model's own. Then it goes
back from the newest version to the one before it while queries keep coming, and counts who answered them.

Needs scikit-learn: pip install '.[examples]'. The cluster is one of its own, on Clipper's usual ports (any free ones
with --free-ports), and is stopped at the end, whatever happens.
"""

import argparse
import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter

import requests
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import python as python_deployer

APP = MODEL = "digits"
IMAGES_A_REQUEST = 100
ANSWERS_A_VERSION = 200
PATIENCE_SECONDS = 20.0


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    images, labels, versions = train()
    ports = (0, 0, 0) if options.free_ports else (1337, 1338, 7000)
    clipper_conn = ClipperConnection(LocalContainerManager(f"digits-{os.getpid()}", *ports, home=options.home))
    try:
        clipper_conn.start_clipper(cache_size=0)  # so that every query reaches a model
        deploy(clipper_conn, versions)
        url = f"http://{clipper_conn.get_query_addr()}/{APP}/predict"
        for version, model in versions.items():
            compare(url, version, model, images, labels)
        roll_back_under_load(clipper_conn, url, versions, images)
    finally:
        clipper_conn.stop_all()


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--home", help="where Clipper keeps its files (default: ~/.clipper)")
    parser.add_argument("--free-ports", action="store_true", help="any free ports, not 1337, 1338 and 7000")
    return parser.parse_args()


def train():
    """The test images, their labels, and the fitted models by the version that each will be."""
    digits = load_digits()
    train_images, images, train_labels, labels = train_test_split(digits.data, digits.target, random_state=0)
    versions = {
        "logistic-regression": make_pipeline(StandardScaler(), LogisticRegression()),
        "linear-svm": SVC(kernel="linear"),
        "random-forest": RandomForestClassifier(n_estimators=50, random_state=0),
    }
    for version, model in versions.items():
        model.fit(train_images, train_labels)
        print(f"Trained {version} on {len(train_images)} images")
    return images, labels, versions


def deploy(clipper_conn, versions):
    """One application, one model, three versions of it; the last one deployed is the current one."""
    clipper_conn.register_application(APP, input_type="doubles", default_output="-1", slo_micros=2_000_000)
    for version, model in versions.items():
        python_deployer.deploy_python_closure(clipper_conn, MODEL, version, input_type="doubles", func=model.predict)
    clipper_conn.link_model_to_app(APP, MODEL)


def compare(url, version, model, images, labels):
    """Has one version answer all images; stops at the first answer that is not the model's own."""
    own = [int(each) for each in model.predict(images)]
    served = [
        answer["output"]
        for start in range(0, len(images), IMAGES_A_REQUEST)
        for answer in ask_batch(url, images[start : start + IMAGES_A_REQUEST], version)
    ]
    assert len(served) == len(own), f"{version} was asked for {len(own)} images and answered {len(served)}"
    for number, (answer, expected) in enumerate(zip(served, own, strict=True)):
        assert answer == expected, f"{version} answers {answer} for image {number}, its model {expected}"
    accuracy, own_accuracy = accuracy_score(labels, served), accuracy_score(labels, own)
    assert accuracy == own_accuracy
    print(f"{version}: accuracy {accuracy!r} over REST, {own_accuracy!r} of the model itself, {len(served)} images")


def ask_batch(url, images, version):
    """The answers of one version to many images, all in one request; none of them may be the default output."""
    response = requests.post(url, json={"input_batch": images.tolist(), "version": version}, timeout=30)
    response.raise_for_status()
    answers = response.json()["batch_predictions"]
    for answer in answers:
        assert not answer["default"], f"{version} gave the default output: {answer['default_explanation']}"
    return answers


def roll_back_under_load(clipper_conn, url, versions, images):
    """Makes the version before the newest one current again while one query follows the other."""
    *_, before, newest = versions
    load = Load(url, telling_images(versions[before], versions[newest], images), (before, newest))
    with load:
        wait_until(f"{newest} answers", lambda: load.answers[newest] >= ANSWERS_A_VERSION)
        clipper_conn.set_model_version(MODEL, before)
        print(f"Rolled back from {newest} to {before} after {load.answers[newest]} answers")
        wait_until(f"{before} answers", lambda: load.answers[before] >= ANSWERS_A_VERSION)
    counts = ", ".join(f"{version} {load.answers[version]}" for version in (newest, before))
    print(f"Answers under load: {counts}, defaults {load.answers['default']}")
    assert load.answers.keys() <= {newest, before}, load.answers
    assert load.turns == 1, f"the current version changed {load.turns} times"


def telling_images(before, newest, images):
    """The images on which two models differ, each with what either of them says: the answer tells who gave it."""
    both = zip(images, before.predict(images), newest.predict(images), strict=True)
    return [(image.tolist(), int(one), int(other)) for image, one, other in both if one != other]


class Load:
    """Asks for one image after the other from a thread, without a version, and counts who answered."""

    def __init__(self, url, questions, names):
        self.answers = Counter()
        self.turns = 0
        self._url = url
        self._questions = questions
        self._names = names
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        give_up = time.monotonic() + 2 * PATIENCE_SECONDS
        last = None
        with requests.Session() as session:
            for image, *outputs in itertools.cycle(self._questions):
                if self._over.is_set() or time.monotonic() > give_up:
                    return
                who = self._ask(session, image, outputs)
                self.turns += last not in (None, who)
                self.answers[who] += 1
                last = who

    def _ask(self, session, image, outputs):
        answer = session.post(self._url, json={"input": image}, timeout=30).json()
        if answer.get("default") is not False:
            return "default"
        return dict(zip(outputs, self._names, strict=True)).get(answer["output"], "nobody")


def wait_until(what, condition):
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, f"{what}: not so after {PATIENCE_SECONDS:g} seconds"
        time.sleep(0.01)


if __name__ == "__main__":
    main()
