"""An HTTP exchange that is interrupted at any moment."""

from __future__ import annotations

import socket

import pytest

from inithold.net.http import Request, _Connection


def test_one_that_is_interrupted_before_it_is_connected_ends_as_soon_as_it_is() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        connection = _Connection(Request("GET", url, {}, None, 100, lambda *_: True), 5)
        connection.interrupt()  # in the thread of a signal or a timer, where an exception would be a traceback
        with pytest.raises(TimeoutError):
            connection.connect()
        connection.close()
