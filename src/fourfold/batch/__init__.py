"""Run models as a batch process: extract, transform, predict, load; the output is complete or absent."""

from fourfold.batch.job import Job
from fourfold.batch.report import Report
from fourfold.batch.run import OnProgress, run

__all__ = ["Job", "OnProgress", "Report", "run"]
