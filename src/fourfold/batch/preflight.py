"""Find all errors of a batch run that can be found before its first row is predicted; write nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from fourfold.batch.extract.formats import detect_format
from fourfold.batch.extract.source import SourceFiles, find_source_files
from fourfold.batch.job import WORK_FOLDER, Job
from fourfold.batch.load.staging import refuse_existing
from fourfold.batch.quarantine import belongs_to_run
from fourfold.batch.transform.columns import map_columns
from fourfold.codecs import FORMATS, Bounds
from fourfold.errors import SinkError
from fourfold.package import canonical_json
from fourfold.signature.label_columns import LabelColumns

if TYPE_CHECKING:
    from fourfold.predictor import Predictor

__all__ = ["Preflight", "preflight"]


@dataclass(frozen=True)
class Preflight:
    """Hold what the checks before a run have found.

    Attributes:
        job: the job.
        source: its source files, with their states.
        target: the path of the output.
        quarantine: the path for rows at fault, if there are any.
        owns_quarantine: whether a quarantine at that path may be replaced, or removed where no row is at fault.
        report: the path of the run's report.
        run_key: 64 hexadecimal digits that name the work.
        label_columns: what splits outputs with labels into columns; `None` where they stay arrays.
    """

    job: Job
    source: SourceFiles
    target: Path
    quarantine: Path
    owns_quarantine: bool
    report: Path
    run_key: str
    label_columns: LabelColumns | None = None


def preflight(predictor: Predictor, job: Job) -> Preflight:
    """Check a job against a package, its source and its output, as far as possible without predicting a row.

    Raises:
        OutputExists: the output or the quarantine exists and may not be replaced.
        SourceError: the source cannot be read, or lacks a column that the package or the job needs.
        SinkError: the output or the quarantine cannot be written at its path.
        SignatureError: the job keeps or renames columns, or calls some absent, that the signature does not allow.
    """
    target = Path(job.output)
    refuse_existing(target, replace=job.replace)
    splits_labels = FORMATS[detect_format(target, "output")].splits_labels and not job.arrays
    label_columns = LabelColumns(predictor.signature.outputs) if splits_labels else None
    files = find_source_files(job.source)
    _refuse_own_input(job, files, target, "output")
    work_folder = target.parent / WORK_FOLDER
    quarantine = work_folder / f"{target.name}.quarantine.jsonl"
    if job.quarantine is not None:
        quarantine = Path(job.quarantine)
        _refuse_own_input(job, files, quarantine, "quarantine")
    mapping = map_columns(predictor.signature, job, label_columns)
    source = SourceFiles(files, mapping, Bounds(job.max_decoded_bytes))
    run_key = _run_key(predictor, job, source)
    # A quarantine in the work folder belongs to an output that does not exist, or that may be replaced.
    owns_quarantine = job.quarantine is None or _check_quarantine(job, quarantine, target, run_key)
    report = work_folder / f"{target.name}.run.json"
    return Preflight(job, source, target, quarantine, owns_quarantine, report, run_key, label_columns)


def _run_key(predictor: Predictor, job: Job, source: SourceFiles) -> str:
    work = {
        "digest": predictor.digest,
        "keep": list(job.keep),
        "output": job.output,
        "rename": dict(job.rename),
        **({"extra": job.extra} if job.extra != "ignore" else {}),
        **({"absent": sorted(job.absent)} if job.absent else {}),
        **({"arrays": True} if job.arrays else {}),
        "sources": [[state.path, state.size, state.modified_ns] for state in source.states],
    }
    return hashlib.sha256(canonical_json(work)).hexdigest()


def _check_quarantine(job: Job, quarantine: Path, target: Path, run_key: str) -> bool:
    """Check the path that the job names for its quarantine; return whether a file there may be replaced."""
    suffixes = FORMATS["json-lines"].suffixes
    if not quarantine.name.lower().endswith(suffixes):
        raise SinkError(f"the quarantine {quarantine} holds JSON lines: expected a name that ends in {suffixes[0]}")
    if os.path.realpath(quarantine) == os.path.realpath(target):
        raise SinkError(f"the quarantine and the output are one file, {target}")
    # An earlier attempt of this run that died before it published its output may have left its quarantine.
    is_own = job.replace or belongs_to_run(quarantine, run_key)
    refuse_existing(quarantine, replace=is_own)
    return is_own


def _refuse_own_input(job: Job, files: Sequence[Path], path: Path, role: str) -> None:
    """Refuse to write a file that this run, or the next run of the same job, reads as its source."""
    if path.exists() and any(path.samefile(file) for file in files):
        raise SinkError(f"the {role} {path} is a file of the source {job.source}; write to another file")
    written = Path(os.path.realpath(path.parent)) / path.name
    folder = Path(job.source)
    if folder.is_dir():
        is_source = written.parent == folder.resolve()
    else:
        is_source = not folder.exists() and _matches(written.parts, Path(job.source).resolve().parts)
    if is_source:
        raise SinkError(f"the {role} {path} would be a file of the source {job.source} next time; write it elsewhere")


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path match the parts of a glob."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
