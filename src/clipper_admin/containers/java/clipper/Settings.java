package clipper;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** What the environment tells the container. IllegalArgumentException, which names the variable, if it is wrong. */
record Settings(
    String name, String version, String modelPath, String modelClass, String inputType, Integer replica,
    List<String> addresses) {
    private static final Map<String, List<String>> TYPES = Map.of(
        "bytes", List.of("bytes", "byte", "b"),
        "integers", List.of("integers", "ints", "integer", "int", "i"),
        "floats", List.of("floats", "float", "f"),
        "doubles", List.of("doubles", "double", "d"),
        "strings", List.of("strings", "string", "strs", "str", "s"));

    static Settings read(Map<String, String> environment) {
        String replica = or(environment, "CLIPPER_REPLICA_ID", "");
        String usual = "tcp:" + or(environment, "CLIPPER_IP", "127.0.0.1") + ":" + or(environment, "CLIPPER_PORT", "7000");
        List<String> addresses = new ArrayList<>();
        for (String each : or(environment, "CLIPPER_ADDRESS", usual).split(",")) {
            if (!each.isBlank() && !addresses.contains(each.strip())) addresses.add(checkAddress(each.strip()));
        }
        return new Settings(
            required(environment, "CLIPPER_MODEL_NAME"),
            required(environment, "CLIPPER_MODEL_VERSION"),
            required(environment, "CLIPPER_MODEL_PATH"),
            required(environment, "CLIPPER_JAVA_CLASS"),
            inputType(or(environment, "CLIPPER_INPUT_TYPE", "doubles")),
            replica.isEmpty() ? null : Integer.valueOf(replica),
            addresses);
    }

    String hello() {
        return "{\"protocol\":1,\"model_name\":" + Json.quote(name) + ",\"model_version\":" + Json.quote(version)
            + ",\"input_type\":" + Json.quote(inputType) + ",\"replica_id\":" + replica
            + ",\"pid\":" + ProcessHandle.current().pid() + "}";
    }

    /** Every frontend that an address means now; of a name with IPv4 and IPv6 addresses, the IPv4 ones. */
    static List<SocketAddress> resolve(String address) throws UnknownHostException {
        if (address.startsWith("unix:")) return List.of(UnixDomainSocketAddress.of(address.substring(5)));
        int colon = address.lastIndexOf(':');
        int port = Integer.parseInt(address.substring(colon + 1));
        List<SocketAddress> all = new ArrayList<>();
        List<SocketAddress> old = new ArrayList<>();
        for (InetAddress each : InetAddress.getAllByName(address.substring(4, colon))) {
            SocketAddress endpoint = new InetSocketAddress(each, port);
            all.add(endpoint);
            if (each.getAddress().length == 4) old.add(endpoint);
        }
        return old.isEmpty() ? all : old;
    }

    private static String checkAddress(String text) {
        if (!text.matches("unix:.+|tcp:.+:[0-9]{1,5}")) {
            throw new IllegalArgumentException(
                "CLIPPER_ADDRESS: '" + text + "' is not an address: write unix:/path or tcp:host:port");
        }
        return text;
    }

    private static String inputType(String text) {
        String alias = text.strip().toLowerCase();
        return TYPES.entrySet().stream()
            .filter(each -> each.getValue().contains(alias))
            .map(Map.Entry::getKey)
            .findFirst()
            .orElseThrow(() -> new IllegalArgumentException(
                "CLIPPER_INPUT_TYPE: " + text + " is none of " + Arrays.toString(TYPES.keySet().toArray())));
    }

    private static String required(Map<String, String> environment, String name) {
        String found = or(environment, name, "");
        if (found.isEmpty()) throw new IllegalArgumentException(name + " environment variable must be set");
        return found;
    }

    private static String or(Map<String, String> environment, String name, String otherwise) {
        String found = environment.getOrDefault(name, "");
        return found.isEmpty() ? otherwise : found;
    }
}
