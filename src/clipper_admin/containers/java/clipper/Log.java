package clipper;

import java.time.LocalDateTime;
import java.time.temporal.ChronoUnit;

/** Lines on stderr, one for each event. */
final class Log {
    private static final long INTERVAL = 1_000_000_000L;
    private static long lastTrace = System.nanoTime() - INTERVAL;

    private Log() {}

    static void write(String text) {
        System.err.println(LocalDateTime.now().truncatedTo(ChronoUnit.SECONDS) + " " + text);
    }

    /** The stack trace of what a model threw; at most one a second, so that one that always fails fills no disk. */
    static void trace(Throwable error, int queries) {
        if (System.nanoTime() - lastTrace < INTERVAL) return;
        lastTrace = System.nanoTime();
        write("The model threw on a batch of " + queries + ":");
        error.printStackTrace();
    }
}
