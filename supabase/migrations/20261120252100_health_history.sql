-- How well portraits were saved over time, and a check that a person asks for (SPEC "The seven auto-save checks").

-- One line a check and finished run; `check_name` whole is the portrait itself: passed only where every check that
-- applies was made and passed. Runs are trimmed, their history is not.
create table if not exists studio.health_history (
  run_id uuid not null,
  check_name text not null,
  at timestamptz not null default clock_timestamp(),
  since timestamptz,
  with_objects boolean not null,
  passed bigint not null,
  failed bigint not null,
  not_checked bigint not null,
  not_applicable bigint not null,
  primary key (run_id, check_name)
);
create index if not exists health_history_recent on studio.health_history (at desc) where since is null;
alter table studio.health_history enable row level security;
create policy studio_service on studio.health_history for all to service_role using (true) with check (true);
create policy team_reads on studio.health_history for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
grant all on studio.health_history to service_role;
grant select on studio.health_history to authenticated;

alter table studio.proof_runs
  add column if not exists asked_by uuid,
  add column if not exists waits boolean not null default false,
  add column if not exists trouble text;
comment on column studio.proof_runs.waits is 'asked for by a person, and no worker has begun with it';
comment on column studio.proof_runs.trouble is 'why it stands still, in a sentence; null while it goes on';

-- The broken ones, the last ended first: the dashboard turns their pages.
create index if not exists proof_results_by_end on studio.proof_results (ended_at desc, job_id desc);
create index if not exists proof_results_rows on studio.proof_results using gin (row_codes);
create index if not exists proof_results_objects on studio.proof_results using gin (object_codes);

-- Who repaired a portrait last: told to whoever comes second.
create index if not exists audit_events_repairs on studio.audit_events (row_id, at desc)
  where action = 'autosave_repaired';

-- A check now: a worker carries it out, so that it goes on when the page is closed. One that is under way already and
-- looks at the same is answered instead of a second one.
create or replace function studio.ask_proof(p_since timestamptz, p_with_objects boolean)
returns table (run_id uuid, is_new boolean)
language plpgsql security definer set search_path = '' as $$
declare
  found_id uuid;
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Starting a check needs the qa role. Ask an admin for it.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('ask_proof', 0));
  select r.id into found_id from studio.proof_runs r
  where r.finished_at is null and r.with_objects = p_with_objects and r.asked_by is not null
    and r.started_at > clock_timestamp() - interval '24 hours'
    and (r.since is null or r.since <= p_since + interval '5 minutes')
  order by r.started_at desc limit 1;
  if found_id is not null then
    insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
    values ('prove', convert_to(found_id::text, 'UTF8'), 0, 'queued', 'prove:' || found_id::text)
    on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
    return query select found_id, false;
    return;
  end if;
  insert into studio.proof_runs (since, with_objects, asked_by, waits, expected)
  values (p_since, p_with_objects, auth.uid(), true, (
    select count(*) from public.jobs j
    where (j.metadata ->> 'destination') = 'character_portrait'
      and coalesce(j.completed_at, j.created_at) >= coalesce(p_since, '-infinity')
      and coalesce(j.completed_at, j.created_at) <= clock_timestamp()))
  returning id into found_id;
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
  values ('prove', convert_to(found_id::text, 'UTF8'), 0, 'queued', 'prove:' || found_id::text)
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
  perform studio.note_audit('proof_asked', 'proof_runs', found_id::text, null,
    jsonb_build_object('since', p_since, 'with_objects', p_with_objects));
  return query select found_id, true;
end $$;
revoke execute on function studio.ask_proof(timestamptz, boolean) from public;
grant execute on function studio.ask_proof(timestamptz, boolean) to authenticated;
