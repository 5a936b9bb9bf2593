"""`time.sleep(float("inf"))` ends at once

## What happens

Python refuses to sleep for an infinite time: `OverflowError: timestamp too large`. The init service fails right
after its work, exits 1 and is restarted forever, each time running initialization again.

## Before

```yaml
services:
  init:
    command: ["python", "-c", "import setup, time; setup.run(); time.sleep(float('inf'))"]
```

## After

```yaml
services:
  init:
    command: ["inithold", "run", "--", "python", "-c", "import setup; setup.run()"]
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from inithold.compose.finding import Finding, Severity, spot
from inithold.compose.stack.command import words

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Stack

ID = "endless-sleep-overflow"


_ENDLESS = re.compile(r"time\.sleep\(\s*(?:float\(\s*['\"]inf(?:inity)?['\"]\s*\)|math\.inf)\s*\)", re.IGNORECASE)


def check(stack: Stack) -> Iterator[Finding]:
    """Yield one finding for each service whose command sleeps for an infinite time in Python."""
    for service in stack.project.services.values():
        for field in ("entrypoint", "command"):
            text = " ".join(words(service.value(field))[0])
            if _ENDLESS.search(text):
                yield Finding(
                    ID,
                    Severity.ERROR,
                    f"Python refuses an infinite sleep: {service.name} fails right after its work, each time",
                    spot(service, field),
                    service.name,
                    remedy="run the command under `inithold run --`, or sleep in a loop",
                )
