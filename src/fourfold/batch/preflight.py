"""The plan of a run: everything that can be found wrong before the first row is scored, with nothing written yet."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from fourfold.batch.extract.formats import format_of
from fourfold.batch.extract.source import Source, find_files
from fourfold.batch.job import WORK_FOLDER, Job
from fourfold.batch.load.staging import refuse_existing
from fourfold.batch.quarantine import belongs_to
from fourfold.batch.transform.columns import choose
from fourfold.codecs import FORMATS
from fourfold.errors import SinkError
from fourfold.package import canonical

if TYPE_CHECKING:
    from fourfold.predictor import Predictor

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """A run that has passed every check that needs no row to be scored.

    Attributes:
        job: the job.
        source: its files, pinned.
        target: the output.
        quarantine: where rows at fault go, if there are any.
        own_quarantine: whether a file that is there may be replaced, or removed where there are no such rows.
        report: where the run's report goes.
        run_key: 64 hexadecimal digits that name the work.
    """

    job: Job
    source: Source
    target: Path
    quarantine: Path
    own_quarantine: bool
    report: Path
    run_key: str


def plan(predictor: Predictor, job: Job) -> Plan:
    """Check a job against a package, its source and its output.

    Raises:
        OutputExists: the output or the quarantine is there already and may not be replaced.
        SourceError: the source cannot be read, or does not hold what the package and the job take.
        SinkError: the output or the quarantine cannot be where the job wants it.
        SignatureError: the job keeps or renames what the package's signature does not allow.
    """
    target = Path(job.output)
    refuse_existing(target, replace=job.replace)
    format_of(target, "output")
    files = find_files(job.source)
    _refuse_own_input(job, files, target, "output")
    side = target.parent / WORK_FOLDER
    quarantine = side / f"{target.name}.quarantine.jsonl"
    if job.quarantine is not None:
        quarantine = Path(job.quarantine)
        _refuse_own_input(job, files, quarantine, "quarantine")
    source = Source(files, choose(predictor.signature, job))
    run_key = _run_key(predictor, job, source)
    # What lies beside an output that is not there, or is to be replaced, is left over from an earlier one.
    own = job.quarantine is None or _is_own_quarantine(job, quarantine, target, run_key)
    return Plan(job, source, target, quarantine, own, side / f"{target.name}.run.json", run_key)


def _run_key(predictor: Predictor, job: Job, source: Source) -> str:
    work = {
        "digest": predictor.digest,
        "keep": list(job.keep),
        "output": job.output,
        "rename": dict(job.rename),
        "sources": [[pin.path, pin.size, pin.modified_ns] for pin in source.pins],
    }
    return hashlib.sha256(canonical(work)).hexdigest()


def _is_own_quarantine(job: Job, quarantine: Path, target: Path, run_key: str) -> bool:
    suffixes = FORMATS["json-lines"].suffixes
    if not quarantine.name.lower().endswith(suffixes):
        raise SinkError(f"the quarantine {quarantine} holds JSON lines: expected a name that ends in {suffixes[0]}")
    if os.path.realpath(quarantine) == os.path.realpath(target):
        raise SinkError(f"the quarantine and the output are one file, {target}")
    # An attempt that died before its output appeared may have left its quarantine: that one is this run's own.
    own = job.replace or belongs_to(quarantine, run_key)
    refuse_existing(quarantine, replace=own)
    return own


def _refuse_own_input(job: Job, files: Sequence[Path], path: Path, role: str) -> None:
    """Refuse to write what is being read, or what the next run would read as its input."""
    if path.exists() and any(path.samefile(file) for file in files):
        raise SinkError(f"the {role} {path} is a file of the source {job.source}; write to another file")
    written = Path(os.path.realpath(path.parent)) / path.name
    folder = Path(job.source)
    if folder.is_dir():
        inside = written.parent == folder.resolve()
    else:
        inside = not folder.exists() and _matches(written.parts, Path(job.source).resolve().parts)
    if inside:
        raise SinkError(f"the {role} {path} would be a file of the source {job.source} next time; write it elsewhere")


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a glob."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[start:], pattern[1:]) for start in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
