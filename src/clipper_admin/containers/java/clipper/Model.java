package clipper;

import java.util.List;

/** What answers queries. CLIPPER_JAVA_CLASS names a class that implements this and has a public constructor without arguments. */
public interface Model {
    /**
     * Answers a batch, in one thread at a time.
     *
     * @return one text for each input, in their order: a JSON document, or any other text, which becomes a JSON string
     * @throws Exception if it can't answer. A batch of several is then asked again in halves, so that only the queries
     *     that fail by themselves get the error.
     */
    List<String> predict(Inputs inputs) throws Exception;
}
