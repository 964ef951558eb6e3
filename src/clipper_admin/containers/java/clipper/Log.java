package clipper;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** Lines on stderr, one for each event; JSON objects where CLIPPER_LOG_FORMAT is json. */
final class Log {
    private static final List<String> LEVELS = List.of("debug", "info", "warning", "error");
    private static final long INTERVAL = 1_000_000_000L;
    private static final DateTimeFormatter STAMP = DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss,SSS");
    private static long lastTrace = System.nanoTime() - INTERVAL;

    private Log() {}

    static void write(String text) {
        write("info", text, List.of());
    }

    static void error(String text) {
        write("error", text, List.of());
    }

    /** The stack trace of what a model threw; at most one a second, so that one that always fails fills no disk. */
    static void trace(Throwable error, int queries, List<String> requestIds) {
        if (System.nanoTime() - lastTrace < INTERVAL) return;
        lastTrace = System.nanoTime();
        List<String> names = requestIds.stream().filter(each -> !each.isEmpty()).collect(Collectors.toList());
        String requests = names.isEmpty() ? "" : " (requests " + String.join(", ", names) + ")";
        write("error", "The model threw on a batch of " + queries + requests + ":\n" + stack(error), names);
    }

    static String stack(Throwable error) {
        StringWriter text = new StringWriter();
        error.printStackTrace(new PrintWriter(text));
        return text.toString().stripTrailing();
    }

    private static void write(String level, String text, List<String> requestIds) {
        if (LEVELS.indexOf(level) < LEVELS.indexOf(environment("CLIPPER_LOG_LEVEL", "info"))) return;
        boolean json = environment("CLIPPER_LOG_FORMAT", "text").equals("json");
        System.err.println(json ? object(level, text, requestIds) : line(level, text));
    }

    /** Of the same form as the servers' lines: further ones are indented, and can't pass for an event. */
    private static String line(String level, String text) {
        String origin = String.format(" %-7s container: ", level.toUpperCase(Locale.ROOT));
        return LocalDateTime.now().format(STAMP) + origin + text.replaceAll("\\R", "\n    ");
    }

    private static String object(String level, String text, List<String> requestIds) {
        String line = "{\"time\":" + Json.quote(Instant.now().truncatedTo(ChronoUnit.MILLIS).toString())
            + ",\"level\":" + Json.quote(level) + ",\"logger\":\"container\",\"message\":" + Json.quote(text)
            + ",\"model\":" + Json.quote(environment("CLIPPER_MODEL_NAME", ""))
            + ",\"version\":" + Json.quote(environment("CLIPPER_MODEL_VERSION", ""))
            + ",\"replica\":" + Json.quote(environment("CLIPPER_REPLICA_ID", ""));
        if (requestIds.isEmpty()) return line + "}";
        return line + requestIds.stream().map(Json::quote).collect(Collectors.joining(",", ",\"request_ids\":[", "]}"));
    }

    private static String environment(String name, String otherwise) {
        String found = System.getenv(name);
        return found == null ? otherwise : found;
    }
}
