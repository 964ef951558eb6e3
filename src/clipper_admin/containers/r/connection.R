# A connection to one frontend, which comes back when it breaks: an environment, changed in place.
#
# phase: waiting (connects at the deadline), greeting, serving, leaving (GOODBYE is sent), ending (both said it), closed.

FIRST_RETRY <- 0.05
SLOWEST_RETRY <- 1
REFUSED_RETRY <- 5
GREETING_TIMEOUT <- 10
CONNECT_TIMEOUT <- 2 # seconds; connecting is the one thing here that waits, and the others wait with it
MAX_UNSENT <- 2 # a frontend has two batches in flight at most
CHUNK <- 8192 # bytes; what a socket that can be written to surely takes at once

now <- function() proc.time()[["elapsed"]]

new_connection <- function(address, hello) {
  list2env(list(
    host = address$host, port = address$port, hello = hello, name = paste0("tcp:", address$host, ":", address$port),
    phase = "waiting", deadline = now(), socket = NULL, leaving = FALSE, retry = FIRST_RETRY, welcomed = Inf,
    outage_logged = FALSE, last_refusal = "", unsent = list(), sent = 0
  ))
}

is_connected <- function(self) self$phase %in% c("greeting", "serving", "leaving", "ending")

wants_to_read <- function(self) is_connected(self) && length(self$unsent) < MAX_UNSENT && self$phase != "ending"

wants_to_write <- function(self) is_connected(self) && length(self$unsent) > 0

# Does what is due: connects, or gives up on a frontend that does not react.
tick <- function(self) {
  if (now() < self$deadline) return()
  if (self$phase == "waiting") connect(self) else if (is_connected(self)) fail(self, "no answer within 10 s")
}

connect <- function(self) {
  self$socket <- tryCatch(
    suppressWarnings(socketConnection(self$host, self$port, blocking = FALSE, open = "r+b", timeout = CONNECT_TIMEOUT)),
    error = function(error) NULL
  )
  if (is.null(self$socket)) return(fail(self, "no connection"))
  self$phase <- "greeting"
  self$deadline <- now() + GREETING_TIMEOUT
  expect_header(self)
  send(self, self$hello)
}

send <- function(self, message) {
  self$unsent <- c(self$unsent, list(message))
  flush_unsent(self)
}

# Sends what the socket takes at once.
flush_unsent <- function(self) {
  while (length(self$unsent) && socketSelect(list(self$socket), TRUE, 0)) {
    message <- self$unsent[[1]]
    count <- min(CHUNK, length(message) - self$sent)
    problem <- tryCatch({
      writeBin(message[self$sent + seq_len(count)], self$socket)
      NULL
    }, warning = conditionMessage, error = conditionMessage)
    if (!is.null(problem)) return(fail(self, problem))
    self$sent <- self$sent + count
    if (self$sent == length(message)) {
      self$unsent <- self$unsent[-1]
      self$sent <- 0
    }
  }
  if (self$phase == "ending" && !length(self$unsent)) finish(self)
}

# Both sides have said GOODBYE and everything is sent.
finish <- function(self) {
  if (self$leaving) disconnect(self) else fail(self, "it said goodbye")
}

leave <- function(self) {
  self$leaving <- TRUE
  if (self$phase %in% c("greeting", "serving")) {
    self$phase <- "leaving"
    self$deadline <- Inf
    send(self, encode_goodbye())
  } else if (!is_connected(self)) {
    disconnect(self)
  }
}

# Drops the connection, and makes another one later unless the container is leaving.
fail <- function(self, reason) {
  what <- if (is_connected(self)) "Lost" else "Can't reach"
  disconnect(self)
  if (self$leaving) return()
  if (!self$outage_logged) log_line(what, " the frontend at ", self$name, ": ", reason, "; connecting again until it works")
  self$outage_logged <- TRUE
  if (now() - self$welcomed >= SLOWEST_RETRY) self$retry <- FIRST_RETRY
  self$phase <- "waiting"
  self$deadline <- now() + self$retry
  self$retry <- min(2 * self$retry, SLOWEST_RETRY)
  self$welcomed <- Inf
}

disconnect <- function(self) {
  if (!is.null(self$socket)) close(self$socket)
  self$socket <- NULL
  self$unsent <- list()
  self$sent <- 0
  self$phase <- "closed"
}

# -- receiving ------------------------------------------------------------------------------------------------------

expect_header <- function(self) expect_bytes(self, HEADER, NULL)

# `frame`: the header that has come, or NULL if it is the header that is waited for.
expect_bytes <- function(self, count, frame) {
  self$missing <- count
  self$pieces <- list()
  self$frame <- frame
}

# Goes on after the socket can be read.
receive <- function(self, model) {
  if (is.null(self$socket)) return() # writing to it has just failed
  tryCatch({
    piece <- readBin(self$socket, "raw", self$missing)
    if (!length(piece)) broken("the frontend closed the connection")
    self$pieces <- c(self$pieces, list(piece))
    self$missing <- self$missing - length(piece)
    if (!self$missing) received(self, model, do.call(c, self$pieces))
  }, error = function(error) fail(self, conditionMessage(error)))
}

received <- function(self, model, bytes) {
  force(bytes) # before the pieces they are made of make room for the next message's
  if (is.null(self$frame)) {
    frame <- read_header(bytes)
    if (frame$length) return(expect_bytes(self, frame$length, frame))
    bytes <- raw()
  } else {
    frame <- self$frame
  }
  expect_header(self)
  react(self, model, frame, bytes)
}

react <- function(self, model, frame, payload) {
  kind <- names(KINDS)[match(frame$kind, KINDS)]
  serving <- self$phase %in% c("serving", "leaving")
  if (identical(kind, "BATCH") && serving) {
    send(self, answer(model, frame, payload))
  } else if (identical(kind, "WELCOME") && self$phase == "greeting") {
    welcomed(self)
  } else if (identical(kind, "REFUSED")) {
    refused(self, message_text(payload))
  } else if (identical(kind, "GOODBYE") && serving) {
    self$phase <- "ending"
    self$deadline <- now() + GREETING_TIMEOUT
    flush_unsent(self)
  } else if (!identical(kind, "WELCOME") || self$phase != "leaving") { # that one crossed our GOODBYE
    broken("it sent a message of kind ", frame$kind, " while we were ", self$phase)
  }
}

welcomed <- function(self) {
  self$phase <- "serving"
  self$deadline <- Inf
  self$welcomed <- now()
  self$outage_logged <- FALSE
  self$last_refusal <- ""
  log_line("Connected to the frontend at ", self$name)
}

refused <- function(self, reason) {
  disconnect(self)
  if (self$leaving) return()
  if (reason != self$last_refusal) {
    log_line("The frontend at ", self$name, " refused this model: ", reason, "; asking every 5 s")
  }
  self$last_refusal <- reason
  self$outage_logged <- TRUE
  self$phase <- "waiting"
  self$deadline <- now() + REFUSED_RETRY
}
