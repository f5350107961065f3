-- Costs and budgets as SPEC "Data" has them: prices that begin and end at a moment, budgets that many clicks at once
-- cannot overdraw, refunds, and pauses that an admin can lift. Amounts are computed here, never taken from a caller.

-- A price may change at noon, so its validity is a moment; what had only a day began at midnight UTC.
alter table studio.model_prices
  alter column valid_from type timestamptz using (valid_from::timestamp at time zone 'UTC'),
  add column if not exists valid_until timestamptz,
  add constraint model_prices_end_after_they_begin check (valid_until > valid_from);
comment on column studio.model_prices.valid_until is
  'null: until a newer row begins. From this moment on the price is unknown, an older row does not come back.';
comment on column studio.cost_entries.units is
  'What the amount was counted in. An estimate by unit second is the price times the seconds this model usually takes.';

-- Median of the seconds that the provider itself told of this model's last 50 requests; null where it never told any.
create index cost_seconds on studio.cost_entries (provider, model_key, at desc)
  where kind = 'computed' and units ? 'seconds';
create function studio.usual_seconds(p_model uuid) returns numeric
language sql stable security definer set search_path = '' as $$
  select percentile_cont(0.5) within group (order by told.seconds)::numeric
  from (
    select (e.units ->> 'seconds')::numeric as seconds
    from public.api_models m
    join public.api_providers p on p.id = m.provider_id
    join studio.cost_entries e on e.provider = p.name and e.model_key = m.model_key
    where m.id = p_model and e.kind = 'computed' and e.units ? 'seconds'
    order by e.at desc limit 50
  ) told
$$;
revoke execute on function studio.usual_seconds(uuid) from public;

-- The price of one picture of that size that is valid at a moment; no row where none is, or the newest has ended.
create function studio.price_at(p_model uuid, p_width integer, p_height integer, p_at timestamptz)
returns table (price_id uuid, unit text, price numeric)
language sql stable security definer set search_path = '' as $$
  select newest.id, newest.unit, newest.price
  from (
    select p.id, p.unit, p.price, p.valid_until
    from studio.model_prices p
    where p.model_id = p_model and p.unit in ('image', 'megapixel', 'request', 'second') and p.valid_from <= p_at
      and (p.size is null or p.size = p_width || 'x' || p_height)
    order by p.valid_from desc, p.size nulls last
    limit 1
  ) newest
  where newest.valid_until is null or newest.valid_until > p_at
$$;
revoke execute on function studio.price_at(uuid, integer, integer, timestamptz) from public;

-- What one picture is expected to cost now, to the micro-dollar as the ledger keeps it.
create or replace function studio.price_of(p_model uuid, p_width integer, p_height integer)
returns table (price_id uuid, amount numeric, unit text)
language sql stable security definer set search_path = '' as $$
  select p.price_id,
    round(case p.unit
      when 'megapixel' then p.price * p_width * p_height / 1000000
      when 'second' then p.price * studio.usual_seconds(p_model)
      else p.price end, 6),
    p.unit
  from studio.price_at(p_model, p_width, p_height, now()) p
$$;

-- Budgets -------------------------------------------------------------------------------------------------------------

-- Periods are UTC's days and months, wherever the connection thinks it is.
create function studio.period_start(p_period text) returns timestamptz
language sql stable set search_path = '' as $$
  select date_trunc(p_period, now() at time zone 'UTC') at time zone 'UTC'
$$;
create function studio.period_end(p_period text) returns timestamptz
language sql stable set search_path = '' as $$
  select (date_trunc(p_period, now() at time zone 'UTC') + ('1 ' || p_period)::interval) at time zone 'UTC'
$$;

-- What one person (null: everybody) has used since a moment: known amounts are spent; what is not settled or ended
-- with an unknown amount holds its estimate, else the budget's reserve. An attempt belongs to the period of its click.
create function studio.budget_used(p_user uuid, p_since timestamptz, p_reserve numeric)
returns table (spent numeric, held numeric, unknown bigint)
language sql stable security definer set search_path = '' as $$
  select coalesce(sum(a.known + a.refunded), 0),
         coalesce(sum(coalesce(a.estimate, p_reserve, 0)) filter (where a.known is null), 0),
         count(*) filter (where a.known is null and a.estimate is null)
  from (
    select max(e.amount_usd) filter (where e.kind = 'estimated') as estimate,
           case when bool_or(e.kind = 'billed') then max(e.amount_usd) filter (where e.kind = 'billed')
                else max(e.amount_usd) filter (where e.kind = 'computed') end as known,
           coalesce(sum(e.amount_usd) filter (where e.kind = 'refund'), 0) as refunded
    from studio.cost_entries e
    where e.at >= p_since and (p_user is null or e.user_id = p_user)
    group by e.job_id, e.attempt
    having bool_or(e.kind = 'estimated')
  ) a
$$;
revoke execute on function studio.budget_used(uuid, timestamptz, numeric) from public;

-- Raises PS402 where a hard budget of this person or of everybody would be overdrawn by `p_amount`. The lock of each
-- budget is held until the transaction ends, so the estimate that follows is seen by whoever comes next.
create or replace function studio.hold_budget(p_user uuid, p_amount numeric) returns void
language plpgsql security definer set search_path = '' as $$
declare
  b studio.budgets;
  used record;
begin
  for b in
    select * from studio.budgets where hard and (user_id is null or user_id = p_user) order by id
  loop
    perform pg_advisory_xact_lock(hashtextextended('budget:' || b.id::text, 0));
    if p_amount is null and b.reserve_usd is null then
      raise exception 'The price of this model is not known, and a budget applies. An admin can set a reserve for it, or choose a model with a price.'
        using errcode = 'PS402', detail = 'PRICE_UNKNOWN';
    end if;
    select * into used from studio.budget_used(b.user_id, studio.period_start(b.period), b.reserve_usd);
    if used.spent + used.held + coalesce(round(p_amount, 6), b.reserve_usd) > b.limit_usd then
      raise exception 'The % budget of $% a % is used up ($% are spent, $% are held by what is under way). It opens again on % at 00:00 UTC, or an admin can raise it.',
        case b.scope when 'person' then 'personal' else 'shared' end, round(b.limit_usd, 2), b.period,
        round(used.spent, 2), round(used.held, 2), to_char(studio.period_end(b.period) at time zone 'UTC', 'FMDD FMMonth')
        using errcode = 'PS402', detail = 'BUDGET';
    end if;
  end loop;
end $$;

create function studio.refuse_all_but(variadic p_roles text[]) returns void
language plpgsql stable set search_path = '' as $$
begin
  if not studio.has_role(variadic p_roles) then
    raise exception 'This needs the role %. Ask an admin for it.', array_to_string(p_roles, ' or ')
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
end $$;

-- The budgets that concern a person, with how they stand now; null: all of them. Everybody with a role sees their own
-- and the shared ones, because both can stop them; those of others are for qa, product and admin.
create function studio.budget_standings(p_user uuid)
returns table (id uuid, scope text, user_id uuid, period text, limit_usd numeric, hard boolean, reserve_usd numeric,
               spent numeric, held numeric, unknown bigint, resets_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('editor', 'qa', 'product', 'admin');
  if p_user is distinct from auth.uid() then
    perform studio.refuse_all_but('qa', 'product', 'admin');
  end if;
  return query
    select b.id, b.scope, b.user_id, b.period, b.limit_usd, b.hard, b.reserve_usd, used.spent, used.held, used.unknown,
           studio.period_end(b.period)
    from studio.budgets b
    cross join lateral studio.budget_used(b.user_id, studio.period_start(b.period), b.reserve_usd) used
    where p_user is null or b.user_id is null or b.user_id = p_user
    order by b.hard desc, b.scope, b.period, b.id;
end $$;
revoke execute on function studio.budget_standings(uuid) from public;
grant execute on function studio.budget_standings(uuid) to authenticated;

-- One hard and one soft budget for each scope, person and period: setting one again changes it.
create function studio.set_budget(
  p_user uuid, p_period text, p_limit numeric, p_hard boolean, p_reserve numeric, p_why text
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  old studio.budgets;
  made studio.budgets;
begin
  perform studio.refuse_all_but('admin');
  if p_period not in ('day', 'month') then
    raise exception 'A budget counts by day or by month.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'period';
  end if;
  if p_limit is null or not p_limit between 0 and 999999 then
    raise exception 'A budget is between $0 and $999,999.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'limit_usd';
  end if;
  if not p_reserve between 0 and 999999 then
    raise exception 'A reserve is between $0 and $999,999, or none.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'reserve_usd';
  end if;
  if p_user is not null and not exists (select from auth.users u where u.id = p_user) then
    raise exception 'There is no such person.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('set_budget', 0));
  select * into old from studio.budgets b
  where b.user_id is not distinct from p_user and b.period = p_period and b.hard = p_hard order by b.id limit 1;
  if old.id is null then
    insert into studio.budgets (scope, user_id, period, limit_usd, hard, reserve_usd)
    values (case when p_user is null then 'everybody' else 'person' end, p_user, p_period, p_limit, p_hard, p_reserve)
    returning * into made;
  else
    update studio.budgets b set limit_usd = p_limit, reserve_usd = p_reserve where b.id = old.id returning * into made;
  end if;
  perform studio.note_audit('budget_set', 'budgets', made.id::text,
    case when old.id is null then null else to_jsonb(old) end, to_jsonb(made), p_why);
  return made.id;
end $$;
revoke execute on function studio.set_budget(uuid, text, numeric, boolean, numeric, text) from public;
grant execute on function studio.set_budget(uuid, text, numeric, boolean, numeric, text) to authenticated;

create function studio.remove_budget(p_budget uuid, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  gone studio.budgets;
begin
  perform studio.refuse_all_but('admin');
  delete from studio.budgets b where b.id = p_budget returning * into gone;
  if gone.id is null then
    raise exception 'There is no such budget any more.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.note_audit('budget_removed', 'budgets', p_budget::text, to_jsonb(gone), null, p_why);
end $$;
revoke execute on function studio.remove_budget(uuid, text) from public;
grant execute on function studio.remove_budget(uuid, text) to authenticated;

-- Prices and refunds ----------------------------------------------------------------------------------------------------

-- A new price from a moment on. Rows are never changed, because what was computed names them; a price that is to
-- begin in the past would rewrite it. No amount: from then on the price is unknown.
create function studio.set_price(p_model uuid, p_unit text, p_price numeric, p_from timestamptz, p_size text, p_source text)
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
revoke execute on function studio.set_price(uuid, text, numeric, timestamptz, text, text) from public;
grant execute on function studio.set_price(uuid, text, numeric, timestamptz, text, text) to authenticated;

-- Money a provider gave back for one attempt; the same words twice are one refund. Returns whether it was new.
create function studio.refund(p_job uuid, p_attempt integer, p_amount numeric, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  cost studio.spend;
begin
  perform studio.refuse_all_but('admin');
  if coalesce(trim(p_why), '') = '' then
    raise exception 'Say in a few words why the money came back.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('refund:' || p_job::text, 0));
  select * into cost from studio.spend s where s.job_id = p_job and s.attempt = p_attempt;
  if cost.job_id is null then
    raise exception 'There is no such attempt in the ledger.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if exists (select from studio.cost_entries e where e.job_id = p_job and e.attempt = p_attempt
             and e.kind = 'refund' and e.amount_usd = -p_amount and e.note = p_why) then
    return false;
  end if;
  if cost.kind = 'estimated' or cost.is_unknown then
    raise exception 'What this attempt cost is not known, so nothing of it can be given back yet.'
      using errcode = 'PS409', detail = 'COST_UNKNOWN';
  end if;
  if p_amount is null or p_amount <= 0 or p_amount > cost.amount_usd then
    raise exception 'A refund is above $0 and at most what is left of the cost, $%.', cost.amount_usd
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'amount_usd';
  end if;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, note)
  values (p_job, p_attempt, cost.user_id, cost.character_id, cost.provider, cost.model_key, 'refund', -p_amount, p_why);
  update public.jobs j set cost_usd = j.cost_usd - p_amount where j.id = p_job and j.cost_usd is not null;
  perform studio.note_audit('refund', 'cost_entries', p_job::text, null,
    jsonb_build_object('attempt', p_attempt, 'amount_usd', p_amount), p_why);
  return true;
end $$;
revoke execute on function studio.refund(uuid, integer, numeric, text) from public;
grant execute on function studio.refund(uuid, integer, numeric, text) to authenticated;

-- Pauses -----------------------------------------------------------------------------------------------------------------

-- An admin has mended the key or the balance: the provider is tried again, and what waited for it is looked at now.
create function studio.resume_provider(p_provider text, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  was studio.provider_state;
begin
  perform studio.refuse_all_but('admin');
  select * into was from studio.provider_state s where s.provider = p_provider and s.paused_until > now() for update;
  if was.provider is null then
    return false;
  end if;
  update studio.provider_state s set paused_until = null, failures = 0, changed_at = now() where s.provider = p_provider;
  update studio_queue.pgqueuer q set execute_after = now()
  where q.entrypoint = 'portrait_' || p_provider and q.status = 'queued' and q.execute_after > now();
  perform studio.note_audit('provider_resumed', 'provider_state', p_provider,
    jsonb_build_object('paused_until', was.paused_until, 'why', was.why), null, p_why);
  return true;
end $$;
revoke execute on function studio.resume_provider(text, text) from public;
grant execute on function studio.resume_provider(text, text) to authenticated;
