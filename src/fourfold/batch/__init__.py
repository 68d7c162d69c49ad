"""The batch process (ETML): extract → transform → predict → load, in bounded memory, published whole or not at all."""

from fourfold.batch.job import Job
from fourfold.batch.report import Report
from fourfold.batch.run import OnProgress, run

__all__ = ["Job", "OnProgress", "Report", "run"]
