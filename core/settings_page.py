"""Every setting as a page for people: group by group, with its default, its meaning and which process reads it.

The meaning is the settings' own (`core.settings`); this file adds only where each belongs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from core.settings import Settings

STUDIO, WORKER, AUDIT, COMMAND = "studio", "worker", "audit", "command line"
_ALL = (STUDIO, WORKER, AUDIT, COMMAND)
_MAKERS = (STUDIO, WORKER, COMMAND)  # with WORKER=embedded the studio does the worker's part


@dataclass(frozen=True, kw_only=True)
class Group:
    """Settings that are set for one reason; a name that ends in `*` stands for all that begin so."""

    title: str
    names: tuple[str, ...]
    readers: tuple[str, ...]


GROUPS = (
    Group(title="Where it lives", names=("STUDIO_HOME",), readers=_ALL),
    Group(title="The studio's address", names=("STUDIO_HOST", "STUDIO_PORT"), readers=(STUDIO,)),
    Group(
        title="The dashboard's address", names=("AUDIT_HOST", "AUDIT_PORT", "AUDIT_PATH"), readers=(AUDIT,)
    ),
    Group(title="Database", names=("DATABASE_URL",), readers=_ALL),
    Group(title="Supabase", names=("SUPABASE_*",), readers=_ALL),
    Group(title="Single sign-on", names=("OIDC_*",), readers=(STUDIO, AUDIT)),
    Group(
        title="Sessions and the way in",
        names=("SESSION_*", "TRUSTED_PROXIES", "ALLOW_NO_SIGN_IN", "ALLOWED_ORIGINS", "METRICS_TOKEN"),
        readers=(STUDIO, AUDIT),
    ),
    Group(title="Links", names=("FILES_SECRET", "PUBLIC_URL"), readers=_ALL),
    Group(
        title="Providers of images",
        names=("FAL_*", "REPLICATE_*", "NOVITA_*", "RUNPOD_*", "SKETCH_*"),
        readers=_ALL,
    ),
    Group(title="Suggestions", names=("CHAT_*",), readers=(STUDIO, WORKER)),
    Group(title="What people see", names=("START_CHAT_URL", "PREVIEW_URL"), readers=(STUDIO,)),
    Group(title="What is allowed", names=("ALLOW_NSFW", "TEAM_SHARING"), readers=_ALL),
    Group(
        title="Making the pictures",
        names=(
            *(
                "WORKER",
                "WORKER_THREADS",
                "HEARTBEAT_SECONDS",
                "STUCK_AFTER",
                "RECOVERY_EVERY",
                "AUTOSAVE_DELAY",
            ),
            *("GIVE_UP_AFTER", "POLL_EVERY", "MAX_WAITING"),
        ),
        readers=_MAKERS,
    ),
    Group(title="Daily checks", names=("PROOF_*", "STOCK_HOUR", "ROWS_HOUR"), readers=(STUDIO, WORKER)),
    Group(
        title="How long it is kept",
        names=("KEEP_*", "RETAIN_*", "RETENTION_*", "*_DAYS"),
        readers=(STUDIO, WORKER),
    ),
    Group(
        title="News of what is broken",
        names=("NOTIFY_WEBHOOK_URL", "AUDIT_URL", "HEALTH_EVERY"),
        readers=(STUDIO, WORKER, AUDIT),
    ),
    Group(title="Leaving", names=("LEAVE_*",), readers=(STUDIO, WORKER, AUDIT)),
    Group(title="Log", names=("LOG_LEVEL",), readers=_ALL),
)
# Where one setting is read by others than its group.
_READERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ALLOWED_ORIGINS": (STUDIO,),
        "METRICS_TOKEN": (STUDIO,),
        "SUPABASE_PUBLISHABLE_KEY": (STUDIO, AUDIT),
        "SUPABASE_JWT_SECRET": (STUDIO, AUDIT),
        "WORKER": (STUDIO,),
    }
)
_HEAD = """# Configuration

Every setting is an environment variable, or a line of `.env` beside the program (the environment wins). `.env.example` holds them all with their defaults. Written by `python -m core settings --markdown`; a test holds this page and the settings equal.

*Read by*: the studio, each worker, the dashboard (`python -m audit`), the command line (`python -m core`). With `WORKER=embedded` the studio reads what a worker reads. A change counts after a restart of the processes named. A *key* shows as stars wherever settings are shown, and never in a log.
"""


def group_of(name: str) -> Group | None:
    """The group a setting belongs to: the one that names it, else the first with a pattern for it."""
    for group in GROUPS:
        if name in group.names:
            return group
    return next((group for group in GROUPS if any(_fits(name, one) for one in group.names)), None)


def _fits(name: str, pattern: str) -> bool:
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return pattern.endswith("*") and name.startswith(pattern[:-1])


def markdown() -> str:
    """The page as it stands in docs/configuration.md."""
    fields = {name.upper(): field for name, field in Settings.model_fields.items()}
    parts = [_HEAD]
    for group in GROUPS:
        rows = [_row(name, fields[name], group) for name in fields if group_of(name) is group]
        if rows:
            parts += [
                f"## {group.title}\n",
                "| Setting | Default | Meaning | Read by |\n|---|---|---|---|",
                *rows,
                "",
            ]
    return "\n".join(parts)


def standing(settings: Settings) -> list[tuple[str, str]]:
    """Each setting and how it stands here: a key only as set or not, everything else by its value."""
    found: list[tuple[str, str]] = []
    for name, field in Settings.model_fields.items():
        value: object = getattr(settings, name)
        is_set = value != field.default
        shown = (
            "set" if isinstance(value, SecretStr) else ("—" if value is None or value == "" else str(value))
        )
        found.append((name.upper(), shown if is_set else f"{_default(field).strip('`')} (default)"))
    return found


def _row(name: str, field: FieldInfo, group: Group) -> str:
    readers = _READERS.get(name, group.readers)
    who = "all" if readers == _ALL else ", ".join(readers)
    meaning = f"{(field.description or '').replace('|', '/')}{' A key.' if _is_key(field) else ''}"
    return f"| `{name}` | {_default(field)} | {meaning} | {who} |"


def _is_key(field: FieldInfo) -> bool:
    return SecretStr.__name__ in str(field.annotation)


def _default(field: FieldInfo) -> str:
    value: object = field.default
    if value is None or value == "":
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
