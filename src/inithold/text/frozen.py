"""Sets fields of frozen structs during `__post_init__`."""

from __future__ import annotations


def set_field(struct: object, name: str, value: object) -> None:
    """Set a field of a frozen struct.

    Uses the field's descriptor, because `msgspec.structs.force_setattr` is not in every supported version.
    """
    getattr(type(struct), name).__set__(struct, value)
