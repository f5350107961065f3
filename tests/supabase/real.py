"""python -m tests.supabase.real URL: the suites of storage and sign-in, against a real Supabase project.

The keys come from the environment: SUPABASE_SECRET_KEY, and SUPABASE_PUBLISHABLE_KEY for the sign-in. A project that is
in use is refused, unless --even-if-used says that it is meant; what the run makes, it removes: its folder in each bucket,
the buckets it made, its two people.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence

import httpx
from storage3.exceptions import StorageApiError

from core.errors import StudioError
from core.storage import BUCKETS
from core.storage.supabase import SupabaseStorage
from tests.supabase import given
from tests.supabase.given import Within

SUITES = ("tests/contracts/test_storage.py", "tests/contracts/test_project_sign_in.py")


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """The status: pytest's, or 2 where the run was refused."""
    asked = argparse.ArgumentParser(prog="make test-supabase URL=…", description=__doc__)
    asked.add_argument("url", help="the project's address, such as https://your-project.supabase.co")
    asked.add_argument(
        "--even-if-used", action="store_true", help="also where pictures of others lie in the buckets"
    )
    said = asked.parse_args(arguments)
    secret, public = (environment.get(f"SUPABASE_{name}_KEY", "") for name in ("SECRET", "PUBLISHABLE"))
    if not secret or not public:
        return _refused("Set SUPABASE_SECRET_KEY and SUPABASE_PUBLISHABLE_KEY to the keys of that project.")
    try:
        with contextlib.closing(SupabaseStorage(said.url, secret)) as storage:
            used = _first_of_others(storage)
            if used and not said.even_if_used:
                return _refused(
                    f"This project is in use: there are pictures in its bucket {used}. Name a project for tests, or "
                    'say that it is meant: make test-supabase URL=… ARGS="--even-if-used". '
                    "The run adds to a folder of its own and takes nothing else away."
                )
            return _run(storage, said.url, secret, public)
    except StudioError as refusal:
        return _refused(refusal.sentence)
    except (StorageApiError, httpx.HTTPError) as refusal:
        return _refused(
            f"The project did not answer as Supabase Storage does ({type(refusal).__name__}). Check the address and the keys."
        )


def _first_of_others(storage: SupabaseStorage) -> str:
    """The first bucket with an object that no run of these tests put there, empty where there is none."""
    standing = {bucket.id for bucket in storage._storage.list_buckets()}
    for bucket in BUCKETS:
        if bucket in standing and any(not info.path.startswith(given.OURS) for info in storage.walk(bucket)):
            return bucket
    return ""


def _run(storage: SupabaseStorage, url: str, secret: str, public: str) -> int:
    folder = f"{given.OURS}{secrets.token_hex(4)}"
    made = storage.make_buckets()
    environment = {
        **os.environ,
        given.URL: url,
        given.SECRET_KEY: secret,
        given.PUBLISHABLE_KEY: public,
        given.FOLDER: folder,
    }
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", "given", *SUITES]
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        Within(storage, folder).empty()
        _remove(storage, made)


def _remove(storage: SupabaseStorage, buckets: Sequence[str]) -> None:
    for bucket in buckets:
        storage._storage.delete_bucket(bucket)


def _refused(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
