import clipper.Inputs;
import clipper.Model;
import java.util.ArrayList;
import java.util.List;

/** What the conformance runner asks for: the number of elements and their sum, or the text itself. */
public final class Sums implements Model {
    private final String type = System.getenv("CLIPPER_INPUT_TYPE");

    @Override
    public List<String> predict(Inputs inputs) {
        List<String> outputs = new ArrayList<>();
        for (int index = 0; index < inputs.size(); index++) outputs.add(answer(inputs, index));
        return outputs;
    }

    private String answer(Inputs inputs, int index) {
        switch (type) {
            case "strings": return text(inputs.string(index));
            case "bytes": return bytes(inputs.bytes(index));
            case "integers": return integers(inputs.integers(index));
            case "floats": return floats(inputs.floats(index));
            default: return doubles(inputs.doubles(index));
        }
    }

    private static String text(String input) {
        check(input.equals("fail"));
        return input;
    }

    private static String bytes(byte[] input) {
        long sum = 0;
        for (byte each : input) sum += each & 0xff;
        check(input.length > 0 && input[0] == 99);
        return "[" + input.length + ", " + sum + "]";
    }

    private static String integers(int[] input) {
        long sum = 0;
        for (int each : input) sum += each;
        check(input.length > 0 && input[0] == 99);
        return "[" + input.length + ", " + sum + "]";
    }

    private static String floats(float[] input) {
        double sum = 0;
        for (float each : input) sum += each;
        check(input.length > 0 && input[0] == 99);
        return "[" + input.length + ", " + sum + "]";
    }

    private static String doubles(double[] input) {
        double sum = 0;
        for (double each : input) sum += each;
        check(input.length > 0 && input[0] == 99);
        return "[" + input.length + ", " + sum + "]";
    }

    private static void check(boolean fails) {
        if (fails) throw new IllegalStateException("asked to fail");
    }
}
