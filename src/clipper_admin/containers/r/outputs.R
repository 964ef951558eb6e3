# What the user's function returned -> a JSON document for each query, in UTF-8.

MAX_NESTING <- 100
NO_VALUE <- "the model returned NULL for this query: does the function return a value on every path?"
NOT_FINITE <- "the model returned NA, NaN or Inf, which JSON can't hold: return a string, or replace it"

# One recursive pattern for a whole JSON document (RFC 8259). Possessive, so that it never tries a second way.
JSON <- paste0(
  "(?(DEFINE)(?<s>[ \\t\\r\\n]*+)",
  '(?<text>"(?:[^"\\\\\\x00-\\x1f]++|\\\\(?:["\\\\/bfnrt]|u[0-9a-fA-F]{4}))*+")',
  "(?<number>-?(?:0|[1-9][0-9]*+)(?:\\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+)",
  "(?<list>\\[(?&s)(?:(?&any)(?:(?&s),(?&s)(?&any))*+)?+(?&s)\\])",
  "(?<pair>(?&text)(?&s):(?&s)(?&any))",
  "(?<object>\\{(?&s)(?:(?&pair)(?:(?&s),(?&s)(?&pair))*+)?+(?&s)\\})",
  "(?<any>true|false|null|(?&number)|(?&text)|(?&list)|(?&object)))",
  "\\A(?&any)\\z"
)
TEXT <- '"(?:[^"\\\\]++|\\\\.)*+"'

# A list of JSON documents, or of errors, for `count` queries. An error if there is not one output for each.
encode_outputs <- function(outputs, count) {
  if (is.data.frame(outputs)) stop("Model did not return a list: it returned a data.frame", call. = FALSE)
  if (is.factor(outputs)) outputs <- as.character(outputs)
  if (is.matrix(outputs)) outputs <- lapply(seq_len(nrow(outputs)), function(row) I(unname(outputs[row, ])))
  if (!is.list(outputs) && !is.character(outputs) && !is.numeric(outputs) && !is.logical(outputs)) {
    stop("Model did not return a list: it returned ", class(outputs)[1], " for a batch of ", count, call. = FALSE)
  }
  if (length(outputs) != count) {
    stop("Expected model to return ", count, " outputs, found ", length(outputs), " outputs", call. = FALSE)
  }
  lapply(outputs, function(output) tryCatch(json_output(output), error = identity))
}

json_output <- function(output) {
  if (is.null(output)) stop(NO_VALUE, call. = FALSE)
  if (is.character(output) && length(output) == 1 && !is.na(output) && !inherits(output, "AsIs")) {
    return(json_text(output))
  }
  json_value(output, 0)
}

# A text that is a JSON document goes as it is, any other one as a JSON string.
json_text <- function(text) {
  document <- gsub("^[ \t\r\n]+|[ \t\r\n]+$", "", enc2utf8(text), useBytes = TRUE)
  if (is_json(document)) document else json_string(text)
}

is_json <- function(text) {
  if (!grepl('^[{["0-9tfn-]', text, useBytes = TRUE)) return(FALSE) # most labels stop here
  if (!validUTF8(text) || !suppressWarnings(grepl(JSON, text, perl = TRUE, useBytes = TRUE))) return(FALSE)
  bare <- gsub(TEXT, "", text, perl = TRUE, useBytes = TRUE)
  numbers <- regmatches(bare, gregexpr("[0-9.]+[eE]\\+?[0-9]{3,}", bare, useBytes = TRUE))[[1]]
  if (any(is.infinite(as.numeric(numbers)))) return(FALSE) # beyond what readers of JSON take
  bytes <- charToRaw(bare)
  depth <- (bytes %in% charToRaw("[{")) - (bytes %in% charToRaw("]}"))
  max(0, cumsum(depth)) <= MAX_NESTING
}

json_string <- function(text) {
  text <- enc2utf8(text)
  if (!validUTF8(text)) stop("the model returned text that is not UTF-8", call. = FALSE)
  text <- gsub('(["\\\\])', "\\\\\\1", text, perl = TRUE, useBytes = TRUE)
  if (grepl("[\\x01-\\x1f]", text, perl = TRUE, useBytes = TRUE)) {
    for (code in 1:31) {
      text <- gsub(rawToChar(as.raw(code)), sprintf("\\u%04x", code), text, fixed = TRUE, useBytes = TRUE)
    }
  }
  paste0('"', text, '"')
}

# The shortest of 15, 16 or 17 digits that is this number.
json_numbers <- function(numbers) {
  if (any(!is.finite(numbers))) stop(NOT_FINITE, call. = FALSE)
  texts <- sprintf("%.15g", numbers)
  for (digits in 16:17) {
    inexact <- as.numeric(texts) != numbers
    texts[inexact] <- sprintf(paste0("%.", digits, "g"), numbers[inexact])
  }
  texts
}

# A vector of one element is that element, unless it is wrapped in I(); a list with names is an object.
json_value <- function(value, depth) {
  if (depth > MAX_NESTING) stop("the model returned what nests deeper than ", MAX_NESTING, " levels", call. = FALSE)
  if (is.null(value)) return("null")
  if (is.factor(value)) value <- as.character(value)
  parts <- if (is.list(value)) {
    vapply(value, json_value, "", depth = depth + 1)
  } else if (anyNA(value)) {
    stop(NOT_FINITE, call. = FALSE)
  } else if (is.character(value)) {
    vapply(value, json_string, "")
  } else if (is.logical(value)) {
    ifelse(value, "true", "false")
  } else if (is.numeric(value)) {
    json_numbers(value)
  } else {
    stop("the model returned ", class(value)[1], ", which JSON can't hold", call. = FALSE)
  }
  if (is.list(value) && !is.null(names(value))) {
    keys <- vapply(names(value), json_string, "")
    return(paste0("{", paste(keys, parts, sep = ":", collapse = ","), "}"))
  }
  if (!is.list(value) && length(value) == 1 && !inherits(value, "AsIs")) return(unname(parts))
  paste0("[", paste(parts, collapse = ","), "]")
}
