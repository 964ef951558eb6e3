package clipper;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** One batch: what the model says of it, as OUTCOMES. What the model does wrong ends here. */
final class Answers {
    private static final long DEFAULT_BUDGET_MICROS = 1_000_000;
    private static final int MAX_ERROR_TEXT = 2000;

    private final Model model;
    private final Inputs inputs;
    private final List<String> requestIds;
    private final long giveUp;

    private Answers(Model model, Inputs inputs, List<String> requestIds, long giveUp) {
        this.model = model;
        this.inputs = inputs;
        this.requestIds = requestIds;
        this.giveUp = giveUp;
    }

    static ByteBuffer to(Wire.Frame batch, Model model) throws Wire.Broken {
        long began = System.nanoTime();
        int[] starts = batch.starts();
        Inputs inputs = new Inputs(batch.payload(), starts, 0, starts.length - 1);
        long budget = batch.budgetMicros() == 0 ? DEFAULT_BUDGET_MICROS : batch.budgetMicros();
        List<Wire.Outcome> outcomes = new ArrayList<>();
        List<String> ids = Wire.requestIds(batch, starts[starts.length - 1]);
        Answers answers = new Answers(model, inputs, ids, began + 1000 * budget);
        if (inputs.size() > 0) answers.predict(0, inputs.size(), outcomes);
        return Wire.outcomes(batch.batch(), checkSize(outcomes), (System.nanoTime() - began) / 1000);
    }

    /** When the model throws, halves find the culprits, as long as the batch has time. */
    private void predict(int first, int end, List<Wire.Outcome> outcomes) {
        Wire.Outcome failed;
        try {
            outcomes.addAll(encode(model.predict(inputs.part(first, end)), end - first));
            return;
        } catch (Throwable error) { // a class that is missing, a stack that is full: these, too, are the model's
            Log.trace(error, end - first, requestIds.isEmpty() ? requestIds : requestIds.subList(first, end));
            failed = Wire.Outcome.error(describe(error));
        }
        int middle = (first + end) / 2;
        if (end - first == 1) {
            outcomes.add(failed);
        } else {
            retry(first, middle, failed, outcomes);
            retry(middle, end, failed, outcomes);
        }
    }

    private void retry(int first, int end, Wire.Outcome failed, List<Wire.Outcome> outcomes) {
        if (System.nanoTime() - giveUp > 0) {
            outcomes.addAll(Collections.nCopies(end - first, failed));
        } else {
            predict(first, end, outcomes);
        }
    }

    private static List<Wire.Outcome> encode(List<String> outputs, int count) {
        if (outputs == null || outputs.size() != count) {
            String found = outputs == null ? "null" : outputs.size() + " outputs";
            String text = "Expected model to return " + count + " outputs, found " + found;
            return Collections.nCopies(count, Wire.Outcome.error(text));
        }
        List<Wire.Outcome> outcomes = new ArrayList<>(count);
        for (String each : outputs) {
            outcomes.add(each == null
                ? Wire.Outcome.error("the model returned null for this query: return \"null\" for a null of JSON")
                : Wire.Outcome.output(Json.document(each)));
        }
        return outcomes;
    }

    private static List<Wire.Outcome> checkSize(List<Wire.Outcome> outcomes) {
        long size = 0;
        for (Wire.Outcome each : outcomes) size += each.data().length;
        if (size <= Wire.MAX_OUTPUTS) return outcomes;
        String text = "the outputs of this batch take " + size + " bytes, over the limit of " + Wire.MAX_OUTPUTS;
        return Collections.nCopies(outcomes.size(), Wire.Outcome.error(text));
    }

    private static String describe(Throwable error) {
        String text = String.valueOf(error);
        return text.length() <= MAX_ERROR_TEXT ? text : text.substring(0, MAX_ERROR_TEXT) + "...";
    }
}
