# A model container in base R, as docs/wire.md describes it; container.sh runs it. Base R has no Unix sockets: TCP alone.
#
# Rscript container.R STOP PID: serves func.rds of CLIPPER_MODEL_PATH until the file STOP is there, or process PID is not.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)[1]))
for (name in c("wire.R", "outputs.R", "answers.R", "connection.R", "frontends.R")) source(file.path(here, name))

WAIT <- 0.1 # seconds between looks for the file; a message ends the wait at once
DRAIN_TIMEOUT <- 10
TYPES <- list(
  bytes = c("bytes", "byte", "b"),
  integers = c("integers", "ints", "integer", "int", "i"),
  floats = c("floats", "float", "f"),
  doubles = c("doubles", "double", "d"),
  strings = c("strings", "string", "strs", "str", "s")
)

# One event a line; an object of JSON where CLIPPER_LOG_FORMAT is json. `ids`: what clients call the requests it is about.
log_line <- function(..., level = "info", ids = character()) {
  levels <- c("debug", "info", "warning", "error")
  if (match(level, levels) < match(Sys.getenv("CLIPPER_LOG_LEVEL", "info"), levels, 2)) return(invisible())
  text <- iconv(enc2utf8(paste0(...)), "UTF-8", "UTF-8", sub = "?")
  line <- if (Sys.getenv("CLIPPER_LOG_FORMAT") == "json") {
    json_line(text, level, ids)
  } else {
    stamp <- sub(".", ",", format(Sys.time(), "%Y-%m-%d %H:%M:%OS3"), fixed = TRUE)
    about <- if (length(ids)) paste0(" (requests ", toString(ids), ")")
    indented(paste0(stamp, sprintf(" %-7s container: ", toupper(level)), text, about))
  }
  cat(paste0(line, collapse = ""), "\n", sep = "", file = stderr())
}

# Further lines of an event can't pass for an event of their own.
indented <- function(text) gsub("\r\n|[\r\n\v\f]", "\n    ", text)

json_line <- function(text, level, ids) {
  fields <- c(
    time = format(Sys.time(), "%Y-%m-%dT%H:%M:%OS3Z", tz = "UTC"), level = level, logger = "container", message = text,
    model = Sys.getenv("CLIPPER_MODEL_NAME"), version = Sys.getenv("CLIPPER_MODEL_VERSION"),
    replica = Sys.getenv("CLIPPER_REPLICA_ID")
  )
  members <- paste0('"', names(fields), '":', vapply(fields, json_string, ""))
  if (length(ids)) {
    members <- c(members, paste0('"request_ids":[', paste(vapply(ids, json_string, ""), collapse = ","), "]"))
  }
  paste0("{", paste(members, collapse = ","), "}")
}

variable <- function(name, otherwise = NULL) {
  found <- Sys.getenv(name)
  if (nzchar(found)) return(found)
  if (is.null(otherwise)) stop(name, " environment variable must be set", call. = FALSE)
  otherwise
}

input_type <- function(text) {
  known <- vapply(TYPES, function(aliases) tolower(trimws(text)) %in% aliases, NA)
  if (!any(known)) {
    stop("CLIPPER_INPUT_TYPE: ", text, " is none of ", paste(names(TYPES), collapse = ", "), call. = FALSE)
  }
  names(TYPES)[known]
}

# A list of host and port for each frontend that can be reached by TCP.
addresses <- function() {
  usual <- paste0("tcp:", variable("CLIPPER_IP", "127.0.0.1"), ":", variable("CLIPPER_PORT", "7000"))
  texts <- unique(trimws(strsplit(variable("CLIPPER_ADDRESS", usual), ",", fixed = TRUE)[[1]]))
  texts <- texts[nzchar(texts)]
  unix <- startsWith(texts, "unix:")
  if (any(unix)) log_line("Base R has no Unix sockets, left out: ", paste(texts[unix], collapse = ", "))
  pattern <- "^tcp:\\[?(.+?)\\]?:([0-9]{1,5})$"
  wrong <- texts[!unix & !grepl(pattern, texts, perl = TRUE)]
  if (length(wrong)) stop("CLIPPER_ADDRESS: '", wrong[1], "' is not an address: write tcp:host:port", call. = FALSE)
  if (all(unix)) stop("CLIPPER_ADDRESS must have a tcp:host:port: base R has no Unix sockets", call. = FALSE)
  lapply(texts[!unix], function(text) {
    list(host = sub(pattern, "\\1", text, perl = TRUE), port = as.integer(sub(pattern, "\\2", text, perl = TRUE)))
  })
}

read_settings <- function() {
  list(
    name = variable("CLIPPER_MODEL_NAME"),
    version = variable("CLIPPER_MODEL_VERSION"),
    path = variable("CLIPPER_MODEL_PATH"),
    type = input_type(variable("CLIPPER_INPUT_TYPE", "doubles")),
    replica = variable("CLIPPER_REPLICA_ID", "null"),
    addresses = addresses()
  )
}

hello <- function(settings) {
  sprintf(
    '{"protocol":1,"model_name":%s,"model_version":%s,"input_type":"%s","replica_id":%s,"pid":%d}',
    json_string(settings$name), json_string(settings$version), settings$type, settings$replica, Sys.getpid()
  )
}

load_model <- function(path) {
  func <- tryCatch(
    readRDS(file.path(path, "func.rds")),
    error = function(error) stop("func.rds is no file of saveRDS, or damaged: ", conditionMessage(error), call. = FALSE)
  )
  if (!is.function(func)) stop("func.rds holds a ", class(func)[1], ", not a function", call. = FALSE)
  func
}

# If there is such a file, it is one input, which the function must answer first: that finds faults, and warms it up.
try_sample <- function(func, type, file) {
  if (!file.exists(file)) return(invisible())
  bytes <- readBin(file, "raw", file.size(file))
  inputs <- decode_inputs(type, bytes, list(start = 0, length = length(bytes)), 1)
  failed <- function(error) stop("for the sample: ", conditionMessage(error), call. = FALSE)
  output <- encode_outputs(tryCatch(func(inputs), error = failed), 1)[[1]]
  if (inherits(output, "error")) stop("for the sample: ", conditionMessage(output), call. = FALSE)
  log_line("Tried on a sample")
}

# Waits for something to do, at most `longest` seconds, and does it.
step <- function(frontends, model, longest) {
  connections <- frontends$connections
  readers <- Filter(wants_to_read, connections)
  writers <- Filter(wants_to_write, connections)
  sockets <- lapply(c(readers, writers), function(each) each$socket)
  writes <- rep(c(FALSE, TRUE), c(length(readers), length(writers)))
  if (!length(sockets)) {
    Sys.sleep(longest)
  } else {
    ready <- socketSelect(sockets, writes, longest)
    for (each in writers[ready[writes]]) flush_unsent(each)
    for (each in readers[ready[!writes]]) receive(each, model)
  }
  tick_frontends(frontends)
}

# Whether the process is there, as far as the system has a file for each.
is_alive <- function(pid) file.exists(paste0("/proc/", pid)) || !file.exists("/proc/self")

serve <- function(settings, model, stop_file, parent) {
  frontends <- new_frontends(settings$addresses, encode_hello(hello(settings)))
  log_line("Serving predictions for ", settings$type, " input type.")
  while (!file.exists(stop_file) && is_alive(parent)) step(frontends, model, WAIT)
  log_line("Told to stop: saying goodbye to the frontends, answering what they still send")
  end <- now() + DRAIN_TIMEOUT
  leave_frontends(frontends)
  while (!have_left(frontends)) {
    if (now() > end) {
      log_line("Some frontends did not say goodbye within 10 s")
      break
    }
    step(frontends, model, WAIT)
  }
  log_line("Stopped")
}

main <- function(stop_file, parent) {
  options(warn = 1)
  loaded <- tryCatch({
    settings <- read_settings()
    log_line("Loading ", settings$name, ":", settings$version, " from ", settings$path, " (", R.version.string, ")")
    func <- load_model(settings$path)
    try_sample(func, settings$type, file.path(settings$path, "sample.bin"))
    list(settings, new_model(func, settings$type))
  }, error = function(error) {
    log_line("ERROR: ", conditionMessage(error), level = "error")
    quit(status = 1)
  })
  file.create(paste0(stop_file, ".serving"))
  serve(loaded[[1]], loaded[[2]], stop_file, parent)
  quit(status = 0)
}

main(commandArgs(TRUE)[1], commandArgs(TRUE)[2])
