-- A placeholder of Sketch holds no place against a real picture, a run's limit and its plan count with one figure, and a
-- price is a number.

-- True where a job's picture was drawn by the built-in Sketch.
create function studio.is_sketched(p_job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select exists (select from public.jobs j where j.id = p_job and j.metadata ->> 'provider' = 'sketch')
$$;
revoke execute on function studio.is_sketched(uuid) from public;
grant execute on function studio.is_sketched(uuid) to authenticated, service_role;

-- What one picture holds against a run's limit: a started megapixel whole, as providers bill it; null: not known.
create function studio.price_held(p_model uuid, p_width integer, p_height integer) returns numeric
language sql stable security definer set search_path = '' as $$
  select case price.unit
    when 'megapixel' then ceil(p_width * p_height / 1000000.0)
      * (select at.price from studio.price_at(p_model, p_width, p_height, now()) at)
    else price.amount end
  from studio.price_of(p_model, p_width, p_height) price
$$;
revoke execute on function studio.price_held(uuid, integer, integer) from public;
grant execute on function studio.price_held(uuid, integer, integer) to authenticated;

-- One cell of a run: job, estimate and queue entry at once, or why not. Outcomes: asked; asked_before (by this run);
-- ready (a picture stands, no placeholder, and this run does not replace); running; cancelled (the run); limit; price_unknown.
-- Locks are always taken in this order: the person's runs, the cell, the person's waiting pictures, the budgets.
create or replace function studio.ask_attribute_image(
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

create or replace function studio.set_price(p_model uuid, p_unit text, p_price numeric, p_from timestamptz, p_size text, p_source text)
returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  begins timestamptz := coalesce(p_from, now());
  made uuid;
begin
  perform studio.refuse_all_but('admin');
  if p_unit not in ('image', 'megapixel', 'second', 'million_input_tokens', 'million_output_tokens', 'request') then
    raise exception 'A price counts by image, megapixel, second, request or million tokens.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'unit';
  end if;
  if p_price < 0 or p_price in ('NaN', 'Infinity') then
    raise exception 'A price is a number of dollars, and not negative.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'price';
  end if;
  if coalesce(trim(p_source), '') = '' then
    raise exception 'Say where this price stands.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'source';
  end if;
  if begins < now() - interval '5 minutes' then
    raise exception 'A price begins now or later: what was paid before is settled.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'valid_from';
  end if;
  if not exists (select from public.api_models m where m.id = p_model) then
    raise exception 'There is no such model.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  insert into studio.model_prices (model_id, size, unit, price, valid_from, valid_until, source)
  values (p_model, p_size, p_unit, coalesce(p_price, 0), begins,
          case when p_price is null then begins + interval '1 microsecond' end, p_source)
  returning id into made;
  perform studio.note_audit('price_set', 'model_prices', made::text, null,
    jsonb_build_object('model_id', p_model, 'unit', p_unit, 'price', p_price, 'size', p_size, 'valid_from', begins), p_source);
  return made;
end $$;
