"""A studio that providers call, and what a test asks of it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from core import generation
from core.db import callbacks as records
from core.db import submissions
from core.db.callbacks import Callback
from core.services import Services
from core.values import JobId, Person, Submission
from tests import builders
from tests.emulator import Emulator

PROVIDERS = ("fal", "novita", "replicate", "runpod")
SIGNED = ("fal", "replicate")
UNSIGNED = ("novita", "runpod")
MODELS = {
    "fal": "fal-ai/flux/dev",
    "novita": "txt2img/sd_xl_base_1.0.safetensors",
    "replicate": "black-forest-labs/flux-schnell",
    "runpod": "worker-sdxl",
}


@dataclass(kw_only=True)
class Called:
    """A studio, and the provider of this test."""

    services: Services
    person: Person
    provider: str
    emulator: Emulator
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/callbacks/{self.provider}"

    def ask(self) -> JobId:
        """A portrait that was asked of this provider and that nobody has begun."""
        found = generation.models_for(self.person, self.services)
        model = next(
            one.model
            for one in found
            if one.model.provider == self.provider and one.model.model_key == MODELS[self.provider]
        )
        character = builders.a_character(self.person, self.services)
        wanted = builders.a_request(character, model_id=model.id)
        return generation.request(wanted, self.person, self.services).job_id

    def work(self) -> None:
        builders.work(self.services)

    def deeds(self, job_id: JobId) -> list[str]:
        """What this job's messages did, the last time each came."""
        return [one.last_deed for one in self.callbacks(job_id)]

    def callbacks(self, job_id: JobId) -> list[Callback]:
        with self.services.db.as_service() as conn:
            return list(records.of_job(conn, job_id))

    def refused(self) -> list[str]:
        with self.services.db.as_service() as conn:
            return [one.deed for one in records.listed(conn) if one.proof is None]

    def submission(self, job_id: JobId) -> Submission:
        with self.services.db.as_service() as conn:
            found = submissions.current(conn, job_id)
        assert found is not None
        return found

    def outcome(self, job_id: JobId) -> generation.Outcome:
        return generation.outcome(job_id, self.person, self.services)

    def portraits(self, job_id: JobId) -> int:
        """How often the picture was saved: library row, portrait and asset. The test fails where one is doubled."""
        counts = builders.one(
            self.services.db,
            """
            SELECT (SELECT count(*) FROM user_library WHERE job_id = %(id)s),
                   (SELECT count(*) FROM character_portraits WHERE job_id = %(id)s),
                   (SELECT count(*) FROM workspace_assets WHERE job_id = %(id)s)
            """,
            {"id": job_id},
        )
        assert max(counts) <= 1, counts
        return min(counts)

    def sent(self) -> list[dict[str, object]]:
        """The messages of this provider as they left."""
        return [one for one in self.emulator.webhooks() if one["provider"] == self.provider]

    def again(self, message: dict[str, object], **changes: object) -> httpx.Response:
        """The very bytes of a message, sent by somebody."""
        whole = message | changes
        return httpx.post(
            whole["url"], content=whole["body"], headers=whole["headers"], trust_env=False, timeout=30
        )
