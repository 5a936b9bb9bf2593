"""Files of the init service that are here: mounted, in the build context or beside the Compose file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from inithold.compose.stack.roles import host_path

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

_LARGEST = 256 * 1024


def script_of(service: Service, name: str) -> tuple[Path, str] | None:
    """A shell script that the container runs, and its text; None where it is not here or is none.

    Args:
        service: whose container.
        name: path in the container, relative to the working directory unless it is absolute.
    """
    for path in _places(service, name):
        try:
            if not path.is_file() or path.stat().st_size > _LARGEST:
                continue
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if text.startswith("#!") and "sh" not in text.partition("\n")[0]:
            return None
        return path, text.replace("\r\n", "\n")
    return None


def build_context(service: Service, project: Project | None = None) -> Path | None:
    """The folder that the service's image is built from, be it named by another service of the same image."""
    found = _context(service)
    if found is not None or project is None or service.text("image") is None:
        return found
    same = [each for each in project.services.values() if each.text("image") == service.text("image")]
    return next((context for each in same if (context := _context(each)) is not None), None)


def alembic_config(service: Service, project: Project) -> tuple[str, str] | None:
    """The path of an Alembic configuration, relative to the build context, and where it was found.

    `alembic.ini`, or a `pyproject.toml` with a table `tool.alembic`; in a folder of the context only where
    there is exactly one.
    """
    context = build_context(service, project)
    places = [(context, "in the build context")] if context else []
    if project.folder not in [context]:
        places.append((project.folder, "beside the Compose file"))
    for folder, where in places:
        for name in ("alembic.ini", "pyproject.toml"):
            if _is_configuration(folder / name):
                return name, where
    for folder, where in places[:1]:
        inside = sorted(folder.glob("*/alembic.ini"))
        if len(inside) == 1:
            return str(inside[0].relative_to(folder)), where
    return None


def _is_configuration(path: Path) -> bool:
    if path.name == "alembic.ini":
        return path.is_file()
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False
    tool = read.get("tool")
    return isinstance(tool, dict) and "alembic" in tool


def _places(service: Service, name: str) -> Iterator[Path]:
    base = service.text("working_dir") or ""
    inside = name if name.startswith("/") else f"{base.rstrip('/')}/{name}"
    mounted = host_path(service, str(PurePosixPath(inside)))
    if mounted is not None:
        yield mounted
    context = build_context(service)
    if context is None:
        return
    parts = PurePosixPath(name).parts
    if not name.startswith("/"):
        yield context.joinpath(*parts)
        return
    # What a Dockerfile copies to /app or /usr/src/app lies in the context without that.
    for start in range(1, min(len(parts), 5)):
        yield context.joinpath(*parts[start:])


def _context(service: Service) -> Path | None:
    context = service.scalar("build", "context")
    if context is None or "$" in context.text or "://" in context.text:
        return None
    return (context.place.source.folder / Path(context.text).expanduser()).resolve()
