-- What /metrics counts up, kept here so that every process tells the same totals and none counts a row twice
-- (docs/decisions/0016).

-- The transaction that wrote a row. Identities are handed out before their transactions end, so "everything after the
-- last id I saw" loses rows; "everything of transactions that had ended by then" does not. Older rows stay null: the
-- counters begin with this migration.
alter table studio.job_events add column if not exists written_in bigint;
alter table studio.job_events alter column written_in set default (pg_current_xact_id()::text)::bigint;
alter table studio.cost_entries add column if not exists written_in bigint;
alter table studio.cost_entries alter column written_in set default (pg_current_xact_id()::text)::bigint;

create index if not exists job_events_of_ends on studio.job_events (written_in)
  where written_in is not null and to_status in ('completed', 'failed', 'cancelled')
    and from_status is distinct from to_status;
create index if not exists cost_entries_by_transaction on studio.cost_entries (written_in)
  where written_in is not null;

create table studio.counters (
  name text not null,
  labels text[] not null,
  value numeric not null default 0,
  primary key (name, labels)
);
comment on table studio.counters is 'totals that only grow; labels by place, as core/db/counters.py names them';

create table studio.counted (
  source text primary key,
  written_before bigint not null
);
comment on column studio.counted.written_before is 'rows of transactions below this number are in the totals';
insert into studio.counted (source, written_before)
select source, (pg_snapshot_xmin(pg_current_snapshot())::text)::bigint
from unnest(array['job_events', 'cost_entries']) as source;

alter table studio.counters enable row level security;
alter table studio.counted enable row level security;
revoke all on studio.counters, studio.counted from anon, authenticated;
grant all on studio.counters, studio.counted to service_role;
