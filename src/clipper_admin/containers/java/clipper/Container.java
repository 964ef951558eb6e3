package clipper;

import java.io.File;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.URL;
import java.net.URLClassLoader;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Security;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Loads the model, connects to all frontends, answers their batches until SIGTERM: one thread, one selector. */
public final class Container {
    private static final long SECOND = 1_000_000_000L;
    private static final long RESOLVE_INTERVAL = 10 * SECOND;
    private static final long RESOLVE_INTERVAL_MISSING = 2 * SECOND;
    /** A frontend that is started again is not named meanwhile: for so long it is looked out for. */
    private static final long MISSED = 60 * SECOND;
    private static final long DRAIN_TIMEOUT = 10 * SECOND;

    private final Settings settings;
    private final Model model;
    private final Selector selector = Selector.open();
    private final Map<String, List<SocketAddress>> known = new LinkedHashMap<>();
    private final Map<SocketAddress, Connection> connections = new LinkedHashMap<>();
    private volatile boolean stopping;
    private long resolvedAt;
    private long missedAt = System.nanoTime() - MISSED;

    private Container(Settings settings, Model model) throws IOException {
        this.settings = settings;
        this.model = model;
    }

    public static void main(String[] arguments) throws IOException {
        Security.setProperty("networkaddress.cache.ttl", "5"); // or new frontends of a name are found late
        Container container;
        try {
            Settings settings = Settings.read(System.getenv());
            Log.write("Loading " + settings.name() + ":" + settings.version() + " from " + settings.modelPath());
            Model model = load(settings);
            trySample(model, Path.of(settings.modelPath(), "sample.bin"));
            container = new Container(settings, model);
        } catch (IllegalArgumentException error) {
            Log.error("ERROR: " + error.getMessage());
            System.exit(1);
            return;
        } catch (Throwable error) { // the constructor of the model, too
            Log.error("Can't load the model:\n" + Log.stack(error));
            System.exit(1);
            return;
        }
        container.stopOnSigterm(Thread.currentThread());
        container.serve();
    }

    /** The class may be in the directory CLIPPER_MODEL_PATH, in a jar there, or in the jar that it is. */
    private static Model load(Settings settings) throws Exception {
        List<URL> urls = new ArrayList<>();
        File path = new File(settings.modelPath());
        urls.add(path.toURI().toURL());
        File[] jars = path.listFiles((folder, name) -> name.endsWith(".jar"));
        for (File each : jars == null ? new File[0] : jars) urls.add(each.toURI().toURL());
        ClassLoader loader = new URLClassLoader(urls.toArray(new URL[0]), Container.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader); // for libraries that look for their plug-ins there
        Object made = loader.loadClass(settings.modelClass()).getDeclaredConstructor().newInstance();
        if (made instanceof Model model) return model;
        throw new IllegalArgumentException("CLIPPER_JAVA_CLASS: " + settings.modelClass() + " is no clipper.Model");
    }

    /** If there is such a file, it is one input, which the model must answer first: that finds faults, and warms it up. */
    private static void trySample(Model model, Path file) throws Exception {
        if (!Files.isRegularFile(file)) return;
        byte[] input = Files.readAllBytes(file);
        List<String> outputs = model.predict(new Inputs(ByteBuffer.wrap(input), new int[] {0, input.length}, 0, 1));
        if (outputs == null || outputs.size() != 1 || outputs.get(0) == null) {
            throw new IllegalArgumentException("For the sample the model returned " + outputs + ", not one output");
        }
        Log.write("Tried on a sample: the output is " + outputs.get(0));
    }

    /** The JVM runs this on SIGTERM and would then end with code 143. A model that does not come back is not waited for. */
    private void stopOnSigterm(Thread serving) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            stopping = true;
            selector.wakeup();
            try {
                serving.join((DRAIN_TIMEOUT + SECOND) / 1_000_000);
            } catch (InterruptedException interrupted) {
                // Then at once.
            }
            Runtime.getRuntime().halt(serving.isAlive() ? 1 : 0);
        }));
        if ("1".equals(System.getenv("CLIPPER_DIE_WITH_PARENT"))) {
            ProcessHandle.current().parent().ifPresent(each -> each.onExit().thenRun(() -> System.exit(0)));
        }
    }

    private void serve() throws IOException {
        Log.write("Serving predictions for " + settings.inputType() + " input type.");
        resolve(System.nanoTime());
        while (!stopping) step(resolveInterval());
        Log.write("SIGTERM: saying goodbye to the frontends, answering what they still send");
        long end = System.nanoTime() + DRAIN_TIMEOUT;
        connections.values().forEach(each -> each.leave(System.nanoTime()));
        while (connections.values().stream().anyMatch(each -> !each.isClosed())) {
            long left = end - System.nanoTime();
            if (left <= 0) {
                Log.write("Some frontends did not say goodbye within 10 s");
                break;
            }
            step(left);
        }
        Log.write("Stopped");
    }

    /** Waits for something to do, at most {@code longest} nanoseconds, and does it. */
    private void step(long longest) throws IOException {
        long now = System.nanoTime();
        for (Connection each : connections.values()) longest = Math.min(longest, each.dueIn(now));
        if (longest <= 0) {
            selector.selectNow();
        } else {
            selector.select((longest + 999_999) / 1_000_000);
        }
        Set<SelectionKey> ready = selector.selectedKeys();
        for (SelectionKey each : ready) {
            if (each.isValid()) answer((Connection) each.attachment());
        }
        ready.clear();
        tick(System.nanoTime());
    }

    private void answer(Connection connection) {
        Wire.Frame batch = connection.ready(System.nanoTime());
        if (batch == null) return;
        try {
            connection.send(Answers.to(batch, model), System.nanoTime());
        } catch (Wire.Broken error) {
            connection.fail(error.getMessage(), System.nanoTime());
        }
    }

    private void tick(long now) {
        if (!stopping && now - resolvedAt >= resolveInterval()) resolve(now);
        for (Connection each : connections.values()) each.tick(now);
    }

    private long resolveInterval() {
        return resolvedAt - missedAt < MISSED ? RESOLVE_INTERVAL_MISSING : RESOLVE_INTERVAL;
    }

    /** Adds connections to new frontends; drops those that are no longer named and don't work either. */
    private void resolve(long now) {
        resolvedAt = now;
        for (String each : settings.addresses()) {
            try {
                known.put(each, Settings.resolve(each));
            } catch (UnknownHostException error) {
                Log.write("Can't resolve " + each + "; trying again");
            }
        }
        Set<SocketAddress> wanted = new HashSet<>();
        known.values().forEach(wanted::addAll);
        connections.entrySet().removeIf(each -> {
            boolean gone = !wanted.contains(each.getKey()) && !each.getValue().isConnected();
            if (gone) {
                each.getValue().close();
                missedAt = now;
            }
            return gone;
        });
        for (SocketAddress each : wanted) {
            connections.computeIfAbsent(each, address -> new Connection(address, settings.hello(), selector, now));
        }
    }
}
