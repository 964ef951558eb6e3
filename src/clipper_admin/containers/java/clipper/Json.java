package clipper;

/** Tells texts that are JSON documents from others, which it writes as JSON strings. */
final class Json {
    static final int MAX_NESTING = 100;
    private static final String SPACE = " \t\r\n";

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** The text itself, without space around it, if it is a JSON document; else the text as a JSON string. */
    static String document(String text) {
        String stripped = strip(text);
        return isDocument(stripped) ? stripped : quote(text);
    }

    static boolean isDocument(String text) {
        Json json = new Json(text);
        return json.value(0) && json.at == text.length();
    }

    static String quote(String text) {
        StringBuilder quoted = new StringBuilder(text.length() + 2).append('"');
        for (int place = 0; place < text.length(); place++) {
            char each = text.charAt(place);
            if (each == '"' || each == '\\') {
                quoted.append('\\').append(each);
            } else if (each < ' ') {
                quoted.append(String.format("\\u%04x", (int) each));
            } else {
                quoted.append(each);
            }
        }
        return quoted.append('"').toString();
    }

    private static String strip(String text) {
        int start = 0;
        int end = text.length();
        while (start < end && SPACE.indexOf(text.charAt(start)) >= 0) start++;
        while (start < end && SPACE.indexOf(text.charAt(end - 1)) >= 0) end--;
        return text.substring(start, end);
    }

    private boolean value(int depth) {
        if (at >= text.length() || depth > MAX_NESTING) return false;
        switch (text.charAt(at)) {
            case '{': return members(depth, '}', true);
            case '[': return members(depth, ']', false);
            case '"': return string();
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            default: return number();
        }
    }

    /** What is between brackets, and these; {@code named} in an object. */
    private boolean members(int depth, char closing, boolean named) {
        at++;
        space();
        if (take(closing)) return true;
        do {
            space();
            if (named) {
                if (!string()) return false;
                space();
                if (!take(':')) return false;
                space();
            }
            if (!value(depth + 1)) return false;
            space();
        } while (take(','));
        return take(closing);
    }

    private boolean string() {
        if (!take('"')) return false;
        while (at < text.length()) {
            char each = text.charAt(at++);
            if (each == '"') return true;
            if (each < ' ' || each == '\\' && !escape()) return false;
        }
        return false;
    }

    private boolean escape() {
        if (at >= text.length()) return false;
        char each = text.charAt(at++);
        if (each != 'u') return "\"\\/bfnrt".indexOf(each) >= 0;
        for (int digits = 0; digits < 4; digits++) {
            if (at >= text.length() || "0123456789abcdefABCDEF".indexOf(text.charAt(at++)) < 0) return false;
        }
        return true;
    }

    private boolean number() {
        int start = at;
        take('-');
        if (!take('0') && !digits()) return false;
        if (take('.') && !digits()) return false;
        if (take('e') || take('E')) {
            if (!take('+')) take('-');
            if (!digits()) return false;
        }
        return !Double.isInfinite(Double.parseDouble(text.substring(start, at))); // beyond what readers of JSON take
    }

    private boolean digits() {
        int start = at;
        while (at < text.length() && text.charAt(at) >= '0' && text.charAt(at) <= '9') at++;
        return at > start;
    }

    private boolean word(String word) {
        boolean found = text.startsWith(word, at);
        at += word.length();
        return found;
    }

    private boolean take(char wanted) {
        if (at >= text.length() || text.charAt(at) != wanted) return false;
        at++;
        return true;
    }

    private void space() {
        while (at < text.length() && SPACE.indexOf(text.charAt(at)) >= 0) at++;
    }
}
