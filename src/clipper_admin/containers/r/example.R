# Rscript example.R DIRECTORY: saves the model that the conformance runner asks for.

sums <- local({
  check <- function(fails) if (fails) stop("asked to fail")

  function(inputs) {
    if (is.character(inputs)) { # strings
      check("fail" %in% inputs)
      return(inputs)
    }
    lapply(inputs, function(input) {
      input <- as.numeric(input) # bytes are raw; and sums of integers would overflow
      check(length(input) > 0 && input[1] == 99)
      c(length(input), sum(input))
    })
  }
}, envir = new.env(parent = baseenv()))

saveRDS(sums, file.path(commandArgs(TRUE)[1], "func.rds"))
