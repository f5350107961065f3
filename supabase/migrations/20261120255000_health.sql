-- The health of the whole: what is broken since when and who was told, what the store answered, and the few facts of
-- the queue and the schema that people with a role may read.

create table studio.health_state (
  rule text not null,
  subject text not null default '',
  severity text not null check (severity in ('bad', 'warn')),
  sentence text not null,
  page text not null,
  broken boolean not null default true,
  broken_since timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  healed_at timestamptz,
  told_at timestamptz,
  told_broken boolean not null default false,
  primary key (rule, subject)
);
comment on column studio.health_state.told_broken is
  'what the last notice said of it: false and still broken, or true and healed, is news that was not told yet';

create table studio.health_notices (
  id bigint generated always as identity primary key,
  made_at timestamptz not null default clock_timestamp(),
  body jsonb not null,
  attempts integer not null default 0,
  next_try_at timestamptz not null default clock_timestamp(),
  sent_at timestamptz,
  given_up_at timestamptz,
  last_answer text
);
comment on column studio.health_notices.last_answer is 'in words; never the address it was sent to';
create index health_notices_due on studio.health_notices (next_try_at) where sent_at is null and given_up_at is null;
create index health_notices_recent on studio.health_notices (made_at desc);

create table studio.health_looks (
  name text primary key,
  at timestamptz not null default clock_timestamp(),
  ok boolean not null,
  seconds double precision,
  sentence text not null
);
comment on table studio.health_looks is
  'the newest look at something outside the database: the rules themselves, the store, each provider';

alter table studio.health_state enable row level security;
alter table studio.health_notices enable row level security;
alter table studio.health_looks enable row level security;
grant all on studio.health_state, studio.health_notices, studio.health_looks to service_role;
grant select on studio.health_state, studio.health_looks to authenticated;
grant select (id, made_at, attempts, next_try_at, sent_at, given_up_at, last_answer) on studio.health_notices to authenticated;
do $$
declare
  name text;
begin
  foreach name in array array['health_state', 'health_notices', 'health_looks'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
    execute format('create policy team_reads on studio.%I for select to authenticated
                    using ((select studio.has_role(''qa'', ''product'', ''admin'')))', name);
  end loop;
end $$;

-- The queue is the engine's: people see how it stands, never an entry's payload.
create function studio.queue_stand()
returns table (entrypoint text, waiting bigint, picked bigint, held bigint, oldest_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('qa', 'product', 'admin');
  return query
    with recursive waits as (
      (select q.entrypoint as name, 1 as place from studio_queue.pgqueuer q
       where q.status = 'queued' order by q.entrypoint limit 1)
      union all
      select next.name, waits.place + 1 from waits cross join lateral (
        select q.entrypoint as name from studio_queue.pgqueuer q
        where q.status = 'queued' and q.entrypoint > waits.name order by q.entrypoint limit 1) next
      where waits.place < 50
    ),
    others as (
      select q.entrypoint as name, count(*) filter (where q.status = 'picked') as picked,
        count(*) filter (where q.status = 'failed') as held
      from studio_queue.pgqueuer q where q.status in ('picked', 'failed') group by q.entrypoint
    )
    select coalesce(waits.name, others.name),
      (select count(*) from (select from studio_queue.pgqueuer q
        where q.entrypoint = waits.name and q.status = 'queued' and q.execute_after <= now() limit 10001) due),
      coalesce(others.picked, 0), coalesce(others.held, 0),
      (select q.execute_after from studio_queue.pgqueuer q
        where q.entrypoint = waits.name and q.status = 'queued' and q.execute_after <= now()
        order by q.execute_after limit 1)
    from waits full join others on others.name = waits.name
    order by 1;
end $$;
revoke execute on function studio.queue_stand() from public;
grant execute on function studio.queue_stand() to authenticated;

-- The live entry of one job, for the question which jobs are stuck.
create function studio.live_entry(p_job uuid) returns table (id bigint, execute_after timestamptz)
language sql stable security definer set search_path = '' as $$
  select q.id, q.execute_after from studio_queue.pgqueuer q
  where q.dedupe_key = 'job:' || p_job::text and q.status in ('queued', 'picked')
    and studio.has_role('qa', 'product', 'admin')
$$;
revoke execute on function studio.live_entry(uuid) from public;
grant execute on function studio.live_entry(uuid) to authenticated;

create function studio.schedule_stand()
returns table (name text, expression text, last_run timestamptz, next_run timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('qa', 'product', 'admin');
  return query
    select s.entrypoint, s.expression, s.last_run, s.next_run from studio_queue.pgqueuer_schedules s
    order by s.entrypoint, s.expression limit 100;
end $$;
revoke execute on function studio.schedule_stand() from public;
grant execute on function studio.schedule_stand() to authenticated;

create function studio.applied_migrations() returns table (version text, name text, applied_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('qa', 'product', 'admin');
  return query select m.version, m.name, m.applied_at from studio.schema_migrations m order by m.version;
end $$;
revoke execute on function studio.applied_migrations() from public;
grant execute on function studio.applied_migrations() to authenticated;

-- A test message goes out: an admin's word, on the record.
create function studio.note_test_notice(p_answer text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('admin');
  perform studio.note_audit('test_notice', 'health_notices', null, null, jsonb_build_object('answer', p_answer), null);
end $$;
revoke execute on function studio.note_test_notice(text) from public;
grant execute on function studio.note_test_notice(text) to authenticated;

-- Asked once a statement instead of once a row, as jobs are (see audit_indexes); nobody sees more than before.
create policy team_reads_costs on studio.cost_entries for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_costs on public.character_portraits for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_costs on public.user_library for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_costs on studio.ratings for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
create policy team_reads_costs on studio.submissions for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));
