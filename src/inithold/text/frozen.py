"""Sets fields of frozen structs while they are made."""

from __future__ import annotations


def set_field(struct: object, name: str, value: object) -> None:
    """Set a field of a frozen struct, in its `__post_init__`.

    By the descriptor of the field: `msgspec.structs.force_setattr` is not in every version that we take.
    """
    getattr(type(struct), name).__set__(struct, value)
