"""Tell installed distributions from a user's own modules, and record and check those that a package needs.

A module belongs to a distribution where the distribution's list of files (`RECORD`) names its file. An editable install
names none of its sources, so its modules count as the user's own, as do the user's parts of a namespace package.

A distribution is recorded with its version and with a hash of what it installed: its Python files and the data beside
them. Compiled files have a hash of their own, which is compared on the same platform only. Folders of tests, sources of
compiled code and stubs are left out, because images of servers often lack them. A distribution with more than 64 MiB
of data is recorded without the data, and one with more than 64 MiB of compiled files without these.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from fourfold.durable.reading import open_file
from fourfold.errors import PackageError, PackError

__all__ = [
    "DRIVEN_LIBRARIES",
    "Environment",
    "canonical_name",
    "check_distributions",
    "file_of",
    "is_compiled",
    "locate",
    "own_version",
    "record_distributions",
]

#: Top-level modules of the libraries that Fourfold drives, and of what these need themselves. The manifest names the
#: versions of those that computed the answers, and the golden rows tell whether others give the same.
DRIVEN_LIBRARIES = frozenset(
    [
        *("catboost", "dateutil", "fourfold", "joblib", "lightgbm", "msgspec", "narwhals", "numpy", "onnx"),
        *("onnxruntime", "pandas", "polars", "pyarrow", "pytz", "scipy", "six", "skl2onnx", "sklearn", "skops"),
        *("threadpoolctl", "tzdata", "tzlocal", "xgboost"),
    ]
)
_MAX_DATA_BYTES = 64 * 2**20
_MAX_COMPILED_BYTES = 64 * 2**20
_COMPILED_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
#: Files that decide about no answer.
_IGNORED_SUFFIXES = frozenset(
    [".pyc", ".pyo", ".pyi", ".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".h", ".hpp", ".md", ".rst", ".typed", ".a"]
)
_IGNORED_FOLDERS = frozenset(["__pycache__", "test", "tests", "docs", "doc", "examples", "include"])
#: The bytes of a file that are read and hashed at once.
_PIECE_BYTES = 2**20
_METADATA_FOLDER = re.compile(r".*\.(dist-info|egg-info|data)", re.ASCII)

Origin = Literal["python", "driven", "distribution", "own"]


@dataclass(frozen=True)
class _Fingerprint:
    """Hold the hash of some files of a distribution, and how many they are."""

    files: int
    sha256: str


@dataclass
class Environment:
    """Look up the installed distributions of this process; lists of files that were read are kept.

    An object is made for each packing and each check, so that what is installed in between is seen.
    """

    _entries: dict[Path, list[tuple[metadata.Distribution, str | None]]] = field(default_factory=dict)

    def origin(self, module: str, file: Path | None) -> Origin:
        """Return whose a module is: Python's, a driven library's, an installed distribution's, or the user's own.

        Args:
            module: the module's name.
            file: its file; `None` for one that is built in, or for a namespace package.
        """
        top = module.partition(".")[0]
        if file is None:
            return "python" if top in sys.stdlib_module_names or top in sys.builtin_module_names else "own"
        if _is_standard(file):
            return "python"
        if top in DRIVEN_LIBRARIES:
            return "driven"
        return "own" if self.owner(file) is None else "distribution"

    def owner(self, file: Path) -> metadata.Distribution | None:
        """Return the installed distribution that lists a file as one of its own, or `None`."""
        for entry in dict.fromkeys(Path(path or ".") for path in sys.path):
            for folder in dict.fromkeys((entry.absolute(), entry.resolve())):
                if not file.is_relative_to(folder):
                    continue
                relative = file.relative_to(folder).as_posix()
                for distribution, listing in self._distributions(folder):
                    if _lists(distribution, listing, relative):
                        return distribution
        return None

    def _distributions(self, folder: Path) -> list[tuple[metadata.Distribution, str | None]]:
        """Return the distributions of a folder of `sys.path`, each with its list of files as text where it has one."""
        if folder not in self._entries:
            distributions = metadata.distributions(path=[str(folder)])
            self._entries[folder] = [(one, one.read_text("RECORD")) for one in distributions]
        return self._entries[folder]


def locate(module: str) -> ModuleSpec | None:
    """Return where an import would find a module, without importing anything; `None` where it would find none.

    A module that is imported already is found where it came from.
    """
    imported = sys.modules.get(module)
    if imported is not None:
        spec: ModuleSpec | None = getattr(imported, "__spec__", None)
        if spec is not None:
            return spec
        file = getattr(imported, "__file__", None)
        return importlib.util.spec_from_file_location(module, file) if file else None
    parent, _, _ = module.rpartition(".")
    if not parent:
        try:
            return importlib.util.find_spec(module)
        except (ImportError, ValueError):
            return None
    package = locate(parent)
    if package is None or package.submodule_search_locations is None:
        return None
    return PathFinder.find_spec(module, list(package.submodule_search_locations))


def file_of(spec: ModuleSpec | None) -> Path | None:
    """Return the file of a module, `None` where it is built in, frozen or a namespace package."""
    if spec is None or spec.origin in (None, "built-in", "frozen", "namespace"):
        return None
    return Path(str(spec.origin)).absolute()


def is_compiled(file: Path) -> bool:
    """Return whether a file is a compiled extension module."""
    return file.name.endswith(tuple(EXTENSION_SUFFIXES))


def record_distributions(modules: Iterable[str], environment: Environment) -> dict[str, dict[str, Any]]:
    """Return the distributions that modules come from, as the manifest records them (docs/spec/package.md).

    Args:
        modules: the names of imported modules; those of Python, of driven libraries and of the user are left out.
        environment: the installed distributions.

    Raises:
        PackError: a file of a distribution cannot be read.
    """
    owners: dict[str, metadata.Distribution] = {}
    used: dict[str, set[str]] = {}
    for module in sorted(modules):
        file = file_of(locate(module))
        if file is None or environment.origin(module, file) != "distribution":
            continue
        distribution = environment.owner(file)
        assert distribution is not None
        name = _canonical_name(distribution)
        owners[name] = distribution
        used.setdefault(name, set()).add(module)
    try:
        return {name: _record(owners[name], sorted(used[name])) for name in sorted(owners)}
    except OSError as error:
        raise PackError(f"a file of an installed distribution cannot be read: {error}") from error


def check_distributions(recorded: Mapping[str, Mapping[str, Any]]) -> None:
    """Check that this host has the distributions that a package needs, in the same version and with the same files.

    Args:
        recorded: the distributions as the manifest records them.

    Raises:
        PackageError: a distribution is missing, has another version or other files, or another module stands in front
            of it on `sys.path`.
    """
    environment = Environment()
    for name, record in recorded.items():
        version, distribution = record["version"], None
        way_out = f"install {name}=={version} here, or pack the model anew with what is here"
        for module in record["modules"]:
            file = file_of(locate(module))
            if file is None:
                raise PackageError(
                    f"the package needs the module {module} of the distribution {name} {version}, which is not "
                    f"installed here: {way_out}"
                )
            distribution = environment.owner(file)
            if distribution is None or _canonical_name(distribution) != name:
                raise PackageError(
                    f"the package needs the module {module} of the distribution {name} {version}; here {file} stands "
                    f"in its place, which is none of its files: remove it from sys.path (PYTHONPATH), or {way_out}"
                )
            if distribution.version != version:
                raise PackageError(
                    f"the package needs the distribution {name} {version}; got {name} {distribution.version} in "
                    f"{distribution.locate_file('')}: {way_out}"
                )
        if distribution is not None:
            _check_files(name, record, distribution, way_out)


def _check_files(name: str, record: Mapping[str, Any], distribution: metadata.Distribution, way_out: str) -> None:
    """Check that a distribution's files are those that were recorded."""
    try:
        here = _record(distribution, record["modules"])
    except OSError as error:
        raise PackageError(f"a file of the distribution {name} cannot be read: {error}: {way_out}") from error
    same_platform = here.get("platform") == record.get("platform")
    for key in ("sha256", "compiled") if same_platform else ("sha256",):
        if here.get(key) == record.get(key):
            continue
        kind = "compiled files" if key == "compiled" else "files"
        changed = _changed_since_installation(distribution)
        what = f"{', '.join(changed)} changed after it was installed" if changed else "it is another build"
        raise PackageError(
            f"the {kind} of the distribution {name} {record['version']} in {distribution.locate_file('')} are not "
            f"those that the model was packed with ({what}): expected the hash {str(record.get(key))[:16]}…, got "
            f"{str(here.get(key))[:16]}…: {way_out}, with pip install --force-reinstall where its files were changed"
        )


def _record(distribution: metadata.Distribution, modules: list[str]) -> dict[str, Any]:
    """Return a distribution as the manifest records it; raise `OSError` where a file cannot be read."""
    sources, data, compiled = _files(distribution)
    data_bytes = sum(file.stat().st_size for _, file in data)
    compiled_bytes = sum(file.stat().st_size for _, file in compiled)
    fingerprint = _fingerprint([*sources, *(data if data_bytes <= _MAX_DATA_BYTES else ())])
    record: dict[str, Any] = {
        "version": distribution.version,
        "modules": modules,
        "files": fingerprint.files,
        "sha256": fingerprint.sha256,
    }
    if compiled and compiled_bytes <= _MAX_COMPILED_BYTES:
        record |= {"compiled": _fingerprint(compiled).sha256, "platform": _platform()}
    return record


_Files = list[tuple[str, Path]]


def _files(distribution: metadata.Distribution) -> tuple[_Files, _Files, _Files]:
    """Return the Python files, data files and compiled files of a distribution, by their names in its list."""
    sources: _Files = []
    data: _Files = []
    compiled: _Files = []
    for path in distribution.files or ():
        parts = PurePosixPath(path).parts
        is_outside = ".." in parts or PurePosixPath(path).is_absolute()
        if is_outside or _METADATA_FOLDER.fullmatch(parts[0]) or _IGNORED_FOLDERS.intersection(parts[:-1]):
            continue
        file = Path(str(distribution.locate_file(path)))
        suffix = file.suffix.lower()
        if suffix in _IGNORED_SUFFIXES or not file.is_file():
            continue
        is_library = suffix in _COMPILED_SUFFIXES or ".so." in file.name
        (sources if suffix == ".py" else compiled if is_library else data).append(
            (PurePosixPath(path).as_posix(), file)
        )
    return sources, data, compiled


def _fingerprint(files: Iterable[tuple[str, Path]]) -> _Fingerprint:
    total, count = hashlib.sha256(), 0
    for name, file in sorted(files):
        total.update(f"{name}\0{_digest(file).hex()}\n".encode())
        count += 1
    return _Fingerprint(count, total.hexdigest())


def _changed_since_installation(distribution: metadata.Distribution, limit: int = 3) -> list[str]:
    """Return the first files that differ from the hashes which the installer wrote into the distribution's list."""
    changed = []
    hashes = {PurePosixPath(path).as_posix(): path.hash for path in distribution.files or ()}
    for name, file in sorted([one for kind in _files(distribution) for one in kind]):
        expected = hashes.get(name)
        if expected is None or expected.mode != "sha256":
            continue
        if _url_safe_hash(file) != expected.value:
            changed.append(name)
    return changed if len(changed) <= limit else [*changed[:limit], f"and {len(changed) - limit} more"]


def _url_safe_hash(file: Path) -> str:
    import base64

    return base64.urlsafe_b64encode(_digest(file)).rstrip(b"=").decode()


def _digest(file: Path) -> bytes:
    """Return the SHA-256 of a regular file, which is read piece by piece."""
    with open_file(file) as opened:
        total = hashlib.sha256()
        while piece := opened.read(_PIECE_BYTES):
            total.update(piece)
        return total.digest()


def _lists(distribution: metadata.Distribution, listing: str | None, relative: str) -> bool:
    """Return whether a distribution lists a file; `listing` is its list as text, which is searched first."""
    if listing is None:  # an old form of metadata, which may name the top-level modules alone
        top_level = distribution.read_text("top_level.txt") or ""
        return PurePosixPath(relative.partition("/")[0]).stem in top_level.split()
    return relative in listing and any(PurePosixPath(path).as_posix() == relative for path in distribution.files or ())


def _is_standard(file: Path) -> bool:
    """Return whether a file belongs to Python's standard library."""
    paths = sysconfig.get_paths()
    folders = {Path(paths[key]) for key in ("stdlib", "platstdlib")}
    others = {Path(paths[key]) for key in ("purelib", "platlib")}
    is_inside = any(_is_below(file, folder) for folder in folders)
    is_installed = any(_is_below(file, folder) for folder in others) or "site-packages" in file.parts
    return is_inside and not is_installed


def _is_below(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder) or file.resolve().is_relative_to(folder.resolve())


def canonical_name(name: str) -> str:
    """Return the normalised name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def own_version(name: str) -> tuple[str, bool]:
    """Return the version of an installed distribution, and whether it is the user's own: it lists no Python file.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    distribution = metadata.distribution(name)
    sources = [path for path in distribution.files or () if path.suffix == ".py" and "__editable__" not in path.name]
    return distribution.version, not sources


def _canonical_name(distribution: metadata.Distribution) -> str:
    return canonical_name(str(distribution.metadata["Name"]))


def _platform() -> str:
    """Return the platform that compiled files are made for."""
    return f"{sysconfig.get_platform()} {sys.implementation.cache_tag}"
