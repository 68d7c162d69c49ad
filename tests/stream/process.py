"""A stream as a process of its own: `python -m tests.stream.process ARGUMENTS`, which are `stream.Job`'s as JSON.

It ends like the command line will: 0 with a report in JSON on standard error's last line, or the error's exit status.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import threading
from typing import Any

from fourfold import stream
from fourfold.errors import FourfoldError
from tests.stream.model import predictor


def main() -> int:
    """Run the stream."""
    arguments: dict[str, Any] = json.loads(sys.argv[1])
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if "max_file" in arguments:
        size = arguments.pop("max_file")
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    source = stream.open_source(arguments.pop("source"), follow=arguments.pop("follow", False))
    limits = stream.Limits(**arguments.pop("limits", {}))
    try:
        job = stream.Job(source, **arguments, limits=limits)
        report = stream.run(predictor(), job, stop=stop)
    except FourfoldError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    print(json.dumps(report.to_json()), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
