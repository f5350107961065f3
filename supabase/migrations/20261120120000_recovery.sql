-- What recovery did and why, purging as a person's decision, and that the object of a result was cleaned.

-- One line a job, deed and person (nobody: the schedule). Done again it is counted, so it never grows by the minute.
create table studio.recovery_steps (
  id bigint generated always as identity primary key,
  job_id uuid not null,
  action text not null,
  why text not null,
  who uuid,
  first_at timestamptz not null default clock_timestamp(),
  last_at timestamptz not null default clock_timestamp(),
  times integer not null default 1,
  unique nulls not distinct (job_id, action, who)
);
comment on column studio.recovery_steps.who is 'the person who asked for it; null: the schedule';
create index recovery_steps_recent on studio.recovery_steps (last_at desc, id desc);
alter table studio.recovery_steps enable row level security;
create policy reads on studio.recovery_steps for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')) or studio.may_read_job(job_id));
create policy studio_service on studio.recovery_steps for all to service_role using (true) with check (true);
grant select on studio.recovery_steps to authenticated;
grant all on studio.recovery_steps to service_role;

alter table public.workspace_assets add column if not exists cleaned_at timestamptz;
comment on column public.workspace_assets.cleaned_at is
  'when its object was removed from workspace-temp, its copy in user-library proved; null: the object should be there';

create function studio.inside_workspace(path text) returns text language sql immutable strict set search_path = '' as $$
  select left(regexp_replace(path, '^workspace-temp/', ''), 600)  -- an index takes no longer ones
$$;

-- Cleaning goes through results by age; whose object another row names too is found by its path.
create index assets_to_clean on public.workspace_assets (created_at, id) where cleaned_at is null;
create index assets_by_path on public.workspace_assets (studio.inside_workspace(temp_storage_path));

-- Whether a job may be purged (SPEC "Purge"): null where it may, else why not, in a sentence.
create function studio.purge_refusal(p_job uuid) returns text
language plpgsql stable security definer set search_path = '' as $$
declare
  it public.jobs;
  sent studio.submissions;
begin
  select * into it from public.jobs j where j.id = p_job;
  if it.id is null then
    return 'There is no such job.';
  end if;
  if it.status in ('completed', 'failed', 'cancelled') then
    return format('It has ended already (%s); there is nothing to purge.', it.status);
  end if;
  if exists (select from public.workspace_assets a where a.job_id = p_job) then
    return 'Its picture is there. Recover it instead.';
  end if;
  select * into sent from studio.submissions s where s.job_id = p_job and s.outcome is distinct from 'not_accepted';
  if sent.id is not null and sent.receipt is not null and (sent.outcome is null or sent.outcome = 'finished') then
    return 'It was paid for, and its provider can still be asked for the picture. Recover it instead.';
  end if;
  if sent.id is not null and sent.receipt is null and sent.outcome is null then
    return 'It was sent and its outcome is unknown. Look at the provider and settle it first.';
  end if;
  if sent.id is null and studio.as_uuid(it.metadata ->> 'fal_request_id') is not null and exists (
    select from public.api_models m join public.api_providers p on p.id = m.provider_id
    where m.id = it.api_model_id and lower(p.name) = 'fal'
  ) then
    return 'The platform noted a request of its provider, which may still bring the picture. Recover it instead.';
  end if;
  return null;
end $$;
revoke execute on function studio.purge_refusal(uuid) from public;

create function studio.refuse_purger() returns void language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Purging needs the qa role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

-- What purging these jobs would do, row by row; changes nothing.
create function studio.purge_preview(p_jobs uuid[]) returns table (job_id uuid, refusal text)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_purger();
  return query select asked.id, studio.purge_refusal(asked.id)
    from unnest(p_jobs) with ordinality as asked (id, place) order by asked.place;
end $$;
revoke execute on function studio.purge_preview(uuid[]) from public;
grant execute on function studio.purge_preview(uuid[]) to authenticated;

-- Purge = failed with code PURGED, each row by itself: one that cannot be changed is reported and takes no other along.
-- Rows are never deleted. The job is locked before it is looked at, as the intent to send locks it first too.
create function studio.purge(p_jobs uuid[], p_why text) returns table (job_id uuid, refusal text)
language plpgsql security definer set search_path = '' as $$
declare
  it public.jobs;
  asked uuid;
begin
  perform studio.refuse_purger();
  if coalesce(trim(p_why), '') = '' then
    raise exception 'Say in a few words why these jobs are purged.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  -- In one order, so that two who purge at once never wait for each other.
  for asked in select distinct listed.id from unnest(p_jobs) as listed (id) order by listed.id loop
    job_id := asked;
    begin
      select * into it from public.jobs j where j.id = asked for update;
      refusal := studio.purge_refusal(asked);
      if refusal is null then
        update public.jobs set status = 'failed', stage = null, progress = null, queue_position = null,
          error_code = 'PURGED',
          error_message = 'QA ended this job: nothing of it had come, and nothing was to be waited for.'
        where id = asked;
        delete from studio_queue.pgqueuer q where q.dedupe_key = 'job:' || asked::text and q.status = 'queued';
        insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
        select e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', 0, 'never sent'
        from studio.cost_entries e where e.job_id = asked and e.kind = 'estimated' and not exists (
          select from studio.submissions s where s.job_id = e.job_id and s.attempt = e.attempt)
        on conflict do nothing;
        perform studio.note_audit('job_purged', 'jobs', asked::text,
          jsonb_build_object('status', it.status, 'stage', it.stage, 'runner', it.runner),
          jsonb_build_object('status', 'failed', 'error_code', 'PURGED'), p_why);
      end if;
    exception when others then
      refusal := 'The database could not change it (' || sqlstate || '). Nothing of it was changed; try again.';
    end;
    return next;
  end loop;
end $$;
revoke execute on function studio.purge(uuid[], text) from public;
grant execute on function studio.purge(uuid[], text) to authenticated;
