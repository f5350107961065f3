-- The proof that every portrait was saved (SPEC "The seven auto-save checks"): its runs, what it found broken, and
-- the indexes that let it read 100,000 portraits in seconds.

-- Portrait jobs in the order in which they ended: the proof's order, so that what ends while it runs comes later.
create index if not exists jobs_by_end on public.jobs ((coalesce(completed_at, created_at)), id)
  where (metadata ->> 'destination') = 'character_portrait';

-- Rows from before job_id was written: their job by what they name. Built-in functions only and never longer than an
-- id, so that no write of another role can fail on these.
create index if not exists library_of_older_job on public.user_library
  (lower(substring(storage_path from '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?\.[A-Za-z0-9]+$')))
  where job_id is null;
create index if not exists portraits_of_older_job on public.character_portraits
  (lower(coalesce(left(generation_metadata ->> 'job_id', 36), substring(image_url from '(?:^|/)([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})(?:_[^/]*)?\.[A-Za-z0-9]+$'))))
  where job_id is null;

-- A library row that a signed-in person deleted: removed on purpose, so no repair brings it back. What a service or a
-- hand at the database deletes is no such word.
create table if not exists studio.removed_items (
  job_id uuid primary key,
  removed_at timestamptz not null default now()
);

create or replace function studio.note_removed_item() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  its_job uuid := coalesce(old.job_id, studio.job_of_path(old.storage_path));
begin
  if its_job is not null then
    insert into studio.removed_items (job_id) values (its_job) on conflict do nothing;
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;
end $$;
create trigger note_removed_item after delete on public.user_library
  for each row when (current_user = 'authenticated') execute function studio.note_removed_item();

create table if not exists studio.proof_runs (
  id uuid primary key default gen_random_uuid(),
  since timestamptz,
  with_objects boolean not null,
  started_at timestamptz not null default clock_timestamp(),
  beat_at timestamptz not null default clock_timestamp(),
  cursor_at timestamptz,
  cursor_id uuid,
  expected bigint not null,
  looked_at bigint not null default 0,
  broken bigint not null default 0,
  tally jsonb not null default '{}',
  finished_at timestamptz
);
comment on column studio.proof_runs.tally is 'how many jobs each check answered how: {"library_row": {"PASSED": 12, "NO_LIBRARY_ROW": 1}, …}';
create index if not exists proof_runs_recent on studio.proof_runs (started_at desc);

create table if not exists studio.proof_results (
  job_id uuid primary key,
  ended_at timestamptz not null,
  broken_since timestamptz not null default clock_timestamp(),
  row_codes text[] not null default '{}',
  object_codes text[] not null default '{}',
  rows_at timestamptz not null default clock_timestamp(),
  objects_at timestamptz
);
comment on table studio.proof_results is 'jobs that the proof found broken, and only those; a job that is well again has no row';

alter table studio.removed_items enable row level security;
alter table studio.proof_runs enable row level security;
alter table studio.proof_results enable row level security;
do $$
declare
  name text;
begin
  foreach name in array array['removed_items', 'proof_runs', 'proof_results'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
    execute format('grant all on studio.%I to service_role', name);
  end loop;
  foreach name in array array['removed_items', 'removed_portraits', 'proof_runs', 'proof_results'] loop
    execute format('create policy team_reads on studio.%I for select to authenticated using ((select studio.has_role(''qa'', ''product'', ''admin'')))', name);
    execute format('grant select on studio.%I to authenticated', name);
  end loop;
end $$;
