"""The version of Clipper, and where its images would be found."""

import os

__version__ = "0.1.0"
__registry__ = os.environ.get("CLIPPER_REGISTRY", "clipper")
