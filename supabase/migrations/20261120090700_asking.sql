-- What a person may cause: a job with its estimate and its queue entry in one step (T1), its cancellation. SECURITY
-- DEFINER with an empty search_path; amounts are computed here and never taken from the caller.

create function studio.price_of(p_model uuid, p_width integer, p_height integer)
returns table (price_id uuid, amount numeric, unit text)
language sql stable security definer set search_path = '' as $$
  select p.id,
    case p.unit when 'megapixel' then p.price * p_width * p_height / 1000000 else p.price end,
    p.unit
  from studio.model_prices p
  where p.model_id = p_model and p.unit in ('image', 'megapixel', 'request') and p.valid_from <= current_date
    and (p.size is null or p.size = p_width || 'x' || p_height)
  order by p.valid_from desc, p.size nulls last
  limit 1
$$;
revoke execute on function studio.price_of(uuid, integer, integer) from public;
grant execute on function studio.price_of(uuid, integer, integer) to authenticated;

-- What one attempt costs as far as it is known: the rule of view studio.spend, for one attempt.
create function studio.best_cost(p_job uuid, p_attempt integer) returns table (amount_usd numeric)
language sql stable security definer set search_path = '' as $$
  select e.amount_usd + coalesce((select sum(r.amount_usd) from studio.cost_entries r
    where r.job_id = p_job and r.attempt = p_attempt and r.kind = 'refund'), 0)
  from studio.cost_entries e
  where e.job_id = p_job and e.attempt = p_attempt and e.kind <> 'refund'
  order by array_position(array['billed', 'computed', 'estimated'], e.kind)
  limit 1
$$;
revoke execute on function studio.best_cost(uuid, integer) from public;

-- Raises PS402 where a hard budget of this person or of everybody would be overdrawn by `p_amount`.
create function studio.hold_budget(p_user uuid, p_amount numeric) returns void
language plpgsql security definer set search_path = '' as $$
declare
  b studio.budgets;
  held numeric;
  unknown bigint;
begin
  for b in
    select * from studio.budgets where hard and (user_id is null or user_id = p_user) order by id
  loop
    perform pg_advisory_xact_lock(hashtextextended('budget:' || b.id::text, 0));
    if p_amount is null and b.reserve_usd is null then
      raise exception 'The price of this model is not known, and a budget applies. An admin can set a reserve for it, or choose a model with a price.'
        using errcode = 'PS402', detail = 'PRICE_UNKNOWN';
    end if;
    select coalesce(sum(best.amount_usd), 0), count(*) filter (where best.amount_usd is null) into held, unknown
    from studio.cost_entries asked
    cross join lateral studio.best_cost(asked.job_id, asked.attempt) best
    where asked.kind = 'estimated' and asked.at >= date_trunc(b.period, now())
      and (b.user_id is null or asked.user_id = b.user_id);
    if held + unknown * coalesce(b.reserve_usd, 0) + coalesce(p_amount, b.reserve_usd) > b.limit_usd then
      raise exception 'The % budget of $% is used up ($% are spent or held). It opens again with the next %, or an admin can raise it.',
        case b.scope when 'person' then 'personal' else 'shared' end, round(b.limit_usd, 2), round(held, 2), b.period
        using errcode = 'PS402', detail = 'BUDGET';
    end if;
  end loop;
end $$;
revoke execute on function studio.hold_budget(uuid, numeric) from public;

create function studio.ask(
  p_character uuid, p_model uuid, p_prompt text, p_metadata jsonb, p_width integer, p_height integer,
  p_idempotency_key text, p_retried_from uuid, p_max_waiting integer
) returns table (job_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  owner uuid;
  model record;
  price record;
  waiting integer;
  standing uuid;
  made uuid;
begin
  if me is null or not studio.has_role('editor') then
    raise exception 'Making pictures needs the editor role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if not (p_width between 64 and 8192 and p_height between 64 and 8192) then
    raise exception 'A picture has 64 to 8192 pixels a side.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'size';
  end if;
  if p_character is not null then
    owner := studio.owner_of(p_character);
    if owner is null or not studio.may_change(owner) then
      raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
    end if;
  end if;
  -- The use case looked at the reference; a caller who went past it gains nothing.
  if split_part(p_metadata ->> 'reference_image_url', '/', 2) not in (me::text, coalesce(owner, me)::text) then
    raise exception 'The reference belongs to somebody else.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if p_idempotency_key is not null then
    perform pg_advisory_xact_lock(hashtextextended('ask:' || me::text || ':' || p_idempotency_key, 0));
    select j.id into standing from public.jobs j where j.user_id = me and j.idempotency_key = p_idempotency_key;
    if standing is not null then
      return query select standing, false;
      return;
    end if;
  end if;
  select m.id, m.model_key, p.name as provider into model
  from public.api_models m join public.api_providers p on p.id = m.provider_id
  where m.id = p_model and m.is_active and m.modality = 'image';
  if model.id is null then
    raise exception 'This model is switched off, unknown, or does not make images. Choose another one.'
      using errcode = 'PS400', detail = 'MODEL_UNAVAILABLE';
  end if;
  -- One ask of a person after the other, or a dozen at once would each count before the others stand.
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
  select * into price from studio.price_of(model.id, p_width, p_height);
  perform studio.hold_budget(me, price.amount);

  insert into public.jobs (user_id, job_type, status, original_prompt, api_model_id, metadata, runner, character_id,
                           idempotency_key, retried_from, stage)
  values (me, 'character_portrait', 'queued', p_prompt, model.id,
          p_metadata || jsonb_build_object('destination', 'character_portrait', 'provider', model.provider,
                                           'model_key', model.model_key, 'owner', coalesce(owner, me),
                                           'width', p_width, 'height', p_height),
          'studio', p_character, p_idempotency_key, p_retried_from, 'waiting')
  returning id into made;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units, price_id)
  values (made, 1, me, p_character, model.provider, model.model_key, 'estimated', price.amount,
          jsonb_build_object('unit', price.unit, 'width', p_width, 'height', p_height), price.price_id);
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key)
  values ('portrait_' || model.provider, convert_to(made::text, 'UTF8'), -waiting, 'queued', 'job:' || made::text)
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing;
  return query select made, true;
end $$;
revoke execute on function studio.ask(uuid, uuid, text, jsonb, integer, integer, text, uuid, integer) from public;
grant execute on function studio.ask(uuid, uuid, text, jsonb, integer, integer, text, uuid, integer) to authenticated;

-- Cancels a job that was not started; asks a running one to stop. Returns its status and stage afterwards.
create function studio.cancel(p_job uuid) returns table (status text, stage text)
language plpgsql security definer set search_path = '' as $$
declare
  it public.jobs;
begin
  select * into it from public.jobs j where j.id = p_job for update;
  if it.id is null or not (
    (studio.has_role('editor') and (it.user_id = auth.uid() or studio.shares())) or studio.has_role('qa', 'admin')
  ) then
    raise exception 'This picture is not in the queue, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if it.status in ('completed', 'failed', 'cancelled') then
    return query select it.status, it.stage;
    return;
  end if;
  if it.runner <> 'studio' then
    raise exception 'This picture is made by the platform, which cannot be asked to stop.'
      using errcode = 'PS409', detail = 'NOT_OURS';
  end if;
  if not exists (
    select from studio.submissions s where s.job_id = p_job and s.outcome is distinct from 'not_accepted'
  ) and it.status = 'queued' then
    update public.jobs set status = 'cancelled', cancel_requested = true, stage = null where id = p_job;
    delete from studio_queue.pgqueuer q where q.dedupe_key = 'job:' || p_job::text and q.status = 'queued';
    insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
    select e.job_id, e.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed', 0, 'never sent'
    from studio.cost_entries e where e.job_id = p_job and e.kind = 'estimated'
    on conflict do nothing;
  else
    update public.jobs set cancel_requested = true,
      stage = case when it.stage = 'outcome_unknown' then it.stage else 'cancelling' end where id = p_job;
    -- Waiting for its provider to be free again: look at once.
    update studio_queue.pgqueuer set execute_after = now()
    where dedupe_key = 'job:' || p_job::text and studio_queue.pgqueuer.status = 'queued' and execute_after > now();
  end if;
  return query select j.status, j.stage from public.jobs j where j.id = p_job;
end $$;
revoke execute on function studio.cancel(uuid) from public;
grant execute on function studio.cancel(uuid) to authenticated;

-- A failed picture that a person does not want to see in the grid any more; its story stays.
create function studio.dismiss(p_job uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.jobs j set metadata = j.metadata || '{"dismissed": true}'
  where j.id = p_job and j.status in ('failed', 'cancelled') and j.runner = 'studio'
    and studio.has_role('editor') and (j.user_id = auth.uid() or studio.shares());
  if not found then
    raise exception 'This picture has not failed, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
end $$;
revoke execute on function studio.dismiss(uuid) from public;
grant execute on function studio.dismiss(uuid) to authenticated;

-- A person has looked at the provider and ends an outcome unknown (SPEC "Failure"): `p_billed` says whether it was
-- charged, null where that could not be found out either. The job fails in words; a receipt that comes later still counts.
create function studio.settle_unknown(p_job uuid, p_billed boolean, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  sent studio.submissions;
begin
  if not studio.has_role('qa', 'admin') then
    raise exception 'Settling an unknown outcome needs the qa role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if coalesce(trim(p_why), '') = '' then
    raise exception 'Say in a few words what you found at the provider.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  perform from public.jobs j where j.id = p_job for update;
  select * into sent from studio.submissions s
  where s.job_id = p_job and s.receipt is null and s.outcome is null for update;
  if sent.id is null then
    raise exception 'This job has no unknown outcome.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  update studio.submissions set outcome = 'given_up', settled_at = clock_timestamp(), settled_by = auth.uid()::text
  where id = sent.id;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
  select e.job_id, sent.attempt, e.user_id, e.character_id, e.provider, e.model_key, 'computed',
         case when p_billed then e.amount_usd when not p_billed then 0 end, 'settled by a person'
  from studio.cost_entries e where e.job_id = p_job and e.kind = 'estimated' order by e.attempt limit 1
  on conflict do nothing;
  update public.jobs set status = 'failed', stage = null, error_code = 'GIVEN_UP',
    error_message = 'The request was lost on its way, and QA found no picture at the provider. Try again.'
  where id = p_job and status in ('processing', 'failed');
  perform studio.note_audit('unknown_settled', 'jobs', p_job::text, null, jsonb_build_object('billed', p_billed), p_why);
end $$;
revoke execute on function studio.settle_unknown(uuid, boolean, text) from public;
grant execute on function studio.settle_unknown(uuid, boolean, text) to authenticated;
