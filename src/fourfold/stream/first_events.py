"""Look at the first events of a stream: a field that none of them has is a mistake, unless the job says otherwise."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from fourfold.codecs import Bounds, json_lines
from fourfold.errors import DecodeError, SourceError
from fourfold.signature import Field
from fourfold.signature.first_records import MAX_FIRST_RECORDS, describe_lacking
from fourfold.stream.lines import EventBatch
from fourfold.stream.sources.protocol import Source

__all__ = ["check_first_events"]


def check_first_events(
    batches: Iterable[EventBatch],
    source: Source,
    *,
    fields: Sequence[Field],
    absent: Collection[str],
    kept: Collection[str],
    bounds: Bounds,
) -> None:
    """Check that every field is in at least one of the first events.

    Of a source that goes on, what has come is judged, however little; but few events that have no key too many say
    nothing yet.

    Args:
        batches: the batches that are there; of very many events the first are looked at.
        source: where they come from.
        fields: the signature's inputs.
        absent: the fields that may be in none.
        kept: the keys that pass through.
        bounds: what an event may take once it is decoded.

    Raises:
        SourceError: a field is in none of the events and not in `absent`.
    """
    count = 0
    keys: dict[str, None] = {}
    for event in _first_events(batches, bounds):
        count += 1
        keys.update(dict.fromkeys(event))
    by_name = {field.name: field for field in fields}
    if by_name.keys() | set(kept) >= keys.keys() and count < MAX_FIRST_RECORDS and not source.ended:
        return
    problem = describe_lacking(by_name, keys, absent=absent, kept=kept, count=count, record="event")
    if problem is not None:
        raise SourceError(f"{source.name}: {problem}")


def _first_events(batches: Iterable[EventBatch], bounds: Bounds) -> Iterable[dict[str, object]]:
    """Yield the first events that can be decoded; what cannot be becomes a dead letter later."""
    count = 0
    for batch in batches:
        for line in batch.lines:
            if isinstance(line, bytes) and line and not line.isspace():
                try:
                    yield json_lines.decode_line(line, bounds, frozenset())
                except DecodeError:
                    continue
                count += 1
                if count == MAX_FIRST_RECORDS:
                    return
