package clipper;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The messages of docs/wire.md, without I/O. */
final class Wire {
    static final int HEADER = 24;
    static final int MAX_PAYLOAD = 1 << 30;
    static final int MAX_OUTPUTS = 128 << 20; // of OUTCOMES' 256 MiB, which leaves enough for the lengths
    static final int ERROR_FLAG = 1 << 31;
    static final int HELLO = 1, WELCOME = 2, REFUSED = 3, BATCH = 4, OUTCOMES = 5, GOODBYE = 6;

    private Wire() {}

    /** The other end broke the protocol: the connection can't be used any more. */
    static final class Broken extends IOException {
        private static final long serialVersionUID = 1;

        Broken(String message) {
            super(message);
        }
    }

    /** One message. */
    record Frame(int kind, int batch, long items, long budgetMicros, long idBytes, ByteBuffer payload) {
        String text() {
            return new String(payload.array(), StandardCharsets.UTF_8).replaceAll("\0+$", "");
        }

        /** Where in the payload each item starts, and where the last one ends. */
        int[] starts() throws Broken {
            if (4 * items > payload.capacity()) {
                throw new Broken("a message of " + payload.capacity() + " bytes can't hold " + items + " items");
            }
            int[] starts = new int[(int) items + 1];
            long end = (4 * items + 7) / 8 * 8;
            for (int place = 0; place < items; place++) {
                starts[place] = (int) end;
                end += payload.getInt(4 * place) & 0xffffffffL;
                if (end > payload.capacity()) {
                    throw new Broken("the items of a message are longer than its " + payload.capacity() + " bytes");
                }
            }
            starts[(int) items] = (int) end;
            return starts;
        }
    }

    /** What the clients of a batch call their requests, one for each query, empty where they don't; or none. */
    static List<String> requestIds(Frame batch, int end) throws Broken {
        if (batch.idBytes == 0) return List.of();
        if (end + batch.idBytes > batch.payload.capacity()) throw new Broken("request ids are longer than the message");
        byte[] bytes = new byte[(int) batch.idBytes];
        batch.payload.get(end, bytes);
        List<String> ids = List.of(new String(bytes, StandardCharsets.UTF_8).split("\n", -1));
        if (ids.size() != batch.items) throw new Broken(ids.size() + " request ids for " + batch.items + " queries");
        return ids;
    }

    /** The outcome of one query: a JSON document, or the text of an error. */
    record Outcome(boolean ok, byte[] data) {
        static Outcome output(String document) {
            return new Outcome(true, document.getBytes(StandardCharsets.UTF_8));
        }

        static Outcome error(String text) {
            return new Outcome(false, text.getBytes(StandardCharsets.UTF_8));
        }
    }

    static int payloadLength(ByteBuffer header) throws Broken {
        long length = header.getInt(0) & 0xffffffffL;
        if (length > MAX_PAYLOAD || length % 8 != 0) {
            throw new Broken("a message announces " + length + " bytes: not a multiple of 8 up to " + MAX_PAYLOAD);
        }
        return (int) length;
    }

    static Frame frame(ByteBuffer header, ByteBuffer payload) {
        long items = header.getInt(12) & 0xffffffffL;
        long micros = header.getInt(16) & 0xffffffffL;
        return new Frame(header.get(4), header.getInt(8), items, micros, header.getInt(20) & 0xffffffffL, payload);
    }

    static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    static ByteBuffer hello(String json) {
        byte[] text = json.getBytes(StandardCharsets.UTF_8);
        return message(HELLO, 0, 0, 0, text.length).put(text).rewind();
    }

    static ByteBuffer goodbye() {
        return message(GOODBYE, 0, 0, 0, 0).rewind();
    }

    static ByteBuffer outcomes(int batch, List<Outcome> outcomes, long workedMicros) {
        int size = (4 * outcomes.size() + 7) / 8 * 8;
        for (Outcome each : outcomes) size += each.data.length;
        ByteBuffer message = message(OUTCOMES, batch, outcomes.size(), workedMicros, size);
        for (Outcome each : outcomes) message.putInt(each.data.length | (each.ok ? 0 : ERROR_FLAG));
        if (outcomes.size() % 2 == 1) message.putInt(0);
        for (Outcome each : outcomes) message.put(each.data);
        return message.rewind();
    }

    /** A message that is all zeros behind its header, where it is to be written on. */
    private static ByteBuffer message(int kind, int batch, int items, long micros, int size) {
        int length = (size + 7) / 8 * 8;
        ByteBuffer message = buffer(HEADER + length).putInt(length).put((byte) kind).position(8);
        return message.putInt(batch).putInt(items).putInt((int) Math.min(micros, 0xffffffffL)).putInt(0);
    }
}
