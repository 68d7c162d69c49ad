"""Answer every event of a stream as it comes.

job, limits, report      what to do, and what was done
run                      the loop: take events, predict, deliver, commit
sources/, sinks/         where events come from, and where answers go: files, pipes
lines                    bytes to lines
predict, passthrough     lines to answers and dead letters; fields copied from the event to its answer
delivery/                answers, dead letters and the position in the source, committed together
dead_letters             events without an answer
dead_letter_limit        how many of them stop a run
"""

from fourfold.stream.job import Job
from fourfold.stream.limits import Limits
from fourfold.stream.report import Report
from fourfold.stream.run import OnProgress, run
from fourfold.stream.sinks import open_sink
from fourfold.stream.sources import open_source

__all__ = ["Job", "Limits", "OnProgress", "Report", "open_sink", "open_source", "run"]
