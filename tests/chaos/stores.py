"""The two kinds of object storage under fire. Each breaks the way its kind does, and is whole again afterwards."""

import contextlib
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from core.storage import LIBRARY, WORKSPACE
from core.storage.supabase import SupabaseStorage
from tests.supabase.storage_double import StorageDouble

BUCKETS = (WORKSPACE, LIBRARY)


class Store(Protocol):
    def settings(self) -> dict[str, str]:
        """What tells the product to use this store."""
        ...

    def spoil(self, chance: random.Random, home: Path) -> None:
        """Break it for a moment; `home` is STUDIO_HOME."""
        ...


class FolderUnderFire:
    """A volume that goes away and comes back: in the place of a bucket's folder stands a file."""

    def settings(self) -> dict[str, str]:
        return {}

    def spoil(self, chance: random.Random, home: Path) -> None:
        bucket = home / "objects" / chance.choice(BUCKETS)
        away = bucket.with_name(f".{bucket.name}.away")
        if not bucket.is_dir():
            return
        bucket.rename(away)
        try:
            with contextlib.suppress(IsADirectoryError):  # a worker made the folder in between
                bucket.write_text("This volume is not mounted.")
            time.sleep(chance.uniform(0.2, 1.5))
        finally:
            _bring_back(away, bucket)


def _bring_back(away: Path, bucket: Path) -> None:
    """What was written meanwhile stays too."""
    if bucket.is_dir():
        shutil.copytree(bucket, away, dirs_exist_ok=True)
        shutil.rmtree(bucket)
    else:
        bucket.unlink(missing_ok=True)
    away.rename(bucket)


class SupabaseUnderFire:
    """Supabase Storage whose answers get lost, come from its gateway, or come late."""

    def __init__(self, double: StorageDouble) -> None:
        self.double = double

    def settings(self) -> dict[str, str]:
        return {"SUPABASE_URL": self.double.url, "SUPABASE_SECRET_KEY": self.double.secret_key}

    def spoil(self, chance: random.Random, home: Path) -> None:  # noqa: ARG002 -- the protocol's
        at = chance.choice(["upload", "copy", "download", "info"])
        strike = chance.choice(["lost", "not done", "gateway"])
        if strike == "gateway":
            self.double.bad_gateway(at, count=chance.randint(1, 4), status=chance.choice([502, 503, 504]))
        else:
            self.double.breaks(at, count=chance.randint(1, 4), done=strike == "lost")


@contextlib.contextmanager
def open_store(kind: str) -> Iterator[Store]:
    if kind == "folder":
        yield FolderUnderFire()
        return
    with StorageDouble() as double:
        with contextlib.closing(SupabaseStorage(double.url, double.secret_key)) as storage:
            storage.make_buckets()
        yield SupabaseUnderFire(double)
