"""A model directory -> something that a container manager can run."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

_RUNTIME_MAIN = "from clipper.container.__main__ import main\n\nraise SystemExit(main())\n"


def write_runtime(target: Path) -> Path:
    """Writes the model container runtime as a zip application; equal sources give equal bytes.

    Any Python 3.11+ with numpy and cloudpickle runs it: ``python clipper-container.pyz``. Servers are not imported.

    Args:
        target: where to put the file; a file that is there is replaced in one step.

    Returns:
        ``target``.

    Raises:
        OSError: the file can't be written.
    """
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=target.name)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr(zipfile.ZipInfo("__main__.py"), _RUNTIME_MAIN)
            for name, source in _runtime_sources():
                archive.writestr(zipfile.ZipInfo(name), source.read_bytes())
        os.chmod(temporary, 0o755)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    return target


def _runtime_sources() -> Iterator[tuple[str, Path]]:
    """Name in the archive and file of each module that travels to the model's environment."""
    spec = importlib.util.find_spec("clipper")  # finds the files without running them
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    modules = ["__init__.py", "rpc/__init__.py", "rpc/wire.py", "rpc/frames.py"]
    container = package / "container"
    modules += sorted(each.relative_to(package).as_posix() for each in container.rglob("*.py"))
    for name in modules:
        yield f"clipper/{name}", package / name
