import time


def eventually(check, timeout=15.0):
    """The first true value that ``check`` gives; fails when there has been none for ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {timeout} s"
        time.sleep(0.02)
