# The query frontends: a connection to each that the addresses name. A name may mean several, and others later.

RESOLVE_INTERVAL <- 10
RESOLVE_INTERVAL_MISSING <- 2
MISSED_SECONDS <- 60 # a frontend that is started again is not named meanwhile: for so long it is looked out for

# `addresses`: a list of host and port each. Changed in place.
new_frontends <- function(addresses, hello) {
  self <- list2env(list(
    addresses = addresses, hello = hello, connections = list(), leaving = FALSE, resolved = -Inf, missed = -Inf
  ))
  follow_names(self)
  self
}

# Does what is due: looks names up again, connects, gives up on what does not react.
tick_frontends <- function(self) {
  missing <- now() - self$missed < MISSED_SECONDS || !all(vapply(self$connections, is_connected, NA))
  interval <- if (missing) RESOLVE_INTERVAL_MISSING else RESOLVE_INTERVAL
  if (!self$leaving && now() - self$resolved >= interval) follow_names(self)
  for (each in self$connections) tick(each)
}

# Adds connections to new frontends; drops those that are no longer named and don't work either.
follow_names <- function(self) {
  self$resolved <- now()
  wanted <- unique(do.call(c, lapply(self$addresses, endpoints)))
  known <- vapply(self$connections, function(each) each$name, "")
  names_wanted <- vapply(wanted, endpoint_name, "")
  gone <- !known %in% names_wanted & !vapply(self$connections, is_connected, NA)
  if (any(gone)) self$missed <- now()
  for (each in self$connections[gone]) disconnect(each)
  self$connections <- c(
    self$connections[!gone], lapply(wanted[!names_wanted %in% known], new_connection, hello = self$hello)
  )
}

endpoint_name <- function(endpoint) paste0("tcp:", endpoint$host, ":", endpoint$port)

# What an address means now. Base R looks up one address of a name; the system's own tool, where it is there, all.
endpoints <- function(address) {
  if (grepl("^[0-9.]+$", address$host) || grepl(":", address$host) || !nzchar(Sys.which("getent"))) return(list(address))
  lines <- suppressWarnings(system2("getent", c("ahostsv4", shQuote(address$host)), stdout = TRUE, stderr = FALSE))
  found <- unique(sub(" .*", "", lines))
  if (!length(found)) return(list(address)) # to connect to it will say why
  lapply(found, function(host) list(host = host, port = address$port))
}

leave_frontends <- function(self) {
  self$leaving <- TRUE
  for (each in self$connections) leave(each)
}

have_left <- function(self) all(vapply(self$connections, function(each) each$phase == "closed", NA))
