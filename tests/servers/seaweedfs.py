"""A private SeaweedFS that speaks the S3 API.

with SeaweedFS() as server:
    endpoint = server.endpoint
"""

from __future__ import annotations

import http.client
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from servers.ports import free_port, release_port
from servers.process import kill, start, wait_until
from servers.run import new_folder
from servers.server import Server

IDENTITIES = {
    "admin": ["Admin", "Read", "Write", "List", "Tagging"],
    "looker": ["Read", "List"],
    "maker": ["Admin:made-*"],
}
"""Its users; the access key is `NAME-key`, the secret key `secret-of-NAME`."""
# AWS writes CORS and takes either; SeaweedFS takes this alone.
CHECK = (
    *("s3:ListBucket", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketPolicy"),
    *("s3:GetBucketCors", "s3:GetLifecycleConfiguration", "s3:GetBucketTagging"),
)
APPLY = (*CHECK, "s3:CreateBucket", *(action.replace(":Get", ":Put") for action in CHECK[1:]))
RIGHTS = {
    "checker": CHECK,
    "applier": APPLY,
    **{
        f"applier-without-{left_out}": [each for each in APPLY if each != f"s3:{left_out}"]
        for left_out in ("ListBucket", "PutBucketCors")
    },
}
"""Further users, who have these rights and no others."""


@dataclass
class SeaweedFS(Server):
    """SeaweedFS on 127.0.0.1, empty."""

    port: int = 0
    folder: Path = Path()
    pid: int = 0
    ports: dict[str, int] = field(default_factory=dict)

    def start(self) -> Self:
        """Start it, or start it again on its ports with its data."""
        if not self.port:
            self.folder = new_folder("seaweedfs")
            self.port = free_port()
            self.ports = {name: free_port() for name in ("master", "volume", "filer")}
            # Each of them listens for gRPC 10,000 ports above unless told where.
            self.ports |= {f"{name}.grpc": free_port() for name in ("master", "volume", "filer", "s3")}
            (self.folder / "data").mkdir()
            identities = [
                {
                    "name": name,
                    "credentials": [{"accessKey": f"{name}-key", "secretKey": f"secret-of-{name}"}],
                    "actions": list(IDENTITIES.get(name, [])),
                    "policyNames": [name] if name in RIGHTS else [],
                }
                for name in (*IDENTITIES, *RIGHTS)
            ]
            policies = [
                {"name": name, "content": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
                for name, actions in RIGHTS.items()
                for statement in [{"Effect": "Allow", "Action": list(actions), "Resource": ["arn:aws:s3:::*"]}]
            ]
            configuration = json.dumps({"identities": identities, "policies": policies})
            (self.folder / "s3.json").write_text(configuration)
        port_options = [
            f"-{name.partition('.')[0]}.port{'.grpc' if '.' in name else ''}={port}"
            for name, port in self.ports.items()
        ]
        self.pid = start(
            [
                Path(sys.executable).with_name("weed"),
                *(
                    "server",
                    "-s3",
                    f"-s3.port={self.port}",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-master.telemetry=false",
                ),
                *(f"-s3.config={self.folder}/s3.json", f"-dir={self.folder}/data"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20", "-master.volumeSizeLimitMB=16"),
                *port_options,
            ],
            log=self.log,
        )
        wait_until(self.is_ready, pid=self.pid, log=self.log)
        return self

    def kill(self) -> None:
        """Kill it."""
        kill(self.pid)

    def close(self) -> None:
        """End it and remove its data."""
        super().close()
        for port in self.ports.values():
            release_port(port)

    @property
    def endpoint(self) -> str:
        """The URL of its S3 API."""
        return f"http://127.0.0.1:{self.port}"

    def login(self, user: str = "admin") -> dict[str, str]:
        """The fields of a step that say where it is and who asks."""
        return {"endpoint": self.endpoint, "access_key": f"{user}-key", "secret_key": f"secret-of-{user}"}

    def client(self) -> Any:
        """botocore's client, as the administrator."""
        import botocore.session
        from botocore.config import Config

        login = self.login()
        return botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=login["access_key"],
            aws_secret_access_key=login["secret_key"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def is_ready(self) -> bool:
        """Does its API answer?"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/")
            # Without a login it refuses; while its parts are starting it has other words.
            return connection.getresponse().status == 403
        except OSError:
            return False
        finally:
            connection.close()
