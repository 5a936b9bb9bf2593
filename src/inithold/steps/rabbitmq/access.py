"""Who logs in where: the parts of an address that AMQP and the management API read alike."""

from __future__ import annotations

from typing import NamedTuple

from inithold.steps.address import Address


class Login(NamedTuple):
    """A user's name and password.

    Attributes:
        user: as the broker knows it.
        password: as it is; never shown.
    """

    user: str
    password: str


def login(address: Address) -> Login:
    """The user of an address; `guest` where it names none, as the AMQP URI specification leaves to the client."""
    if address.user is None:
        return Login("guest", "guest")
    return Login(address.user, address.password or "")


def virtual_host(address: Address) -> str:
    """The virtual host of an AMQP address: `/` where its path is empty.

    The AMQP URI specification calls the virtual host of `amqp://host/` the empty one. No broker has it, and every
    client that stacks use takes such a URL for the default virtual host, so that is meant.
    """
    return address.database or "/"
