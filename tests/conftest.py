"""What all tests start from."""

import signal

# Ignored where the tests run in the background of a script, and then by every program that they start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
