"""The storage double, the `supabase` client in front of it, and our adapter over that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest
from storage3 import SyncStorageClient
from supabase import ClientOptions, create_client

from core.storage.supabase import SupabaseStorage
from tests.supabase.storage_double import StorageDouble


@pytest.fixture
def double() -> Iterator[StorageDouble]:
    """A project's storage with nothing in it, not even buckets."""
    with StorageDouble() as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        yield client


@pytest.fixture
def with_token(double: StorageDouble, http: httpx.Client) -> Callable[[str], SyncStorageClient]:
    """The storage client of `supabase` with somebody's token, as reference/supabase.md §1 makes it."""

    def make(token: str) -> SyncStorageClient:
        options = ClientOptions(headers={"Authorization": f"Bearer {token}"}, httpx_client=http)
        return create_client(double.url, "sb_publishable_double", options).storage

    return make


@pytest.fixture
def service(double: StorageDouble, http: httpx.Client) -> SyncStorageClient:
    """The storage client with the project's secret key."""
    return create_client(double.url, double.secret_key, ClientOptions(httpx_client=http)).storage


@pytest.fixture
def supabase(double: StorageDouble) -> Iterator[SupabaseStorage]:
    """Our adapter over the double, with all buckets."""
    with contextlib.closing(SupabaseStorage(double.url, double.secret_key)) as storage:
        storage.make_buckets()
        yield storage
