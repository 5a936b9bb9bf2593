"""A private RabbitMQ with its management API: its own node name, ports, epmd, cookie and data.

with RabbitMQ() as server:
    vhost = server.create_vhost()
    url = server.url(vhost)
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from servers.ports import accepts, free_port, release_port
from servers.process import has_ended, kill, start, stop, wait_until
from servers.programs import program
from servers.run import children, new_folder
from servers.server import Server

_CONFIGURATION = """\
listeners.tcp.1 = 127.0.0.1:{port}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management_port}
default_user = {user}
default_pass = {password}
loopback_users = none
log.file = false
log.console = true
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
"""


@dataclass
class RabbitMQ(Server):
    """A RabbitMQ node on 127.0.0.1. Starting takes 4 to 10 s: share one where a vhost of one's own is enough."""

    user: str = "admin"
    password: str = "pw-of-admin"
    port: int = 0
    management_port: int = 0
    folder: Path = Path()
    pid: int = 0
    epmd_port: int = 0
    epmd_pid: int = 0
    dist_port: int = 0

    def start(self) -> Self:
        """Start it, or start it again with the data and ports that it had."""
        self.start_without_waiting()
        wait_until(self.is_ready, pid=self.pid, log=self.log, seconds=120)
        return self

    def start_without_waiting(self) -> None:
        """Start it and return at once: it takes seconds until it serves."""
        if not self.port:
            self._create()
        if not self.epmd_pid:
            self._launch_epmd()
        self._launch()

    def stop(self) -> None:
        """Shut the broker down in order; clients are told."""
        erlang = next(iter(children(self.pid)), self.pid)
        os.kill(erlang, signal.SIGTERM)
        stop(self.pid, signal.SIGCONT, seconds=60)

    def kill(self) -> None:
        """Kill it: connections are reset without a word."""
        kill(self.pid)

    def restart(self) -> None:
        """Stop and start it on the same ports, with its durable objects."""
        self.stop()
        self.start()

    def url(
        self, vhost: str = "/", *, user: str | None = None, password: str | None = None, scheme: str = "amqp"
    ) -> str:
        """The AMQP URL of a virtual host, percent-encoded where needed."""
        return f"{scheme}://{self._credentials(user, password)}@127.0.0.1:{self.port}/{quote(vhost, safe='')}"

    def management_url(self, *, user: str | None = None, password: str | None = None) -> str:
        """The URL of the management API, with user and password."""
        return f"http://{self._credentials(user, password)}@127.0.0.1:{self.management_port}"

    def create_vhost(self, name: str | None = None, *, user: str | None = None) -> str:
        """Create a virtual host, with a new name unless given, that the user may do all in; returns the name."""
        name = name or f"vhost-{uuid4().hex[:12]}"
        self.api("PUT", f"/api/vhosts/{quote(name, safe='')}")
        self.allow(user or self.user, name)
        return name

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all that is in it."""
        self.api("DELETE", f"/api/vhosts/{quote(name, safe='')}")

    def create_user(self, name: str, password: str, *, tags: str = "") -> None:
        """Create a user; `tags` such as "administrator" or "management" open the management API to them."""
        self.api("PUT", f"/api/users/{quote(name, safe='')}", {"password": password, "tags": tags})

    def allow(self, user: str, vhost: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> None:
        """Give a user permissions, each a regular expression of object names, in a virtual host."""
        permissions = {"configure": configure, "write": write, "read": read}
        self.api("PUT", f"/api/permissions/{quote(vhost, safe='')}/{quote(user, safe='')}", permissions)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """Call the management API, such as `api("GET", "/api/queues/%2F")`, and return what it answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.management_port}{path}", method=method)
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data=data, timeout=30) as response:
            content = response.read()
        return json.loads(content) if content else None

    def is_ready(self) -> bool:
        """Do broker and management API both answer?"""
        if not accepts(self.port):
            return False
        try:
            self.api("GET", "/api/whoami")
        except (urllib.error.URLError, OSError):
            return False
        return True

    def close(self) -> None:
        """End it with its epmd and remove its data."""
        for pid in (self.pid, self.epmd_pid):
            if pid and not has_ended(pid):
                kill(pid)
        for port in (self.port, self.management_port, self.dist_port, self.epmd_port):
            release_port(port)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _credentials(self, user: str | None, password: str | None) -> str:
        return f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"

    def _create(self) -> None:
        self.folder = new_folder("rabbitmq")
        self.port, self.management_port = free_port(), free_port()
        self.dist_port, self.epmd_port = free_port(), free_port()
        (self.folder / "rabbitmq.conf").write_text(_CONFIGURATION.format_map(vars(self)))
        (self.folder / "advanced.config").write_text("[].\n")
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")

    def _launch_epmd(self) -> None:
        # Erlang would start an epmd for the whole machine, as a daemon that outlives the node.
        command = [program("epmd"), "-port", str(self.epmd_port), "-address", "127.0.0.1"]
        self.epmd_pid = start(command, log=self.log)
        wait_until(lambda: accepts(self.epmd_port), pid=self.epmd_pid, log=self.log)

    def _launch(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.folder),  # the Erlang cookie goes there
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self.dist_port),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # what the machine's own broker is told
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_SCHEMA_DIR": str(self.folder / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.folder / "schema"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # Waiting schedulers that spin would take the processors from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        }
        self.pid = start([program("rabbitmq-server")], log=self.log, env=environment, cwd=self.folder)
