# Deploys a function from a session of R: source("containers/r/deploy.R"), then clipper_deploy(...). Base R alone.
#
# Everything is in one local(), so that source() puts a single name into the workspace.

clipper_deploy <- local({
  WHOLE_NUMBERS <- c("num_replicas", "batch_size", "threads")
  PLAIN_R <- c("base", "methods", "datasets", "utils", "grDevices", "graphics", "stats") # what a container has attached

  # -- a function with all it needs -----------------------------------------------------------------------------------

  # saveRDS keeps the environment that a function was made in, but neither the workspace nor attached packages. This
  # copies what the function names of them, and what that names in turn, into an environment which is saved. Nothing
  # of the session's own is changed: environments between the function and the workspace are copied, too.
  self_contained <- function(func) {
    carried <- new.env(parent = globalenv())
    seen <- list(globalenv())
    twins <- list(carried)
    taken <- character()

    twin <- function(environment) {
      for (place in seq_along(seen)) if (identical(seen[[place]], environment)) return(twins[[place]])
      copy <- new.env(parent = twin(parent.env(environment)))
      seen <<- c(seen, environment) # before its contents, which may lead back to it
      twins <<- c(twins, copy)
      list2env(adopt_all(as.list.environment(environment, all.names = TRUE)), copy)
    }

    adopt <- function(value) {
      if (typeof(value) == "closure" && sees_workspace(environment(value))) {
        environment(value) <- twin(environment(value))
        for (name in names_of(value)) fetch(name)
      } else if (typeof(value) == "list") {
        value <- adopt_all(value)
      } else if (inherits(value, "formula") && sees_workspace(environment(value))) { # that of a fit evaluates in it
        environment(value) <- twin(environment(value))
        for (name in names_in(value)) fetch(name)
      }
      value
    }

    # Only what may need it is passed on: an argument that was not given is no value that R could pass.
    adopt_all <- function(values) {
      bare <- unclass(values)
      for (place in seq_along(bare)) {
        touched <- is.function(.subset2(bare, place)) || is.list(.subset2(bare, place)) || is.call(.subset2(bare, place))
        if (touched) bare[[place]] <- adopt(.subset2(bare, place))
      }
      oldClass(bare) <- oldClass(values)
      bare
    }

    fetch <- function(name) {
      for (found in c(name, s3_methods(name))) {
        if (exists(found, carried, inherits = FALSE)) next
        if (exists(found, globalenv(), inherits = FALSE)) {
          assign(found, get(found, globalenv()), carried) # before what it needs, which may lead back to it
          assign(found, adopt(get(found, carried)), carried)
          taken <<- c(taken, found)
        } else {
          for (place in added_places()) {
            if (exists(found, place, inherits = FALSE)) {
              assign(found, get(found, place), carried)
              break
            }
          }
        }
      }
    }

    func <- adopt(func)
    # A namespace is saved by its name and loaded with the function, and with it the package's methods for predict().
    assign(".packages", lapply(added_packages(), asNamespace), carried)
    if (length(taken)) message("Taken along from the workspace: ", paste(sort(taken), collapse = ", "))
    func
  }

  # Whether what a function looks up in the end is the workspace's, and not a package's or base R's alone.
  sees_workspace <- function(environment) {
    while (is.environment(environment) && !identical(environment, emptyenv()) &&
           !identical(environment, baseenv()) && !isNamespace(environment)) {
      if (identical(environment, globalenv())) return(TRUE)
      environment <- parent.env(environment)
    }
    FALSE
  }

  # The names that a function uses beside those of its arguments. Those it assigns are in it: it may read them before.
  names_of <- function(func) unique(names_in_function(formals(func), body(func)))

  names_in_function <- function(arguments, body) {
    setdiff(c(names_in_all(as.list(arguments)), names_in_all(list(body))), names(arguments))
  }

  names_in <- function(code) {
    if (is.symbol(code)) return(as.character(code))
    if (!is.call(code)) return(character())
    attributes(code) <- NULL # formulas have a class, and its methods
    head <- if (is.symbol(code[[1]])) as.character(code[[1]]) else ""
    switch(head,
      "::" = ,
      ":::" = character(),
      "$" = ,
      "@" = c(head, names_in(code[[2]])), # what comes behind is no variable
      "function" = names_in_function(code[[2]], code[[3]]),
      names_in_all(as.list(code))
    )
  }

  # Without the empty places, as in x[, 1].
  names_in_all <- function(parts) unlist(lapply(parts[nzchar(as.character(parts))], names_in))

  # Methods that the workspace has for a function: R finds them by name, so that no code names them.
  s3_methods <- function(name) {
    found <- ls(globalenv(), all.names = TRUE)
    found <- found[startsWith(found, paste0(name, "."))]
    found[vapply(found, exists, NA, envir = globalenv(), mode = "function", inherits = FALSE)]
  }

  # What is on the search path beside the workspace and what every R has there.
  added_places <- function() {
    lapply(setdiff(search(), c(".GlobalEnv", "Autoloads", "tools:rstudio", paste0("package:", PLAIN_R))), as.environment)
  }

  added_packages <- function() {
    found <- search()
    setdiff(sub("^package:", "", found[startsWith(found, "package:")]), PLAIN_R)
  }

  # -- arguments ------------------------------------------------------------------------------------------------------

  refuse <- function(...) {
    old <- options(warning.length = 8170) # or R cuts errors, of which the model's own words are a part
    on.exit(options(old))
    stop(..., call. = FALSE)
  }

  text <- function(what, value) {
    if (!is.character(value) || length(value) != 1 || is.na(value) || !nzchar(value)) {
      refuse(what, " must be a text, such as \"total\", not ", deparse(value, nlines = 1)[1])
    }
    value
  }

  number <- function(what, value) {
    if (!is.numeric(value) || length(value) != 1 || !is.finite(value)) {
      refuse(what, " must be a number, not ", deparse(value, nlines = 1)[1])
    }
    format(value, scientific = FALSE, digits = 15, trim = TRUE)
  }

  whole_number <- function(what, value) {
    written <- number(what, value)
    if (value != round(value)) refuse(what, " must be a whole number, not ", written)
    written
  }

  # Flags of the program for `options`; the sample goes by its standard input, as command lines are of limited length.
  flags <- function(options) {
    known <- c("sample", WHOLE_NUMBERS)
    given <- if (is.null(names(options))) rep("", length(options)) else names(options)
    unknown <- !given %in% known
    if (any(unknown)) {
      refuse("there is no option '", given[unknown][1], "': a function of R takes ", paste(known, collapse = ", "))
    }
    numbers <- given[given %in% WHOLE_NUMBERS]
    written <- vapply(numbers, function(name) whole_number(name, options[[name]]), "")
    names <- sprintf("--%s", gsub("_", "-", numbers))
    c(rbind(names, written), if (!is.null(options$sample)) c("--sample", "-"))
  }

  # -- the sample as JSON ---------------------------------------------------------------------------------------------

  # source() knows the file it reads; what it calls is evaluated in a frame below its own.
  read_from <- Filter(Negate(is.null), lapply(sys.frames(), function(frame) frame$ofile))
  outputs <- file.path(dirname(normalizePath(c(unlist(read_from), "deploy.R"), mustWork = FALSE)), "outputs.R")
  outputs <- outputs[file.exists(outputs)]
  if (!length(outputs)) stop("deploy.R must be read by source(), from the folder with the other files of the container")
  json <- new.env(parent = baseenv())
  sys.source(outputs[length(outputs)], json)

  as_json <- function(sample) {
    if (is.raw(sample)) return(json$json_string(base64(sample)))
    if (is.character(sample) && length(sample) == 1 && !is.na(sample)) return(json$json_string(sample))
    if (is.numeric(sample) && all(is.finite(sample))) return(json$json_value(I(as.vector(sample)), 0))
    refuse("sample must be one input: a vector of finite numbers, a text, or raw bytes, not ", deparse(sample, nlines = 1)[1])
  }

  base64 <- function(bytes) {
    padding <- -length(bytes) %% 3
    columns <- matrix(as.integer(c(bytes, raw(padding))), nrow = 3)
    bits <- columns[1, ] * 65536 + columns[2, ] * 256 + columns[3, ]
    digits <- rbind(bits %/% 262144, bits %/% 4096 %% 64, bits %/% 64 %% 64, bits %% 64)
    letters <- c(LETTERS, letters, 0:9, "+", "/")[digits + 1]
    letters[length(letters) + 1 - seq_len(padding)] <- "="
    paste(letters, collapse = "")
  }

  # -- the program that deploys ---------------------------------------------------------------------------------------

  run <- function(python, arguments, input) {
    if (!nzchar(Sys.which(python))) {
      refuse(python, " is not on the PATH: give the Python that Clipper is installed in, as python or CLIPPER_PYTHON")
    }
    # R warns of a program that failed, and cuts what it said.
    lines <- suppressWarnings(
      system2(python, shQuote(c("-m", "clipper_admin.deployers.r", arguments)), TRUE, TRUE, stdin = input)
    )
    Encoding(lines) <- "UTF-8"
    failed <- !is.null(attr(lines, "status"))
    error <- if (failed) grep("^Error: ", lines)[1] else NA
    for (line in if (is.na(error)) lines else lines[seq_len(error - 1)]) message(line)
    if (!failed) return()
    if (any(grepl("No module named '?clipper_admin", lines))) {
      refuse(python, " has no Clipper: give the Python that it is installed in, as python or CLIPPER_PYTHON")
    }
    if (is.na(error)) refuse("the deploy failed: ", c(lines, "")[max(1, length(lines))])
    refuse(sub("^Error: ", "", paste(lines[error:length(lines)], collapse = "\n")))
  }

  # Deploys `func`, a function of a batch, to a cluster of this machine. README.md says what it gets and returns.
  #
  # `...`: sample, one input that it must answer first; num_replicas; batch_size; threads, of numeric libraries.
  # `home`: the folder of all clusters, if it is not ~/.clipper. `python`: the one that Clipper is installed in.
  # Stops with what failed; nothing is left deployed then.
  function(name, version, input_type, func, cluster = "default-cluster", home = NULL,
           python = Sys.getenv("CLIPPER_PYTHON", "python3"), ...) {
    if (!is.function(func)) refuse("func is a ", class(func)[1], ", not a function")
    model <- c(text("name", name), if (is.numeric(version)) number("version", version) else text("version", version))
    where <- c("--cluster", text("cluster", cluster), if (!is.null(home)) c("--home", path.expand(text("home", home))))
    options <- list(...)
    arguments <- c(where, flags(options), "--", model, text("input_type", input_type))
    text("python", python)

    folder <- tempfile("clipper-")
    dir.create(folder)
    on.exit(unlink(folder, recursive = TRUE))
    saved <- file.path(folder, "func.rds")
    saveRDS(self_contained(func), saved)
    input <- if (is.null(options$sample)) "/dev/null" else file.path(folder, "sample.json")
    if (!is.null(options$sample)) writeLines(as_json(options$sample), input, useBytes = TRUE)
    run(python, c(arguments, saved), input)
    invisible()
  }
}, envir = new.env(parent = baseenv()))
