"""Say what an error of obstore means, in a line and without secrets."""

from __future__ import annotations

import os
import re

from fourfold.buckets.contract import MAX_REPORT_CHARACTERS
from fourfold.errors import printable

__all__ = ["safe_cause"]

#: The most characters of a cause in an error message.
MAX_CAUSE_CHARACTERS = 300
_ERROR_CODE = re.compile(r"<Code>(\w{1,60})</Code>", re.ASCII)
_SECRET_VARIABLE = re.compile(r"SECRET|TOKEN|KEY|SAS|PASSWORD|CREDENTIAL", re.ASCII)


def safe_cause(report: str) -> str:
    """Return the cause that an error of obstore names: one line without the request's query and without secrets.

    Args:
        report: the error's text, which can hold the whole request and the whole answer.
    """
    code = _ERROR_CODE.search(report)
    line = report.split("<?xml", 1)[0].split("\n", 1)[0][:MAX_REPORT_CHARACTERS]
    line = re.sub(r"//[^/\s@]+@", "//***@", re.sub(r"\?\S+", "?…", line)).strip(" :")
    for name, value in os.environ.items():
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")) and _SECRET_VARIABLE.search(name) and len(value) >= 8:
            line = line.replace(value, "***")
    # The server's own words are in it, and a terminal must not act on them.
    line = printable(line, MAX_CAUSE_CHARACTERS)
    return f"{line}: {code[1]}" if code and code[1] not in line else line
