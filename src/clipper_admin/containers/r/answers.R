# One batch: its inputs, the user's function, its outcomes. What the function does wrong ends here.

DEFAULT_BUDGET <- 1
MAX_ERROR_TEXT <- 2000
ELEMENTS <- list(
  bytes = list(what = "raw", size = 1),
  integers = list(what = "integer", size = 4),
  floats = list(what = "numeric", size = 4),
  doubles = list(what = "numeric", size = 8)
)

new_model <- function(func, type) list(func = func, type = type)

# The OUTCOMES message for a batch. `broken` if it is malformed.
answer <- function(model, frame, payload) {
  began <- now()
  items <- locate_items(payload, frame$items)
  items$ids <- read_request_ids(payload, frame, items)
  give_up <- began + if (frame$budget > 0) frame$budget else DEFAULT_BUDGET
  outputs <- if (frame$items) predict_part(model, payload, items, seq_len(frame$items), give_up) else list()
  failed <- vapply(outputs, inherits, NA, what = "error")
  outcomes <- lapply(outputs, function(each) if (inherits(each, "error")) error_text(each) else charToRaw(each))
  if (sum(lengths(outcomes)) > MAX_OUTPUTS) {
    outcomes[] <- list(charToRaw(paste("the outputs of this batch take more than", MAX_OUTPUTS, "bytes")))
    failed[] <- TRUE
  }
  encode_outcomes(frame$batch, outcomes, which(failed), now() - began)
}

# When the function fails, halves find the culprits, as long as the batch has time.
predict_part <- function(model, payload, items, part, give_up) {
  count <- length(part)
  # What it returned is told from what it raised: outputs of a wrong number are not asked for again.
  returned <- tryCatch(list(model$func(decode_inputs(model$type, payload, items, part))), error = function(error) {
    ids <- items$ids[part]
    text <- paste0("The model failed on a batch of ", count, ": ", conditionMessage(error))
    log_line(text, level = "error", ids = ids[!is.na(ids) & nzchar(ids)])
    error
  })
  if (!inherits(returned, "error")) {
    return(tryCatch(encode_outputs(returned[[1]], count), error = function(error) rep(list(error), count)))
  }
  if (count == 1) return(list(returned))
  middle <- count %/% 2
  c(
    retry(model, payload, items, part[seq_len(middle)], give_up, returned),
    retry(model, payload, items, part[(middle + 1):count], give_up, returned)
  )
}

retry <- function(model, payload, items, part, give_up, failure) {
  if (now() > give_up) rep(list(failure), length(part)) else predict_part(model, payload, items, part, give_up)
}

# Texts are a character vector; numbers and bytes a list of vectors, which are read at once, as they lie side by side.
decode_inputs <- function(type, payload, items, part) {
  lengths <- items$length[part]
  total <- sum(lengths)
  bytes <- payload[items$start[part[1]] + seq_len(total)]
  starts <- cumsum(c(0, lengths))[seq_along(lengths)]
  if (type == "strings") return(mapply(decode_text, starts, lengths, MoreArgs = list(bytes = bytes)))
  element <- ELEMENTS[[type]]
  if (any(lengths %% element$size != 0)) stop("an input is not a whole number of ", type)
  all <- if (type == "bytes") bytes else {
    readBin(bytes, element$what, total / element$size, size = element$size, endian = "little")
  }
  mapply(
    function(start, length) all[start + seq_len(length)],
    starts / element$size, lengths / element$size,
    SIMPLIFY = FALSE
  )
}

# What is not UTF-8, as half a surrogate pair, is replaced; a zero byte, which texts of R can't hold, is an error.
decode_text <- function(start, length, bytes) {
  text <- rawToChar(bytes[start + seq_len(length)])
  Encoding(text) <- "UTF-8"
  if (validUTF8(text)) text else iconv(text, "UTF-8", "UTF-8", sub = "?")
}

error_text <- function(error) {
  text <- iconv(enc2utf8(conditionMessage(error)), "UTF-8", "UTF-8", sub = "?")
  charToRaw(if (nchar(text) > MAX_ERROR_TEXT) paste0(substr(text, 1, MAX_ERROR_TEXT), "...") else text)
}
