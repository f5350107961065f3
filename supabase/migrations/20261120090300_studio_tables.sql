-- What the path of one image needs of its own: paid requests, events, money, workers. All in schema studio, where
-- no user writes directly.

create table studio.submissions (
  id uuid primary key default gen_random_uuid(),
  job_id uuid not null,
  attempt integer not null,
  lease bigint not null,
  provider text not null,
  model_id uuid,
  model_key text not null,
  submitted_at timestamptz not null default clock_timestamp(),
  request_id text,
  receipt jsonb,
  received_at timestamptz,
  result_expires_at timestamptz,
  outcome text check (outcome in ('not_accepted', 'finished', 'refused', 'cancelled', 'expired', 'given_up')),
  settled_at timestamptz,
  settled_by text,
  unique (job_id, attempt)
);
comment on column studio.submissions.outcome is
  'null: open. not_accepted: surely never taken, may be sent again. given_up: a person decided that nothing came.';
create unique index submissions_by_request on studio.submissions (provider, request_id) where request_id is not null;
-- The one rule that money hangs on: a job has at most one paid request that may have been accepted.
create unique index submissions_once on studio.submissions (job_id) where outcome is distinct from 'not_accepted';
create index submissions_open on studio.submissions (submitted_at) where outcome is null;

create table studio.job_events (
  id bigint generated always as identity primary key,
  job_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  from_status text,
  to_status text not null,
  stage text,
  lease bigint not null default 0,
  error_code text,
  note text
);
create index job_events_of_job on studio.job_events (job_id, id);

create table studio.workers (
  id uuid primary key,
  host text not null,
  pid integer not null,
  version text not null default '',
  started_at timestamptz not null default now(),
  beat_at timestamptz not null default now(),
  stopped_at timestamptz
);

create table studio.provider_state (
  provider text primary key,
  paused_until timestamptz,
  why text,
  failures integer not null default 0,
  changed_at timestamptz not null default now()
);

create table studio.model_prices (
  id uuid primary key default gen_random_uuid(),
  model_id uuid not null references public.api_models (id) on delete cascade,
  size text,
  quality text,
  unit text not null check (unit in ('image', 'megapixel', 'second', 'million_input_tokens',
                                     'million_output_tokens', 'request')),
  price numeric(18, 10) not null check (price >= 0),
  valid_from date not null,
  source text not null default '',
  unique nulls not distinct (model_id, size, quality, unit, valid_from)
);

create table studio.cost_entries (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  job_id uuid not null,
  attempt integer not null default 1,
  user_id uuid,
  character_id uuid,
  provider text not null,
  model_key text not null,
  kind text not null check (kind in ('estimated', 'computed', 'billed', 'refund')),
  amount_usd numeric(12, 6),
  units jsonb,
  price_id uuid,
  note text,
  check (kind = 'refund' or amount_usd >= 0)
);
comment on column studio.cost_entries.amount_usd is 'null = unknown; never shown or summed as zero';
create unique index cost_once on studio.cost_entries (job_id, attempt, kind) where kind <> 'refund';
create index cost_by_day on studio.cost_entries (at);
create index cost_by_user on studio.cost_entries (user_id, at);
create trigger cost_entries_append_only before update or delete on studio.cost_entries
  for each row execute function studio.append_only();
create trigger cost_entries_never_emptied before truncate on studio.cost_entries
  for each statement execute function studio.append_only();

-- Per attempt: billed, else computed, else estimated; plus refunds. An unknown amount stays null.
create view studio.spend with (security_invoker = true) as
select distinct on (e.job_id, e.attempt)
  e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, e.kind,
  (select min(f.at) from studio.cost_entries f where f.job_id = e.job_id and f.attempt = e.attempt) as at,
  e.amount_usd + coalesce((select sum(r.amount_usd) from studio.cost_entries r
    where r.job_id = e.job_id and r.attempt = e.attempt and r.kind = 'refund'), 0) as amount_usd,
  e.amount_usd is null as is_unknown
from studio.cost_entries e
where e.kind <> 'refund'
order by e.job_id, e.attempt, array_position(array['billed', 'computed', 'estimated'], e.kind);

create table studio.budgets (
  id uuid primary key default gen_random_uuid(),
  scope text not null check (scope in ('everybody', 'person')),
  user_id uuid,
  period text not null check (period in ('day', 'month')),
  limit_usd numeric(12, 6) not null check (limit_usd >= 0),
  hard boolean not null default true,
  reserve_usd numeric(12, 6),
  check ((scope = 'person') = (user_id is not null))
);
comment on column studio.budgets.reserve_usd is 'what a picture of unknown price holds; null: such models are refused';

-- Portraits that another writer deleted: removed on purpose, so no repair brings them back (SPEC "character_portraits").
create table studio.removed_portraits (
  job_id uuid primary key,
  character_id uuid not null,
  removed_at timestamptz not null default now()
);

alter table studio.submissions enable row level security;
alter table studio.job_events enable row level security;
alter table studio.workers enable row level security;
alter table studio.provider_state enable row level security;
alter table studio.model_prices enable row level security;
alter table studio.cost_entries enable row level security;
alter table studio.budgets enable row level security;
alter table studio.removed_portraits enable row level security;
grant all on all tables in schema studio to service_role;
