package clipper;

import java.io.IOException;
import java.net.SocketAddress;
import java.net.SocketOption;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Map;
import jdk.net.ExtendedSocketOptions;

/** A connection to one frontend, which comes back when it breaks. No method waits; {@code now} is System.nanoTime(). */
final class Connection {
    private enum Phase { WAITING, CONNECTING, GREETING, SERVING, LEAVING, ENDING, CLOSED }

    private static final long MILLI = 1_000_000L;
    private static final long FIRST_RETRY = 50 * MILLI;
    private static final long SLOWEST_RETRY = 1000 * MILLI;
    private static final long REFUSED_RETRY = 5000 * MILLI;
    private static final long GREETING_TIMEOUT = 10_000 * MILLI;
    private static final int MAX_UNSENT = 2; // a frontend has two batches in flight at most
    private static final Map<SocketOption<Integer>, Integer> DEAD_PEER = Map.of(
        ExtendedSocketOptions.TCP_KEEPIDLE, 15, ExtendedSocketOptions.TCP_KEEPINTERVAL, 5,
        ExtendedSocketOptions.TCP_KEEPCOUNT, 3);

    private final SocketAddress endpoint;
    private final String hello;
    private final Selector selector;
    private final ArrayDeque<ByteBuffer> unsent = new ArrayDeque<>();
    private final ByteBuffer header = Wire.buffer(Wire.HEADER);
    private ByteBuffer payload;
    private SocketChannel channel;
    private SelectionKey key;
    private Phase phase = Phase.WAITING;
    private boolean leaving;
    private long deadline;
    private long retry = FIRST_RETRY;
    private long welcomedAt;
    private boolean wasWelcomed;
    private boolean outageLogged;
    private String lastRefusal = "";

    Connection(SocketAddress endpoint, String hello, Selector selector, long now) {
        this.endpoint = endpoint;
        this.hello = hello;
        this.selector = selector;
        this.deadline = now;
    }

    boolean isConnected() {
        return phase != Phase.WAITING && phase != Phase.CONNECTING && phase != Phase.CLOSED;
    }

    boolean isClosed() {
        return phase == Phase.CLOSED;
    }

    /** Nanoseconds until {@code tick} has something to do. */
    long dueIn(long now) {
        return hasDeadline() ? Math.max(deadline - now, 0) : Long.MAX_VALUE;
    }

    /** Does what is due: connects, or gives up on a frontend that does not react. */
    void tick(long now) {
        if (!hasDeadline() || now - deadline < 0) return;
        if (phase == Phase.WAITING) {
            connect(now);
        } else {
            fail("no answer within 10 s", now);
        }
    }

    /** Goes on after the selector said that the socket is ready; a BATCH to answer, if one is complete, else null. */
    Wire.Frame ready(long now) {
        try {
            if (key.isConnectable()) greet(now);
            if (key.isValid() && key.isWritable()) flush();
            return channel != null && key.isValid() && key.isReadable() ? receive(now) : null;
        } catch (IOException | OutOfMemoryError error) {
            fail(error.getMessage(), now);
            return null;
        }
    }

    /** Sends what the socket takes at once, and the rest when it is ready. */
    void send(ByteBuffer message, long now) {
        if (channel == null) return;
        unsent.add(message);
        try {
            flush();
        } catch (IOException error) {
            fail(error.getMessage(), now);
        }
    }

    /** Says GOODBYE; the connection is closed once the frontend has answered it, at once without a frontend. */
    void leave(long now) {
        leaving = true;
        if (phase == Phase.GREETING || phase == Phase.SERVING) {
            phase = Phase.LEAVING;
            send(Wire.goodbye(), now);
        } else if (!isConnected()) {
            close();
        }
    }

    /** Drops the connection, and makes another one later unless the container is leaving. */
    void fail(String reason, long now) {
        String what = isConnected() ? "Lost" : "Can't reach";
        close();
        if (leaving) return;
        if (!outageLogged) {
            Log.write(what + " the frontend at " + endpoint + ": " + reason + "; connecting again until it works");
        }
        outageLogged = true;
        if (wasWelcomed && now - welcomedAt >= SLOWEST_RETRY) retry = FIRST_RETRY;
        wait(retry, now);
        retry = Math.min(2 * retry, SLOWEST_RETRY);
        wasWelcomed = false;
    }

    void close() {
        if (channel != null) {
            try {
                channel.close();
            } catch (IOException ignored) {
                // It is gone all the same.
            }
        }
        channel = null;
        unsent.clear();
        phase = Phase.CLOSED;
    }

    private boolean hasDeadline() {
        return phase == Phase.WAITING || phase == Phase.CONNECTING || phase == Phase.GREETING || phase == Phase.ENDING;
    }

    private void wait(long nanos, long now) {
        phase = Phase.WAITING;
        deadline = now + nanos;
    }

    private void connect(long now) {
        header.clear();
        payload = null;
        try {
            channel = open();
            phase = Phase.CONNECTING;
            deadline = now + GREETING_TIMEOUT;
            boolean done = channel.connect(endpoint);
            key = channel.register(selector, done ? SelectionKey.OP_WRITE : SelectionKey.OP_CONNECT, this);
            if (done) greet(now);
        } catch (IOException error) {
            fail(error.getMessage(), now);
        }
    }

    private SocketChannel open() throws IOException {
        boolean unix = endpoint instanceof UnixDomainSocketAddress;
        SocketChannel made = unix ? SocketChannel.open(StandardProtocolFamily.UNIX) : SocketChannel.open();
        made.configureBlocking(false);
        if (!unix) {
            made.setOption(StandardSocketOptions.TCP_NODELAY, true);
            made.setOption(StandardSocketOptions.SO_KEEPALIVE, true); // half a minute of silence breaks the connection
            for (var each : DEAD_PEER.entrySet()) {
                if (made.supportedOptions().contains(each.getKey())) made.setOption(each.getKey(), each.getValue());
            }
        }
        return made;
    }

    private void greet(long now) throws IOException {
        if (!channel.finishConnect()) return;
        phase = Phase.GREETING;
        deadline = now + GREETING_TIMEOUT;
        unsent.add(Wire.hello(hello));
        flush();
    }

    private void flush() throws IOException {
        while (!unsent.isEmpty()) {
            channel.write(unsent.peek());
            if (unsent.peek().hasRemaining()) break;
            unsent.remove();
        }
        if (phase == Phase.ENDING && unsent.isEmpty()) {
            finish();
        } else {
            watch();
        }
    }

    /** A peer that does not read is not read from: its batches would pile up as answers here. */
    private void watch() {
        boolean reads = unsent.size() < MAX_UNSENT && phase != Phase.ENDING;
        key.interestOps((reads ? SelectionKey.OP_READ : 0) | (unsent.isEmpty() ? 0 : SelectionKey.OP_WRITE));
    }

    /** Both sides have said GOODBYE and everything is sent. */
    private void finish() throws IOException {
        if (!leaving) throw new IOException("it said goodbye");
        close();
    }

    private Wire.Frame receive(long now) throws IOException {
        while (channel != null) {
            ByteBuffer target = payload == null ? header : payload;
            int received = channel.read(target);
            if (received < 0) throw new IOException("the frontend closed the connection");
            if (target.hasRemaining()) {
                if (received == 0) return null;
                continue;
            }
            if (payload == null) payload = Wire.buffer(Wire.payloadLength(header));
            if (payload.hasRemaining()) continue;
            Wire.Frame frame = Wire.frame(header, payload.rewind());
            header.clear();
            payload = null;
            if (react(frame, now)) return frame;
            if (phase == Phase.ENDING) return null;
        }
        return null;
    }

    /** Whether it is a batch to be answered. */
    private boolean react(Wire.Frame frame, long now) throws IOException {
        boolean serving = phase == Phase.SERVING || phase == Phase.LEAVING;
        if (frame.kind() == Wire.BATCH && serving) return true;
        if (frame.kind() == Wire.WELCOME && phase == Phase.GREETING) {
            welcomed(now);
        } else if (frame.kind() == Wire.REFUSED) {
            refused(frame.text(), now);
        } else if (frame.kind() == Wire.GOODBYE && serving) {
            phase = Phase.ENDING;
            deadline = now + GREETING_TIMEOUT;
            flush();
        } else if (frame.kind() != Wire.WELCOME || phase != Phase.LEAVING) { // that one crossed our GOODBYE
            throw new Wire.Broken("it sent a message of kind " + frame.kind() + " while we were " + phase);
        }
        return false;
    }

    private void welcomed(long now) {
        phase = Phase.SERVING;
        welcomedAt = now;
        wasWelcomed = true;
        outageLogged = false;
        lastRefusal = "";
        Log.write("Connected to the frontend at " + endpoint);
    }

    private void refused(String reason, long now) {
        close();
        if (leaving) return;
        if (!reason.equals(lastRefusal)) {
            Log.write("The frontend at " + endpoint + " refused this model: " + reason + "; asking every 5 s");
        }
        lastRefusal = reason;
        outageLogged = true;
        wait(REFUSED_RETRY, now);
    }
}
