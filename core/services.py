"""Everything a use case needs, built once and handed in."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from core import catalog, log
from core.auth import LOCAL_PERSON
from core.catalog import Catalog
from core.db import Connection, Database, models, people
from core.db.embedded import EmbeddedPostgres
from core.db.migrate import migrate, refuse_unadopted
from core.downloads import Downloads
from core.events import Events
from core.providers import Provider
from core.providers.fal import Fal
from core.providers.sketch import Sketch
from core.settings import Settings
from core.storage import Storage
from core.storage.folder import FolderStorage
from core.storage.links import Links, read_or_make_secret

_CONNECTIONS = 40  # of one process at most; threads that wait for a provider hold none
RESCUES = 2  # questions about ended jobs at once, all workers together


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
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def waiting_threads(self) -> int:
        """Threads of one worker that wait for providers: never fewer than entries it may hold, or they would hold a
        provider's places without using them (reference/queue.md §3).
        """
        return max(self.settings.worker_threads, sum(self.limits.values()) + RESCUES)

    @property
    def limits(self) -> Mapping[str, int]:
        """Requests at once for each configured provider, all workers together."""
        wanted = {"fal": self.settings.fal_limit, "sketch": self.settings.sketch_limit}
        return {name: wanted[name] for name in self.providers}


def configured_providers(settings: Settings) -> dict[str, Provider]:
    """The providers there is a key for; Sketch needs none."""
    found: dict[str, Provider] = {"sketch": Sketch(settings.sketch_seconds)}
    if settings.fal_key is not None:
        found["fal"] = Fal(settings.fal_key.get_secret_value(), base_url=settings.fal_base_url)
    return found


def set_up_database(dsn: str, settings: Settings, say: Callable[[str], None]) -> list[str]:
    """Apply what is missing of the schema and the catalogue; returns the migrations that were applied.

    Safe twice and from two processes at once. Raises SetupFailed, DatabaseUnavailable.
    """
    return migrate(
        dsn,
        supabase_url=settings.supabase_url,
        say=say,
        after=lambda conn: insert_what_ships(conn, local_person=settings.supabase_url is None),
    )


def insert_what_ships(conn: Connection, *, local_person: bool) -> None:
    """The catalogue's models and prices where they are missing, and the local person's row."""
    for model in catalog.load().models:
        models.insert_missing_provider(conn, model.provider, model.provider.capitalize())
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
    if local_person:
        people.insert_missing(conn, LOCAL_PERSON.id, "local@studio.invalid")


@contextlib.contextmanager
def open_services(settings: Settings) -> Generator[Services]:
    """Start or reach the database, bring it up to date where it is ours, and build the rest; closes all at the end.

    Raises SetupFailed, DatabaseUnavailable.
    """
    log.configure(settings.log_level)
    for secret in (settings.fal_key, settings.files_secret):
        if secret is not None:
            log.keep_out(secret.get_secret_value())
    with contextlib.ExitStack() as stack:
        dsn = _database_address(settings, stack)
        refuse_unadopted(dsn)
        set_up_database(dsn, settings, lambda _line: None)
        db = Database.open(dsn, max_size=_CONNECTIONS, share_with_team=settings.shares_with_team)
        stack.callback(db.close)
        events = Events(db.connect, shares=settings.shares_with_team)
        events.start()
        stack.callback(events.close)
        providers = configured_providers(settings)
        for provider in providers.values():
            stack.callback(provider.close)
        yield Services(
            settings=settings,
            db=db,
            storage=FolderStorage(settings.home / "objects"),
            links=Links(read_or_make_secret(settings)),
            providers=providers,
            downloads=Downloads(),
            catalog=catalog.load(),
            events=events,
        )


def _database_address(settings: Settings, stack: contextlib.ExitStack) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    embedded = EmbeddedPostgres.start(settings.home)
    stack.callback(embedded.stop)
    embedded.keep_running()
    return embedded.dsn
