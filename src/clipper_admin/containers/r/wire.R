# The messages of docs/wire.md, without I/O. R has no unsigned integers: they are doubles here.

HEADER <- 24
MAX_PAYLOAD <- 2^30
MAX_OUTPUTS <- 2^27 # bytes; of OUTCOMES' 2^28, which leaves enough for the lengths
KINDS <- c(HELLO = 1, WELCOME = 2, REFUSED = 3, BATCH = 4, OUTCOMES = 5, GOODBYE = 6)

# The other end broke the protocol: the connection can't be used any more.
broken <- function(...) {
  stop(structure(class = c("broken", "error", "condition"), list(message = paste0(...), call = NULL)))
}

read_u32s <- function(bytes, count) {
  found <- as.numeric(readBin(bytes, "integer", count, size = 4, endian = "little"))
  found[is.na(found)] <- -2^31 # R takes this one for NA
  found + (found < 0) * 2^32
}

write_u32s <- function(numbers) {
  writeBin(as.integer(ifelse(numbers >= 2^31, numbers - 2^32, numbers)), raw(), size = 4, endian = "little")
}

read_header <- function(bytes) {
  numbers <- read_u32s(bytes, 6)
  if (numbers[1] > MAX_PAYLOAD || numbers[1] %% 8) {
    broken("a message announces ", numbers[1], " bytes: not a multiple of 8 up to ", MAX_PAYLOAD)
  }
  list(length = numbers[1], kind = as.integer(bytes[5]), batch = bytes[9:12], items = numbers[4], budget = numbers[5] / 1e6, id_bytes = numbers[6])
}

# `payload`: raw bytes. `batch`: four raw bytes, which go back as they came.
encode_message <- function(kind, payload = raw(), batch = raw(4), items = 0, micros = 0) {
  padding <- raw(-length(payload) %% 8)
  head <- write_u32s(c(length(payload) + length(padding), kind))
  c(head, batch, write_u32s(c(items, micros, 0)), payload, padding)
}

encode_hello <- function(json) encode_message(KINDS["HELLO"], charToRaw(json))

encode_goodbye <- function() encode_message(KINDS["GOODBYE"])

# `outcomes`: a list of raw vectors; `failed`: which of them are the texts of errors.
encode_outcomes <- function(batch, outcomes, failed, seconds) {
  lengths <- matrix(write_u32s(lengths(outcomes)), nrow = 4)
  lengths[4, failed] <- lengths[4, failed] | as.raw(0x80)
  payload <- c(as.raw(lengths), raw(4 * (length(outcomes) %% 2)), do.call(c, outcomes))
  encode_message(KINDS["OUTCOMES"], payload, batch, length(outcomes), min(floor(seconds * 1e6), 2^31 - 1))
}

# What the clients of a batch call their requests, one for each query, empty where they don't; or none.
read_request_ids <- function(payload, frame, items) {
  if (!frame$id_bytes) return(character())
  end <- if (frame$items) max(items$start + items$length) else 0
  if (end + frame$id_bytes > length(payload)) broken("the request ids of a message are longer than it is")
  text <- payload[end + seq_len(frame$id_bytes)]
  ids <- strsplit(paste0(rawToChar(text[text != 0]), "\n"), "\n", fixed = TRUE)[[1]]
  if (length(ids) != frame$items) broken(length(ids), " request ids for ", frame$items, " queries")
  ids
}

# Where in a batch's payload its items are: the offset of each, and its length.
locate_items <- function(payload, count) {
  offset <- 4 * count + (-4 * count) %% 8
  if (offset > length(payload)) broken("a message of ", length(payload), " bytes can't hold ", count, " items")
  lengths <- read_u32s(payload, count)
  if (offset + sum(lengths) > length(payload)) broken("the items of a message are longer than it is")
  list(start = offset + cumsum(c(0, lengths))[seq_len(count)], length = lengths)
}

message_text <- function(payload) {
  iconv(rawToChar(payload[payload != 0]), "UTF-8", "UTF-8", sub = "byte")
}
