"""Where the ``clipper`` command begins. Ctrl-C is quiet while it imports all the rest."""

import sys


def main() -> None:
    """As ``clipper_admin.cli.main``; exits 130 if it is interrupted, while it starts, too."""
    try:
        from clipper_admin.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
