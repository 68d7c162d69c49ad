"""Judge the first records of a source: a field that none of them has is a mistake, unless the caller says otherwise.

A key may be absent from a record: it is missing there. Where no record has it, its name may be another in this source,
and every answer would be wrong without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fourfold.errors import shorten
from fourfold.signature.field import Field
from fourfold.signature.similar_names import similar_name

__all__ = ["MAX_FIRST_RECORDS", "describe_lacking"]

#: The most records that are looked at.
MAX_FIRST_RECORDS = 1_000
_MAX_NAMES = 12


def describe_lacking(
    fields: Mapping[str, Field],
    keys: Collection[str],
    *,
    absent: Collection[str],
    kept: Collection[str],
    count: int,
    record: str,
) -> str | None:
    """Return what is wrong where the first records lack a field, with the way out; `None` where nothing is.

    Args:
        fields: the fields, by the keys that hold them.
        keys: the keys that the records have, all together.
        absent: the fields that none needs to have.
        kept: the keys that pass through.
        count: the number of records.
        record: the word for one of them.
    """
    lacking = {key: field for key, field in fields.items() if key not in keys and field.name not in absent}
    if not count or not lacking:
        return None
    others = [key for key in keys if key not in fields and key not in kept]
    first = f"its first {record} has not" if count == 1 else f"none of its first {count:,} {record}s has"
    ignored = f"They have the keys {_listed(others)}, which are no fields" if others else "No other key is there"
    sentences = [f"{first} {_listed(list(lacking))}", ignored]
    for key in list(lacking)[:_MAX_NAMES]:
        similar = similar_name(key, others)
        sentences += [] if similar is None else [f"{shorten(similar)} may be meant for {shorten(key)}"]
    nullable = [field.name for field in lacking.values() if field.nullable]
    way = "Rename the keys in the source"
    if nullable:
        way += f"; or say which fields are missing in every {record}: --absent {','.join(nullable[:_MAX_NAMES])}"
    return ". ".join([*sentences, way])


def _listed(names: Sequence[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > _MAX_NAMES else ""
    return ", ".join(shorten(name) for name in names[:_MAX_NAMES]) + more
