package clipper;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/** The inputs of a batch. Each method makes a fresh copy, which the model may change. */
public final class Inputs {
    private final ByteBuffer payload;
    private final int[] starts;
    private final int first;
    private final int end;

    /** {@code starts} has where in the payload each input of the batch starts, and, behind, where the last one ends. */
    Inputs(ByteBuffer payload, int[] starts, int first, int end) {
        this.payload = payload;
        this.starts = starts;
        this.first = first;
        this.end = end;
    }

    Inputs part(int from, int to) {
        return new Inputs(payload, starts, first + from, first + to);
    }

    public int size() {
        return end - first;
    }

    /** For CLIPPER_INPUT_TYPE=bytes: Java's bytes are signed, {@code each & 0xff} is the unsigned one. */
    public byte[] bytes(int index) {
        ByteBuffer input = input(index);
        byte[] found = new byte[input.remaining()];
        input.get(found);
        return found;
    }

    public int[] integers(int index) {
        ByteBuffer input = input(index);
        int[] found = new int[elements(input, Integer.BYTES)];
        input.asIntBuffer().get(found);
        return found;
    }

    public float[] floats(int index) {
        ByteBuffer input = input(index);
        float[] found = new float[elements(input, Float.BYTES)];
        input.asFloatBuffer().get(found);
        return found;
    }

    public double[] doubles(int index) {
        ByteBuffer input = input(index);
        double[] found = new double[elements(input, Double.BYTES)];
        input.asDoubleBuffer().get(found);
        return found;
    }

    /** What is not UTF-8, as half a surrogate pair, is replaced by U+FFFD. */
    public String string(int index) {
        return new String(bytes(index), StandardCharsets.UTF_8);
    }

    private ByteBuffer input(int index) {
        int place = first + java.util.Objects.checkIndex(index, size());
        int start = starts[place];
        return payload.slice(start, starts[place + 1] - start).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static int elements(ByteBuffer input, int size) {
        if (input.remaining() % size != 0) {
            throw new IllegalArgumentException(
                "an input of " + input.remaining() + " bytes is not a whole number of elements of " + size);
        }
        return input.remaining() / size;
    }
}
