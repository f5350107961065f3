"""The only reader of the environment. Each setting's one-line meaning is its `description`; `.env.example`
repeats them and a test keeps the two equal.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_ORIGIN = re.compile(
    r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?"
)  # as browsers spell it: lower case

_PATH = re.compile(r"/|(?:/[A-Za-z0-9_-]+)+")
_LOOPBACK = re.compile(r"http://(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?(?:/|$)")


class WorkerMode(StrEnum):
    """Where queued pictures are made."""

    embedded = "embedded"
    external = "external"


class Settings(BaseSettings):
    """Every setting, read once at start. Keys are `SecretStr`: they show as stars everywhere."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    studio_home: Path = Field(
        default=Path(".studio"),
        description="Folder of the embedded database, the stored images and the file secret.",
    )
    studio_host: str = Field(default="127.0.0.1", description="Address the studio listens on.")
    studio_port: int = Field(default=7860, ge=0, le=65535, description="Port of the studio.")
    audit_host: str = Field(default="127.0.0.1", description="Address the audit dashboard listens on.")
    audit_port: int = Field(default=8501, ge=0, le=65535, description="Port of the audit dashboard.")
    audit_path: str = Field(
        default="/audit", description="Path under which python -m audit serves the dashboard."
    )
    leave_seconds: float = Field(
        default=0,
        ge=0,
        le=60,
        description="Seconds /readyz says 503 before a server that leaves takes no more connections.",
    )

    database_url: SecretStr | None = Field(
        default=None, description="Postgres 15 or newer, direct or session-mode; empty: the embedded one."
    )
    supabase_url: str | None = Field(
        default=None, description="Address of the Supabase project; empty: none."
    )
    supabase_publishable_key: SecretStr | None = Field(
        default=None, description="The project's publishable key (sb_publishable_… or anon)."
    )
    supabase_secret_key: SecretStr | None = Field(
        default=None,
        description="The project's secret key (sb_secret_… or service_role); empty: files stay in STUDIO_HOME.",
    )
    supabase_jwt_secret: SecretStr | None = Field(
        default=None,
        description="The project's legacy JWT secret (HS256); empty: calls are believed by its public keys only.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="Address of an OpenID Connect provider for single sign-on, as its discovery document spells it; empty: none.",
    )
    oidc_client_id: str | None = Field(default=None, description="The client registered there.")
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Its secret; empty: a public client, which PKCE alone protects."
    )
    oidc_roles_claim: str = Field(
        default="roles",
        description="Claim of its ID token that lists the roles, or a path such as realm_access.roles.",
    )

    fal_key: SecretStr | None = Field(default=None, description="Key of fal.ai; empty: fal is off.")
    fal_base_url: str | None = Field(
        default=None,
        description="Replaces every host of fal (the emulator); downloads then allow loopback there.",
    )
    fal_limit: int = Field(default=10, ge=1, description="Requests at fal at once, all workers together.")

    replicate_api_token: SecretStr | None = Field(
        default=None, description="Token of Replicate; empty: Replicate is off."
    )
    replicate_base_url: str | None = Field(
        default=None,
        description="Replaces every host of Replicate, up to /v1; downloads then allow loopback there.",
    )
    replicate_webhook_secret: SecretStr | None = Field(
        default=None, description="Signs Replicate's webhooks (whsec_…); empty: asked for with the token."
    )
    replicate_limit: int = Field(
        default=10, ge=1, description="Requests at Replicate at once, all workers together."
    )

    novita_api_key: SecretStr | None = Field(
        default=None, description="Key of Novita.ai; empty: Novita is off."
    )
    novita_base_url: str | None = Field(
        default=None,
        description="Replaces every host of Novita, up to /v3; downloads then allow loopback there.",
    )
    novita_limit: int = Field(
        default=5, ge=1, description="Requests at Novita at once, all workers together."
    )

    runpod_api_key: SecretStr | None = Field(default=None, description="Key of RunPod; empty: RunPod is off.")
    runpod_endpoint_id: str | None = Field(
        default=None, description="RunPod endpoint that runs worker-sdxl; empty: only RunPod's public ones."
    )
    runpod_base_url: str | None = Field(
        default=None,
        description="Replaces every host of RunPod, /v2 included; downloads then allow loopback there.",
    )
    runpod_limit: int = Field(
        default=5, ge=1, description="Requests at RunPod at once, all workers together."
    )

    chat_base_url: str | None = Field(
        default=None,
        description="OpenAI-compatible endpoint that writes suggestions, up to /v1; empty: the offline suggester.",
    )
    chat_api_key: SecretStr | None = Field(
        default=None, description="Key of that endpoint; empty: it asks for none."
    )
    chat_model: str = Field(default="", description="The model asked there.")

    sketch_seconds: float = Field(
        default=3.0, ge=0, le=120, description="How long one Sketch drawing takes; it is drawn in passes."
    )
    sketch_limit: int = Field(default=2, ge=1, description="Sketch drawings at once, all workers together.")

    public_url: str | None = Field(
        default=None,
        description="Address under which people, and providers' webhooks (https), reach the studio; empty: the request's own.",
    )
    start_chat_url: str | None = Field(
        default=None,
        description="Where Start chat leads, with {character_id} and perhaps {scene_id} in it; empty: the studio offers no chat.",
    )
    preview_url: str | None = Field(
        default=None,
        description="A character's page on the platform, with {character_id} in it; empty: the studio's own preview only.",
    )
    allow_nsfw: bool = Field(default=False, description="Whether this deployment makes pictures rated nsfw.")
    team_sharing: bool | None = Field(
        default=None,
        description="Everybody with a role shares all characters; empty: yes on the embedded database.",
    )

    worker: WorkerMode = Field(
        default=WorkerMode.embedded,
        description="embedded: the studio makes pictures itself; external: workers do.",
    )
    worker_threads: int = Field(
        default=32,
        ge=2,
        description="Threads of one worker that wait for providers; never fewer than the limits together.",
    )
    heartbeat_seconds: float = Field(
        default=30.0, ge=0.2, description="A worker that is silent this long is taken for dead."
    )
    stuck_after: float = Field(
        default=600.0, ge=0.2, description="Seconds without a heartbeat until a job counts as stuck."
    )
    recovery_every: float = Field(
        default=60.0, ge=0.2, description="Seconds between two looks for stuck jobs."
    )
    autosave_delay: float = Field(
        default=60.0,
        ge=0,
        description="Seconds the platform's own save gets before ours steps in for its jobs.",
    )
    proof_hour: int = Field(
        default=4,
        ge=0,
        le=23,
        description="Hour (UTC) at which every portrait's auto-save is proved, once a day.",
    )
    stock_hour: int = Field(
        default=5,
        ge=0,
        le=23,
        description="Hour (UTC) at which the library's rows and objects are compared, once a day.",
    )
    rows_hour: int = Field(
        default=3,
        ge=0,
        le=23,
        description="Hour (UTC) at which every row is checked against the rules, once a day.",
    )
    proof_every: int = Field(
        default=1,
        ge=1,
        le=24,
        description="Hours between two checks of every portrait's rows; files are read at PROOF_HOUR.",
    )
    keep_history_days: int = Field(
        default=365,
        ge=30,
        description="Days for which results of older checks are kept, unless an admin set another number on the dashboard's page Settings; the ledger and events always are.",
    )
    give_up_after: float = Field(
        default=1800.0,
        ge=1,
        description="Seconds a provider may take for one picture before it is asked to stop.",
    )
    poll_every: float = Field(
        default=1.0, ge=0.02, description="Seconds between two questions to a provider."
    )
    max_waiting: int = Field(default=500, ge=1, le=5000, description="Pictures one person may have waiting.")

    allowed_origins: str = Field(
        default="", description="Origins that may call the HTTP interface, with commas."
    )
    allow_no_sign_in: bool = Field(
        default=False,
        description="yes: listen beyond loopback without any sign-in. Everybody who reaches it may spend.",
    )
    session_idle_hours: float = Field(
        default=12, gt=0, le=720, description="Hours without their person after which a sign-in ends."
    )
    session_hours: float = Field(
        default=168, gt=0, le=8760, description="Hours after which a sign-in ends whatever happens."
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of the proxies whose X-Forwarded headers are believed, with commas; empty: none.",
    )
    files_secret: SecretStr | None = Field(
        default=None,
        description="Signs links to images and seals sign-ins; empty: made once under STUDIO_HOME.",
    )
    metrics_token: SecretStr | None = Field(
        default=None, description="Bearer token that reads /metrics; empty: only this machine reads it."
    )
    notify_webhook_url: SecretStr | None = Field(
        default=None,
        description="Where news of broken and healed health rules go, as JSON that Slack reads; empty: nowhere.",
    )
    audit_url: str | None = Field(
        default=None,
        description="Address of the audit dashboard, for the links in that news; empty: no links.",
    )
    health_every: float = Field(
        default=60.0, ge=1, description="Seconds between two looks at the health rules."
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR.")

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_issuer(cls, value: str | None) -> str | None:
        if value is not None and not (value.startswith("https://") or _LOOPBACK.match(value)):
            raise ValueError("OIDC_ISSUER is a whole https address, such as https://login.example.org")
        return value

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, value: str) -> str:
        level = value.upper()
        if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("LOG_LEVEL is one of DEBUG, INFO, WARNING, ERROR")
        return level

    @field_validator("allowed_origins")
    @classmethod
    def _whole_origins(cls, value: str) -> str:
        """An origin is what a browser sends: scheme and host, and a port where it is not the scheme's own."""
        for origin in filter(None, (part.strip().rstrip("/") for part in value.split(","))):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    "ALLOWED_ORIGINS names each origin whole, such as https://app.example.org, with commas; "
                    "a star or a path is none"
                )
        return value

    @field_validator("audit_path")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        """`/audit` for `audit/` too; `/` is the root."""
        path = "/" + value.strip("/")
        if not _PATH.fullmatch(path):
            raise ValueError("AUDIT_PATH is a path of letters, digits, - and _, such as /audit")
        return path

    @field_validator("trusted_proxies")
    @classmethod
    def _known_proxies(cls, value: str) -> str:
        """A star would let everybody say who they are and how they came."""
        for proxy in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(proxy)
            except ValueError as exc:
                raise ValueError(
                    "TRUSTED_PROXIES names addresses or networks, such as 172.31.77.2 or 10.0.0.0/8, with commas; a star is none"
                ) from exc
        return value

    @field_validator("audit_url")
    @classmethod
    def _whole_address(cls, value: str | None) -> str | None:
        if value is not None and not _ORIGIN.match(value.lower()):
            raise ValueError("AUDIT_URL is a whole address, such as https://audit.example.org")
        return value

    @field_validator("start_chat_url", "preview_url")
    @classmethod
    def _leads_to_a_character(cls, value: str | None) -> str | None:
        if value is not None and not (
            value.startswith(("https://", "http://")) and "{character_id}" in value
        ):
            raise ValueError(
                "this is a whole address with {character_id} in it, such as https://app.example.org/{character_id}"
            )
        return value

    @cached_property
    def home(self) -> Path:
        """STUDIO_HOME as an absolute path."""
        return self.studio_home.expanduser().resolve()

    @property
    def embedded(self) -> bool:
        """True where the database is ours to start (no DATABASE_URL)."""
        return self.database_url is None

    @property
    def has_sign_in(self) -> bool:
        """True where people sign in: through Supabase Auth, or through OIDC (SPEC "Two ways to run")."""
        return self.has_supabase_auth or self.has_oidc

    @property
    def has_supabase_auth(self) -> bool:
        """True where SUPABASE_URL and the publishable key are set."""
        return self.supabase_url is not None and self.supabase_publishable_key is not None

    @property
    def has_oidc(self) -> bool:
        """True where OIDC_ISSUER and its client are set."""
        return self.oidc_issuer is not None and self.oidc_client_id is not None

    @property
    def shares_with_team(self) -> bool:
        """TEAM_SHARING, or its default: on with the embedded database (SPEC "Data")."""
        return self.embedded if self.team_sharing is None else self.team_sharing

    @property
    def origins(self) -> tuple[str, ...]:
        """ALLOWED_ORIGINS, split."""
        return tuple(part.strip().rstrip("/") for part in self.allowed_origins.split(",") if part.strip())
