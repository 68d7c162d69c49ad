"""The streaming process: every event is answered as it comes.

source      where events come from: a file, standard input; poll, then drain
scorer      lines → answers and dead letters, by the predictor
delivery    answers, dead letters and the place in the source, committed together
processor   `run`: the loop that joins them
"""

from fourfold.stream.run import Report, run
from fourfold.stream.sinks.files import open_sink
from fourfold.stream.sources.files import Limits, open_source

__all__ = ["Limits", "Report", "open_sink", "open_source", "run"]
