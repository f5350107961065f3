"""Everything a use case needs, built once and handed in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core import catalog, log
from core.auth import LOCAL_PERSON
from core.catalog import Catalog
from core.db import Connection, Database, models, people, suggestions
from core.db.embedded import EmbeddedPostgres
from core.db.migrate import migrate, refuse_unadopted
from core.downloads import Downloads
from core.events import Events
from core.identity import SignIn, open_sign_in
from core.providers import Provider
from core.providers.chat import Chat
from core.providers.fal import Fal
from core.providers.novita import Novita
from core.providers.replicate import Replicate
from core.providers.runpod import RunPod
from core.providers.sketch import Sketch
from core.settings import Settings
from core.storage import Storage
from core.storage.folder import FolderStorage
from core.storage.links import Links, read_or_make_secret
from core.values import provider_name

if TYPE_CHECKING:
    from core.identity.oidc import Oidc
    from core.storage.supabase import SupabaseStorage
    from core.tokens import TokenVerifier

_PERSON_WAITS = 600.0  # seconds for another check of the rows to end
_CONNECTIONS = 40  # of one process at most; threads that wait for a provider hold none
RESCUES = 2  # questions about ended jobs at once, all workers together
CONFIRMS = 2  # questions whether an unsigned webhook is true, likewise


@dataclass(frozen=True, kw_only=True)
class Services:
    """The adapters and settings, as the use cases see them. `stopping` is set when this process leaves."""

    settings: Settings
    db: Database
    storage: Storage
    links: Links
    providers: Mapping[str, Provider]
    downloads: Downloads
    catalog: Catalog
    events: Events
    chat: Chat | None = None  # writes suggestions; None: the offline suggester does
    sign_in: SignIn | None = None  # None: nobody signs in, everybody is the local person
    oidc: Oidc | None = None  # single sign-on, where it is configured
    tokens: TokenVerifier | None = None  # knows the callers of /functions, where people sign in
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def waiting_threads(self) -> int:
        """Threads of one worker that wait for providers: never fewer than entries it may hold, or they would hold a
        provider's places without using them (reference/queue.md §3).
        """
        return max(self.settings.worker_threads, sum(self.limits.values()) + RESCUES + CONFIRMS)

    @property
    def limits(self) -> Mapping[str, int]:
        """Requests at once for each configured provider, all workers together."""
        wanted = {
            "fal": self.settings.fal_limit,
            "replicate": self.settings.replicate_limit,
            "novita": self.settings.novita_limit,
            "runpod": self.settings.runpod_limit,
            "sketch": self.settings.sketch_limit,
        }
        return {name: wanted[name] for name in self.providers}


def configured_providers(settings: Settings) -> dict[str, Provider]:
    """The providers there is a key for; Sketch needs none."""
    found: dict[str, Provider] = {"sketch": Sketch(settings.sketch_seconds)}
    if settings.fal_key is not None:
        found["fal"] = Fal(settings.fal_key.get_secret_value(), base_url=settings.fal_base_url)
    if settings.replicate_api_token is not None:
        token = settings.replicate_api_token.get_secret_value()
        secret = settings.replicate_webhook_secret
        found["replicate"] = Replicate(
            token,
            base_url=settings.replicate_base_url,
            webhook_secret=secret.get_secret_value() if secret is not None else None,
        )
    if settings.novita_api_key is not None:
        found["novita"] = Novita(
            settings.novita_api_key.get_secret_value(), base_url=settings.novita_base_url
        )
    if settings.runpod_api_key is not None:
        found["runpod"] = RunPod(
            settings.runpod_api_key.get_secret_value(),
            endpoint_id=settings.runpod_endpoint_id,
            base_url=settings.runpod_base_url,
        )
    return found


def configured_chat(settings: Settings) -> Chat | None:
    """The model that writes suggestions, None where no CHAT_BASE_URL is set. Raises SetupFailed."""
    if settings.chat_base_url is None:
        return None
    key = settings.chat_api_key.get_secret_value() if settings.chat_api_key is not None else None
    return Chat(settings.chat_base_url, key, settings.chat_model)


@contextlib.contextmanager
def open_storage(settings: Settings) -> Generator[Storage]:
    """The project's buckets where SUPABASE_URL and SUPABASE_SECRET_KEY are set, else the folder under STUDIO_HOME.

    Nothing is asked of it yet. Raises SetupFailed.
    """
    with contextlib.ExitStack() as stack:
        yield _supabase_storage(settings, stack) or FolderStorage(settings.home / "objects")


def make_buckets(settings: Settings) -> tuple[str, ...]:
    """Make what the project lacks of our buckets (SPEC "Files"); the names of the new ones, none without Supabase.

    Safe twice and from two processes at once. Raises SetupFailed, StorageFailed.
    """
    with contextlib.ExitStack() as stack:
        storage = _supabase_storage(settings, stack)
        return storage.make_buckets() if storage is not None else ()


def _supabase_storage(settings: Settings, stack: contextlib.ExitStack) -> SupabaseStorage | None:
    if settings.supabase_url is None or settings.supabase_secret_key is None:
        return None
    # Only here: its packages take half a second to load, which nobody without Supabase should wait for.
    from core.storage.supabase import SupabaseStorage  # noqa: PLC0415

    storage = SupabaseStorage(settings.supabase_url, settings.supabase_secret_key.get_secret_value())
    stack.callback(storage.close)
    return storage


def set_up_database(
    dsn: str,
    settings: Settings,
    say: Callable[[str], None],
    *,
    by_person: bool = False,
    allow_blocking: bool = False,
) -> list[str]:
    """Apply what is missing of the schema and the catalogue; returns the migrations that were applied.

    Safe twice and from two processes at once. The rows are checked against the rules where something was applied, or
    `by_person`. Raises SetupFailed, DatabaseUnavailable.
    """
    from core.db import row_rules  # noqa: PLC0415 - it leans on the auto-save's checks, and they on this module

    return migrate(
        dsn,
        supabase_url=settings.supabase_url,
        say=say,
        after=lambda conn: insert_what_ships(conn, local_person=settings.supabase_url is None),
        sweep=partial(row_rules.sweep, wait=_PERSON_WAITS if by_person else 0),
        by_person=by_person,
        allow_blocking=allow_blocking,
    )


def insert_what_ships(conn: Connection, *, local_person: bool) -> None:
    """The catalogue's models and prices where they are missing, and the local person's row."""
    with conn.pipeline():
        _insert_models(conn)
        if local_person:
            people.insert_missing(conn, LOCAL_PERSON.id, "local@studio.invalid")


def _insert_models(conn: Connection) -> None:
    for model in catalog.load().models:
        models.insert_missing_provider(conn, model.provider, provider_name(model.provider))
        models.insert_missing_model(
            conn,
            provider=model.provider,
            model_key=model.model_key,
            display_name=model.display_name,
            priority=model.priority,
            capabilities=model.capabilities,
            input_defaults=model.input_defaults,
            default_for_tasks=model.default_for_tasks,
        )
        for price in model.prices:
            models.insert_missing_price(conn, provider=model.provider, model_key=model.model_key, price=price)


@contextlib.contextmanager
def open_services(settings: Settings) -> Generator[Services]:
    """Start or reach the database, bring it up to date where it is ours, and build the rest; closes all at the end.

    Raises SetupFailed, DatabaseUnavailable.
    """
    log.configure(settings.log_level)
    for _, value in settings:
        if isinstance(value, SecretStr):
            log.keep_out(value.get_secret_value())
    with contextlib.ExitStack() as stack:
        dsn = _database_address(settings, stack)
        refuse_unadopted(dsn)
        set_up_database(dsn, settings, lambda _line: None)
        db = Database.open(
            dsn, max_size=_CONNECTIONS, share_with_team=settings.shares_with_team, was_looked_at=True
        )
        stack.callback(db.close)
        events = Events(db.connect, shares=settings.shares_with_team)
        events.start()
        stack.callback(events.close)
        providers = configured_providers(settings)
        for provider in providers.values():
            stack.callback(provider.close)
        chat = configured_chat(settings)
        if chat is not None:
            stack.callback(chat.close)
            with db.as_service() as conn:
                suggestions.insert_missing_model(conn, chat.model)
        sign_in, oidc = open_sign_in(settings), _open_oidc(settings, db)
        tokens = open_tokens(settings)
        for way in filter(None, (sign_in, oidc, tokens)):
            stack.callback(way.close)
        yield Services(
            settings=settings,
            db=db,
            storage=stack.enter_context(open_storage(settings)),
            links=Links(read_or_make_secret(settings)),
            providers=providers,
            downloads=Downloads(),
            catalog=catalog.load(),
            events=events,
            chat=chat,
            sign_in=sign_in,
            oidc=oidc,
            tokens=tokens,
        )


def open_tokens(settings: Settings) -> TokenVerifier | None:
    """Who knows the tokens that calls of /functions show; None where nobody signs in. Asks nothing yet."""
    if not settings.has_sign_in:
        return None
    from core.tokens import TokenVerifier  # noqa: PLC0415 - likewise

    return TokenVerifier(settings)


def _open_oidc(settings: Settings, db: Database) -> Oidc | None:
    if not settings.has_oidc:
        return None
    # Only here: nobody without single sign-on should wait for its packages.
    from core.identity.oidc import open_oidc  # noqa: PLC0415

    return open_oidc(settings, db)


def _database_address(settings: Settings, stack: contextlib.ExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres.start(settings.home)
    stack.callback(embedded.stop)
    embedded.keep_running()
    return embedded.dsn
