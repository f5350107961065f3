-- Attribute images (SPEC "Attribute images"): runs, the job of each cell, older versions, and what a person may cause:
-- a cell's job goes the way of a portrait, its picture is published instead of saved for a character.
-- A cell is (category, value, style); a style's own picture is ('style', its key, its key).

alter table public.style_images
  add column if not exists seed bigint,
  add column if not exists width integer,
  add column if not exists height integer;

create table studio.attribute_runs (
  id uuid primary key,
  asked_by uuid not null,
  kind text not null check (kind in ('generate', 'regenerate')),
  limit_usd numeric(12, 6) check (limit_usd >= 0),
  asked_at timestamptz not null default now(),
  cancelled_at timestamptz,
  cancelled_by uuid
);
comment on column studio.attribute_runs.limit_usd is 'what the run may spend at most; null: budgets alone';

create table studio.attribute_jobs (
  job_id uuid primary key,
  run_id uuid not null references studio.attribute_runs (id),
  category text not null,
  value text not null,
  style text not null,
  replaces boolean not null,
  asked_by uuid not null,
  asked_at timestamptz not null default clock_timestamp(),
  held_usd numeric(12, 6),
  unique (run_id, category, value, style)
);
comment on column studio.attribute_jobs.held_usd is
  'what it counts against a limit until its cost is known: a started megapixel whole, as providers bill it';
create index attribute_jobs_of_cell on studio.attribute_jobs (category, value, style, asked_at desc);
create index attribute_jobs_of_person on studio.attribute_jobs (asked_by, asked_at desc);

create table studio.attribute_image_versions (
  id uuid primary key default gen_random_uuid(),
  category text not null,
  value text not null,
  style text not null,
  image_url text not null,
  original text,
  prompt text,
  seed bigint,
  width integer,
  height integer,
  file_size_bytes bigint,
  job_id uuid,
  cost_usd numeric(12, 6),
  review_status text not null,
  reviewed_by uuid,
  reviewed_at timestamptz,
  review_note text,
  made_at timestamptz not null,
  kept_at timestamptz not null default now(),
  why text not null check (why in ('replaced', 'not_shown')),
  unique (category, value, style, image_url)
);
comment on column studio.attribute_image_versions.why is
  'replaced: it was shown until a newer one came. not_shown: paid for, and its place was taken meanwhile';

alter table studio.attribute_runs enable row level security;
alter table studio.attribute_jobs enable row level security;
alter table studio.attribute_image_versions enable row level security;
grant all on studio.attribute_runs, studio.attribute_jobs, studio.attribute_image_versions to service_role;
grant select on studio.attribute_runs, studio.attribute_jobs, studio.attribute_image_versions to authenticated;
do $$
declare
  name text;
begin
  foreach name in array array['attribute_runs', 'attribute_jobs', 'attribute_image_versions'] loop
    execute format('create policy studio_service on studio.%I for all to service_role using (true) with check (true)', name);
    execute format('create policy reads on studio.%I for select to authenticated
                    using (studio.has_role(''qa'', ''product'', ''admin''))', name);
  end loop;
end $$;

-- Both tables of published pictures as cells.
create view studio.attribute_pictures with (security_invoker = true) as
select a.id, a.category, a.value, a.style, a.image_url, a.original, a.prompt, a.seed, a.width, a.height,
  a.file_size_bytes, a.job_id, a.cost_usd, a.review_status, a.reviewed_by, a.reviewed_at, a.review_note,
  a.created_at, a.updated_at
from public.attribute_images a
union all
select s.id, 'style', s.style, s.style, s.image_url, s.original, s.prompt, s.seed, s.width, s.height,
  s.file_size_bytes, s.job_id, s.cost_usd, s.review_status, s.reviewed_by, s.reviewed_at, s.review_note,
  s.created_at, s.updated_at
from public.style_images s;
grant select on studio.attribute_pictures to authenticated, service_role;

-- One hand at a cell at a time: whoever asks for it and whoever publishes it.
create function studio.lock_attribute_cell(p_category text, p_value text, p_style text) returns void
language sql set search_path = '' as $$
  select pg_advisory_xact_lock(hashtextextended(
    'attribute:' || jsonb_build_array(lower(p_category), lower(p_value), lower(p_style))::text, 0))
$$;
revoke execute on function studio.lock_attribute_cell(text, text, text) from public;

-- Publishing at completion -----------------------------------------------------------------------------------------

create function studio.publish_completed_job() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
  values ('publish', convert_to(new.id::text, 'UTF8'), 0, 'queued', 'publish:' || new.id::text)
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;  -- recovery looks again
end $$;
create trigger publish_completed_job after update of status on public.jobs
  for each row when (new.status = 'completed' and old.status <> 'completed' and new.runner = 'studio'
                     and new.job_type = 'attribute_image')
  execute function studio.publish_completed_job();
create index jobs_unpublished on public.jobs (created_at)
  where job_type = 'attribute_image' and status = 'completed' and stage is distinct from 'saved';

create trigger tell after insert or update or delete on public.attribute_images
  for each row execute function studio.tell();
create trigger tell after insert or update or delete on public.style_images
  for each row execute function studio.tell();

-- What a person may cause ------------------------------------------------------------------------------------------

create function studio.refuse_unless_product() returns void language plpgsql stable set search_path = '' as $$
begin
  if auth.uid() is null or not studio.has_role('product', 'admin') then
    raise exception 'Attribute images are made and changed by product and admin. Ask an admin for the role.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

-- Begins a run, once: the same id again is the same run.
create function studio.begin_attribute_run(p_run uuid, p_kind text, p_limit numeric) returns void
language plpgsql security definer set search_path = '' as $$
declare
  standing studio.attribute_runs;
begin
  perform studio.refuse_unless_product();
  if p_limit < 0 then
    raise exception 'A spending limit is not below zero.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'limit_usd';
  end if;
  insert into studio.attribute_runs (id, asked_by, kind, limit_usd) values (p_run, auth.uid(), p_kind, p_limit)
  on conflict (id) do nothing;
  if found then
    perform studio.note_audit('attribute_run_begun', 'attribute_runs', p_run::text, null,
      jsonb_build_object('kind', p_kind, 'limit_usd', p_limit));
    return;
  end if;
  select * into standing from studio.attribute_runs r where r.id = p_run;
  if (standing.asked_by, standing.kind) is distinct from (auth.uid(), p_kind)
     or standing.limit_usd is distinct from p_limit::numeric(12, 6) then
    raise exception 'This run was begun otherwise, or by somebody else. Begin a new one.'
      using errcode = 'PS409', detail = 'RUN_REUSED';
  end if;
end $$;
revoke execute on function studio.begin_attribute_run(uuid, text, numeric) from public;
grant execute on function studio.begin_attribute_run(uuid, text, numeric) to authenticated;

-- What counts against a run's limit: its own pictures, and what this person's other runs still have on their way, so
-- that a double click and two terminals spend a limit once. Null where an amount is not known.
create function studio.held_by_attribute_run(p_run uuid, p_person uuid) returns numeric
language sql stable security definer set search_path = '' as $$
  select case when bool_or(counted.amount is null) then null else coalesce(sum(counted.amount), 0) end
  from (
    select case when j.status in ('queued', 'processing') then greatest(a.held_usd, sum(best.amount_usd))
                else sum(best.amount_usd) + case when bool_or(best.amount_usd is null) then null else 0 end
           end as amount
    from studio.attribute_jobs a
    join public.jobs j on j.id = a.job_id
    join studio.cost_entries e on e.job_id = a.job_id and e.kind = 'estimated'
    cross join lateral studio.best_cost(e.job_id, e.attempt) best
    where a.run_id = p_run or (a.asked_by = p_person and j.status in ('queued', 'processing'))
    group by a.job_id, a.held_usd, j.status
  ) counted
$$;
revoke execute on function studio.held_by_attribute_run(uuid, uuid) from public;

-- The job that makes this cell's picture now, or whose paid picture may still come; null where there is none.
create function studio.job_of_attribute_cell(p_category text, p_value text, p_style text) returns uuid
language sql stable security definer set search_path = '' as $$
  select a.job_id
  from studio.attribute_jobs a join public.jobs j on j.id = a.job_id
  where a.category = p_category and a.value = p_value and a.style = p_style
    and (j.status in ('queued', 'processing')
         or (j.status = 'completed' and j.stage is distinct from 'saved' and j.stage is distinct from 'not_saved')
         or (j.status in ('failed', 'cancelled') and exists (
               select from studio.submissions s
               where s.job_id = j.id and s.outcome is null and s.receipt is not null)))
  order by a.asked_at desc limit 1
$$;
revoke execute on function studio.job_of_attribute_cell(text, text, text) from public;

-- One cell of a run: job, estimate and queue entry at once, or why not. Outcomes: asked; asked_before (by this run);
-- ready (a picture stands, and this run does not replace); running; cancelled (the run); limit; price_unknown.
-- Locks are always taken in this order: the person's runs, the cell, the person's waiting pictures, the budgets.
create function studio.ask_attribute_image(
  p_run uuid, p_category text, p_value text, p_style text, p_names text[], p_model uuid, p_prompt text,
  p_metadata jsonb, p_width integer, p_height integer, p_max_waiting integer
) returns table (job_id uuid, outcome text)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  run studio.attribute_runs;
  names text[] := array(select lower(btrim(n)) from unnest(p_names || p_value) n);
  model record;
  price record;
  waiting integer;
  standing uuid;
  held numeric;
  mine numeric;
  made uuid;
begin
  perform studio.refuse_unless_product();
  if not (p_width between 64 and 8192 and p_height between 64 and 8192) then
    raise exception 'A picture has 64 to 8192 pixels a side.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'size';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('attribute_runs:' || me::text, 0));
  perform studio.lock_attribute_cell(p_category, p_value, p_style);
  select * into run from studio.attribute_runs r where r.id = p_run and r.asked_by = me for share;
  if run.id is null then
    raise exception 'There is no such run of yours. Begin a new one.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  select a.job_id into standing from studio.attribute_jobs a
  where a.run_id = p_run and a.category = p_category and a.value = p_value and a.style = p_style;
  if standing is not null then
    return query select standing, 'asked_before';
    return;
  end if;
  if run.cancelled_at is not null then
    return query select null::uuid, 'cancelled';
    return;
  end if;
  standing := studio.job_of_attribute_cell(p_category, p_value, p_style);
  if standing is not null then
    return query select standing, 'running';
    return;
  end if;
  if run.kind = 'generate' and exists (
    select from studio.attribute_pictures v
    where lower(btrim(v.category)) = lower(p_category) and lower(btrim(v.style)) = lower(p_style)
      and lower(btrim(v.value)) = any (names)
      and (not studio.is_sketched(v.job_id) or exists (
        select from public.api_models m join public.api_providers p on p.id = m.provider_id
        where m.id = p_model and p.name = 'sketch'))
  ) then
    return query select null::uuid, 'ready';
    return;
  end if;
  select m.id, m.model_key, p.name as provider into model
  from public.api_models m join public.api_providers p on p.id = m.provider_id
  where m.id = p_model and m.is_active and m.modality = 'image';
  if model.id is null then
    raise exception 'This model is switched off, unknown, or does not make images. Choose another one.'
      using errcode = 'PS400', detail = 'MODEL_UNAVAILABLE';
  end if;
  select * into price from studio.price_of(model.id, p_width, p_height);
  mine := studio.price_held(model.id, p_width, p_height);
  if run.limit_usd is not null then
    held := studio.held_by_attribute_run(p_run, me);
    if mine is null or held is null then
      return query select null::uuid, 'price_unknown';
      return;
    end if;
    if held + mine > run.limit_usd then
      return query select null::uuid, 'limit';
      return;
    end if;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('waiting:' || me::text, 0));
  select count(*) into waiting from (
    select from public.jobs j where j.user_id = me and j.runner = 'studio' and j.status in ('queued', 'processing')
      and j.stage is distinct from 'outcome_unknown'
    limit p_max_waiting
  ) open_jobs;
  if waiting >= p_max_waiting then
    raise exception 'You have % pictures waiting, which is as many as one person may have. Wait for some, or cancel them.', waiting
      using errcode = 'PS429', detail = 'TOO_MANY';
  end if;
  perform studio.hold_budget(me, price.amount);

  insert into public.jobs (user_id, job_type, status, original_prompt, api_model_id, metadata, runner, stage)
  values (me, 'attribute_image', 'queued', p_prompt, model.id,
          (p_metadata - 'reference_image_url' - 'character_id') || jsonb_build_object(
            'destination', 'attribute_image', 'provider', model.provider, 'model_key', model.model_key, 'owner', me,
            'width', p_width, 'height', p_height, 'content_rating', 'sfw', 'safety_checker', true,
            'attribute', jsonb_build_object('category', p_category, 'value', p_value, 'style', p_style,
                                            'run', p_run, 'replaces', run.kind = 'regenerate')),
          'studio', 'waiting')
  returning id into made;
  insert into studio.attribute_jobs (job_id, run_id, category, value, style, replaces, asked_by, held_usd)
  values (made, p_run, p_category, p_value, p_style, run.kind = 'regenerate', me, mine);
  insert into studio.cost_entries (job_id, attempt, user_id, provider, model_key, kind, amount_usd, units, price_id)
  values (made, 1, me, model.provider, model.model_key, 'estimated', price.amount,
          jsonb_build_object('unit', price.unit, 'width', p_width, 'height', p_height), price.price_id);
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
  values ('portrait_' || model.provider, convert_to(made::text, 'UTF8'), -waiting, 'queued', 'job:' || made::text)
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
  perform studio.note_audit('attribute_image_asked', 'jobs', made::text, null, jsonb_build_object(
    'category', p_category, 'value', p_value, 'style', p_style, 'run', p_run,
    'replaces', run.kind = 'regenerate', 'estimated_usd', price.amount));
  return query select made, 'asked';
end $$;
revoke execute on function studio.ask_attribute_image(uuid, text, text, text, text[], uuid, text, jsonb, integer, integer, integer) from public;
grant execute on function studio.ask_attribute_image(uuid, text, text, text, text[], uuid, text, jsonb, integer, integer, integer) to authenticated;

-- The moves of studio.cancel, without the question who asks: a job that was not started ends here with an explicit 0,
-- one that was is asked to stop. Returns its status afterwards.
create function studio.stop_attribute_job(p_job uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  it public.jobs;
begin
  select * into it from public.jobs j where j.id = p_job and j.job_type = 'attribute_image' for update;
  if it.id is null or it.status in ('completed', 'failed', 'cancelled') or it.cancel_requested then
    return it.status;
  end if;
  if it.status = 'queued' and not exists (
    select from studio.submissions s where s.job_id = p_job and s.outcome is distinct from 'not_accepted'
  ) then
    update public.jobs set status = 'cancelled', cancel_requested = true, stage = null where id = p_job;
    delete from studio_queue.pgqueuer q where q.dedupe_key = 'job:' || p_job::text and q.status = 'queued';
    insert into studio.cost_entries (job_id, attempt, user_id, provider, model_key, kind, amount_usd, note)
    select e.job_id, e.attempt, e.user_id, e.provider, e.model_key, 'computed', 0, 'never sent'
    from studio.cost_entries e where e.job_id = p_job and e.kind = 'estimated'
    on conflict do nothing;
    return 'cancelled';
  end if;
  update public.jobs set cancel_requested = true,
    stage = case when it.stage = 'outcome_unknown' then it.stage else 'cancelling' end where id = p_job;
  -- Waiting for its provider to be free again: look at once.
  update studio_queue.pgqueuer set execute_after = now()
  where dedupe_key = 'job:' || p_job::text and studio_queue.pgqueuer.status = 'queued' and execute_after > now();
  return it.status;
end $$;
revoke execute on function studio.stop_attribute_job(uuid) from public;

-- Cancels one cell's job; its status afterwards.
create function studio.cancel_attribute_image(p_job uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  answer text;
begin
  perform studio.refuse_unless_product();
  answer := studio.stop_attribute_job(p_job);
  if answer is null then
    raise exception 'There is no such attribute image on its way.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.note_audit('attribute_image_cancelled', 'jobs', p_job::text, null, jsonb_build_object('status', answer));
  return answer;
end $$;
revoke execute on function studio.cancel_attribute_image(uuid) from public;
grant execute on function studio.cancel_attribute_image(uuid) to authenticated;

-- Cancels a run: nothing more is asked in it, what was not sent ends, what was is asked to stop. How many jobs of it
-- are cancelled now, and how many were sent already.
create function studio.cancel_attribute_run(p_run uuid) returns table (cancelled integer, sent integer)
language plpgsql security definer set search_path = '' as $$
declare
  done integer;
  gone integer;
begin
  perform studio.refuse_unless_product();
  update studio.attribute_runs set cancelled_at = coalesce(cancelled_at, now()), cancelled_by = coalesce(cancelled_by, auth.uid())
  where id = p_run;
  if not found then
    raise exception 'There is no such run of attribute images.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.stop_attribute_job(a.job_id) from (
    select a.job_id from studio.attribute_jobs a where a.run_id = p_run order by a.asked_at desc, a.job_id
  ) a;
  select count(*) filter (where j.status = 'cancelled'), count(*) filter (where j.status = 'processing') into done, gone
  from studio.attribute_jobs a join public.jobs j on j.id = a.job_id where a.run_id = p_run;
  perform studio.note_audit('attribute_run_cancelled', 'attribute_runs', p_run::text, null,
    jsonb_build_object('cancelled', done, 'sent', gone));
  return query select done, gone;
end $$;
revoke execute on function studio.cancel_attribute_run(uuid) from public;
grant execute on function studio.cancel_attribute_run(uuid) to authenticated;
