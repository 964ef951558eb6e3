"""A class of Java behind a REST endpoint, deployed as its source.

    python examples/frameworks/java.py

Needs: a JDK of Java 17 or later. The cluster is one of its own, on free ports, and is stopped at the end.
"""

import os
import tempfile
from pathlib import Path

from clipper_admin import ClipperConnection, LocalContainerManager
from clipper_admin.deployers import java as deployer

SOURCE = """
import clipper.Inputs;
import clipper.Model;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** The mean of each input. */
public final class Mean implements Model {
    public List<String> predict(Inputs inputs) {
        return IntStream.range(0, inputs.size())
            .mapToObj(index -> String.valueOf(Arrays.stream(inputs.doubles(index)).average().orElse(0)))
            .toList();
    }
}
"""


def main():
    clipper_conn = ClipperConnection(LocalContainerManager(f"java-{os.getpid()}", 0, 0, 0))
    try:
        clipper_conn.start_clipper()
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "Mean.java")
            source.write_text(SOURCE)
            deployer.create_endpoint(clipper_conn, "mean", "doubles", source, "Mean", sample=[1.0, 2.0])
        queries = [[1.0, 2.0], [0.5], [3.0, -3.0, 9.0]]
        served = [answer["output"] for answer in clipper_conn.predict_batch("mean", queries)]
        assert served == [sum(query) / len(query) for query in queries]
        print(f"Mean answers {served}: equals local")
    finally:
        clipper_conn.stop_all()


if __name__ == "__main__":
    main()
