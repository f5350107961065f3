-- The admin page (SPEC "People": admin keeps models, prices, people): what an admin changes by hand, each change refused
-- where the row is no longer what the admin saw, and each one recorded with before, after and the reason.

-- An admin's pause is told from one that a provider's answer caused: it outlives a worker's start.
alter table studio.provider_state add column paused_by uuid;
comment on column studio.provider_state.paused_by is
  'the admin who paused it; null: the studio did, because of what the provider answered';

-- Where a team's own option stands among the team's others; equal places: in the order they were added.
alter table studio.attribute_options add column place integer not null default 0;

-- What an admin gives as the reason of a change that concerns money or people.
create function studio.said_why(p_why text) returns text
language plpgsql immutable set search_path = '' as $$
begin
  if coalesce(length(btrim(p_why)), 0) not between 1 and 500 then
    raise exception 'Say why, in at most 500 characters: the record keeps it beside the change.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  return btrim(p_why);
end $$;
revoke execute on function studio.said_why(text) from public;

create function studio.refuse_if_changed(p_seen jsonb, p_now jsonb) returns void
language plpgsql stable set search_path = '' as $$
begin
  if p_seen is distinct from p_now then
    raise exception 'This was changed meanwhile, so nothing of yours was written. Look at what stands there now, and change it again.'
      using errcode = 'PS409', detail = 'CHANGED_MEANWHILE';
  end if;
end $$;
revoke execute on function studio.refuse_if_changed(jsonb, jsonb) from public;

-- Models --------------------------------------------------------------------------------------------------------------

-- The columns of a model that an admin changes here. The others are the platform's alone.
create function studio.model_settings(m public.api_models) returns jsonb
language sql immutable set search_path = '' as $$
  select jsonb_build_object('is_active', m.is_active, 'priority', m.priority,
    'capabilities', coalesce(m.capabilities, '{}'), 'default_for_tasks', m.default_for_tasks)
$$;
revoke execute on function studio.model_settings(public.api_models) from public;

-- `p_seen` is what the admin saw of all four settings, `p_wanted` what is to stand there. False where it stands so already.
create function studio.change_model(p_model uuid, p_seen jsonb, p_wanted jsonb, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  m public.api_models;
  was jsonb;
  made jsonb;
begin
  perform studio.refuse_all_but('admin');
  select * into m from public.api_models a where a.id = p_model for update;
  if m.id is null then
    raise exception 'There is no such model any more.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  was := studio.model_settings(m);
  perform studio.refuse_if_changed(p_seen, was);
  if jsonb_typeof(p_wanted -> 'is_active') is distinct from 'boolean'
     or jsonb_typeof(p_wanted -> 'priority') is distinct from 'number'
     or (p_wanted ->> 'priority')::numeric not between -1000 and 1000
     or (p_wanted ->> 'priority')::numeric % 1 <> 0
     or jsonb_typeof(p_wanted -> 'capabilities') is distinct from 'object'
     or coalesce(jsonb_typeof(p_wanted -> 'default_for_tasks'), 'null') not in ('array', 'null') then
    raise exception 'A model is on or off, has a whole priority between -1000 and 1000, what it can do, and its tasks.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'priority';
  end if;
  if was = p_wanted then
    return false;
  end if;
  update public.api_models a
  set is_active = (p_wanted ->> 'is_active')::boolean, priority = (p_wanted ->> 'priority')::integer,
      capabilities = p_wanted -> 'capabilities',
      default_for_tasks = case when jsonb_typeof(p_wanted -> 'default_for_tasks') = 'array'
        then array(select jsonb_array_elements_text(p_wanted -> 'default_for_tasks')) end,
      updated_at = now()
  where a.id = p_model
  returning * into m;
  made := studio.model_settings(m);
  perform studio.note_audit('model_changed', 'api_models', p_model::text,
    (select jsonb_object_agg(k, was -> k) from jsonb_object_keys(made) k where was -> k is distinct from made -> k),
    (select jsonb_object_agg(k, made -> k) from jsonb_object_keys(made) k where was -> k is distinct from made -> k),
    studio.said_why(p_why));
  return true;
end $$;
revoke execute on function studio.change_model(uuid, jsonb, jsonb, text) from public;
grant execute on function studio.change_model(uuid, jsonb, jsonb, text) to authenticated;

-- A new model after the pattern of one that stands there already, of the same provider. It begins switched off.
create function studio.add_model(p_pattern uuid, p_key text, p_name text, p_why text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  pattern public.api_models;
  made uuid;
begin
  perform studio.refuse_all_but('admin');
  if coalesce(length(p_key), 0) not between 1 and 200 or p_key !~ '^[A-Za-z0-9][A-Za-z0-9._/:@-]*$' then
    raise exception 'A model''s key is what its provider calls it: letters, digits and . _ / : @ -, at most 200.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'model_key';
  end if;
  if coalesce(length(btrim(p_name)), 0) not between 1 and 80 then
    raise exception 'A model has a name of at most 80 characters.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'display_name';
  end if;
  select * into pattern from public.api_models a where a.id = p_pattern and a.modality = 'image';
  if pattern.id is null then
    raise exception 'There is no such model to begin from.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('add_model:' || pattern.provider_id::text, 0));
  if exists (select from public.api_models a where a.provider_id = pattern.provider_id and a.model_key = p_key) then
    raise exception 'This provider has a model of that key already. Change that one.'
      using errcode = 'PS409', detail = 'MODEL_EXISTS';
  end if;
  insert into public.api_models
    (provider_id, display_name, model_key, modality, capabilities, is_active, priority, input_defaults, default_for_tasks)
  values (pattern.provider_id, btrim(p_name), p_key, 'image', pattern.capabilities, false, pattern.priority,
          pattern.input_defaults, pattern.default_for_tasks)
  returning id into made;
  perform studio.note_audit('model_added', 'api_models', made::text, null,
    jsonb_build_object('model_key', p_key, 'display_name', btrim(p_name), 'like', pattern.model_key), studio.said_why(p_why));
  return made;
end $$;
revoke execute on function studio.add_model(uuid, text, text, text) from public;
grant execute on function studio.add_model(uuid, text, text, text) to authenticated;

-- Prices --------------------------------------------------------------------------------------------------------------

-- As set_price, refused where the model's prices are no longer those that the admin saw.
create function studio.set_price_seen(
  p_seen uuid[], p_model uuid, p_unit text, p_price numeric, p_from timestamptz, p_size text, p_source text
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  now_there jsonb;
begin
  perform studio.refuse_all_but('admin');
  perform pg_advisory_xact_lock(hashtextextended('prices:' || p_model::text, 0));
  select coalesce(jsonb_agg(p.id order by p.id), '[]') into now_there from studio.model_prices p where p.model_id = p_model;
  perform studio.refuse_if_changed(
    (select coalesce(jsonb_agg(s order by s), '[]') from unnest(p_seen) s), now_there);
  if p_size is not null and p_size !~ '^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$' then
    raise exception 'A size is two numbers of pixels, such as 1024x1024, or none.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'size';
  end if;
  begin
    return studio.set_price(p_model, p_unit, p_price, p_from, p_size, p_source);
  exception when unique_violation then
    raise exception 'A price of this unit and size begins at that moment already. Choose another moment, or withdraw that one.'
      using errcode = 'PS409', detail = 'PRICE_EXISTS';
  end;
end $$;
revoke execute on function studio.set_price_seen(uuid[], uuid, text, numeric, timestamptz, text, text) from public;
grant execute on function studio.set_price_seen(uuid[], uuid, text, numeric, timestamptz, text, text) to authenticated;

-- A price that has not begun and that no entry of the ledger names is taken back. One that has begun stays for ever.
create function studio.withdraw_price(p_price uuid, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  gone studio.model_prices;
begin
  perform studio.refuse_all_but('admin');
  select * into gone from studio.model_prices p where p.id = p_price for update;
  if gone.id is null then
    raise exception 'There is no such price any more.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if gone.valid_from <= now() then
    raise exception 'This price has begun, so it stays: what was paid names it. Set a new price instead.'
      using errcode = 'PS409', detail = 'PRICE_BEGAN';
  end if;
  perform studio.note_audit('price_withdrawn', 'model_prices', p_price::text,
    jsonb_build_object('model_id', gone.model_id, 'unit', gone.unit, 'price', gone.price, 'size', gone.size,
      'valid_from', gone.valid_from), null, studio.said_why(p_why));
  delete from studio.model_prices p where p.id = p_price;
end $$;
revoke execute on function studio.withdraw_price(uuid, text) from public;
grant execute on function studio.withdraw_price(uuid, text) to authenticated;

-- Providers -----------------------------------------------------------------------------------------------------------

-- Nothing is sent to a provider until a moment, or until somebody resumes it (null). `p_seen`: the end of the pause that
-- the admin saw, null where there was none.
create function studio.pause_provider(p_provider text, p_seen timestamptz, p_until timestamptz, p_why text) returns void
language plpgsql security definer set search_path = '' as $$
declare
  was studio.provider_state;
  ends timestamptz := coalesce(p_until, now() + interval '100 years');
begin
  perform studio.refuse_all_but('admin');
  if p_provider !~ '^[a-z0-9][a-z0-9_-]{0,39}$' then
    raise exception 'There is no such provider.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'provider';
  end if;
  if ends <= now() then
    raise exception 'A pause ends later than now.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'until';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('pause:' || p_provider, 0));
  select * into was from studio.provider_state s where s.provider = p_provider for update;
  perform studio.refuse_if_changed(to_jsonb(p_seen), to_jsonb(case when was.paused_until > now() then was.paused_until end));
  insert into studio.provider_state (provider, paused_until, why, paused_by, changed_at)
  values (p_provider, ends, studio.said_why(p_why), auth.uid(), now())
  on conflict (provider) do update
    set paused_until = excluded.paused_until, why = excluded.why, paused_by = excluded.paused_by, changed_at = now();
  perform studio.note_audit('provider_paused', 'provider_state', p_provider,
    case when was.paused_until > now() then jsonb_build_object('paused_until', was.paused_until, 'why', was.why) end,
    jsonb_build_object('paused_until', p_until), studio.said_why(p_why));
end $$;
revoke execute on function studio.pause_provider(text, timestamptz, timestamptz, text) from public;
grant execute on function studio.pause_provider(text, timestamptz, timestamptz, text) to authenticated;

-- As before, and the pause is nobody's any more.
create or replace function studio.resume_provider(p_provider text, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  was studio.provider_state;
begin
  perform studio.refuse_all_but('admin');
  select * into was from studio.provider_state s where s.provider = p_provider and s.paused_until > now() for update;
  if was.provider is null then
    return false;
  end if;
  update studio.provider_state s set paused_until = null, paused_by = null, failures = 0, changed_at = now()
  where s.provider = p_provider;
  update studio_queue.pgqueuer q set execute_after = now()
  where q.entrypoint = 'portrait_' || p_provider and q.status = 'queued' and q.execute_after > now();
  perform studio.note_audit('provider_resumed', 'provider_state', p_provider,
    jsonb_build_object('paused_until', was.paused_until, 'why', was.why), null, p_why);
  return true;
end $$;

-- Options -------------------------------------------------------------------------------------------------------------

-- What a team's own option says, and where it stands. Its value stays: pictures and characters stand on it.
create function studio.change_attribute_option(
  p_category text, p_value text, p_seen jsonb, p_label text, p_words text, p_aliases text[], p_tags text[], p_place integer,
  p_why text
) returns boolean language plpgsql security definer set search_path = '' as $$
declare
  o studio.attribute_options;
  was jsonb;
  wanted jsonb := jsonb_build_object('label', p_label, 'words', p_words, 'aliases', coalesce(p_aliases, '{}'),
    'tags', coalesce(p_tags, '{}'), 'place', p_place);
begin
  perform studio.refuse_unless_product();
  if length(p_why) > 500 then
    raise exception 'A reason takes at most 500 characters.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  if p_words is null or p_label is null or p_place is null or p_place not between -1000 and 1000
     or cardinality(p_aliases) > 10 or cardinality(p_tags) > 8
     or exists (select from unnest(coalesce(p_aliases, '{}') || coalesce(p_tags, '{}')) t(said)
                where said is null or length(said) not between 1 and 60) then
    raise exception 'An option has a label, words for its picture, a place between -1000 and 1000, at most 10 older names and at most 8 tags.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'label';
  end if;
  perform studio.refuse_unfit_option(p_category, array[p_label, p_words] || coalesce(p_aliases, '{}') || coalesce(p_tags, '{}'));
  perform pg_advisory_xact_lock(hashtextextended('attribute_options:' || p_category, 0));
  select * into o from studio.attribute_options a
  where a.category = p_category and a.value = p_value and a.prompt_words is not null for update;
  if o.category is null then
    raise exception 'Only what the team added is changed here. What ships stays as it is, and can be switched off.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  was := jsonb_build_object('label', o.label, 'words', o.prompt_words, 'aliases', o.aliases, 'tags', o.tags, 'place', o.place);
  perform studio.refuse_if_changed(p_seen, was);
  if was = wanted then
    return false;
  end if;
  if exists (
    select from studio.attribute_options a
    cross join unnest(coalesce(p_aliases, '{}')) n(said)
    where a.category = p_category and a.value <> p_value
      and (lower(a.value) = lower(btrim(n.said)) or exists (select from unnest(a.aliases) x where lower(btrim(x)) = lower(btrim(n.said))))
  ) then
    raise exception 'There is an option of that name already. Choose another name.' using errcode = 'PS409', detail = 'OPTION_EXISTS';
  end if;
  update studio.attribute_options a
  set label = p_label, prompt_words = p_words, aliases = coalesce(p_aliases, '{}'), tags = coalesce(p_tags, '{}'),
      place = p_place, changed_by = auth.uid(), changed_at = now()
  where a.category = p_category and a.value = p_value;
  perform studio.note_audit('attribute_option_changed', 'attribute_options', p_category || '/' || p_value, was, wanted,
    nullif(btrim(p_why), ''));
  return true;
end $$;
revoke execute on function studio.change_attribute_option(text, text, jsonb, text, text, text[], text[], integer, text) from public;
grant execute on function studio.change_attribute_option(text, text, jsonb, text, text, text[], text[], integer, text) to authenticated;

-- People --------------------------------------------------------------------------------------------------------------

-- What an admin changes of a person happens with whoever signs people in; here it is written down, with ids and roles and
-- never an address, by an admin in their own name.
create function studio.note_person_change(
  p_action text, p_person uuid, p_before jsonb, p_after jsonb, p_why text
) returns void language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_all_but('admin');
  if p_action is null or p_person is null or p_action not in ('person_roles_set', 'person_invited', 'person_banned',
      'person_unbanned', 'person_signed_out', 'person_change_failed') then
    raise exception 'There is no such change of a person.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'action';
  end if;
  perform studio.note_audit(p_action, 'people', p_person::text, p_before, p_after, studio.said_why(p_why));
end $$;
revoke execute on function studio.note_person_change(text, uuid, jsonb, jsonb, text) from public;
grant execute on function studio.note_person_change(text, uuid, jsonb, jsonb, text) to authenticated;

-- Budgets -------------------------------------------------------------------------------------------------------------

-- As set_budget, refused where the budget of that person, period and kind is no longer what the admin saw: its limit and
-- reserve, an empty object where there was none.
create function studio.set_budget_seen(
  p_seen jsonb, p_user uuid, p_period text, p_limit numeric, p_hard boolean, p_reserve numeric, p_why text
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  there jsonb;
begin
  perform studio.refuse_all_but('admin');
  perform pg_advisory_xact_lock(hashtextextended('set_budget', 0));
  select jsonb_build_object('limit_usd', b.limit_usd, 'reserve_usd', b.reserve_usd) into there from studio.budgets b
  where b.user_id is not distinct from p_user and b.period = p_period and b.hard = p_hard order by b.id limit 1;
  perform studio.refuse_if_changed(p_seen, coalesce(there, '{}'));
  return studio.set_budget(p_user, p_period, p_limit, p_hard, p_reserve, studio.said_why(p_why));
end $$;
revoke execute on function studio.set_budget_seen(jsonb, uuid, text, numeric, boolean, numeric, text) from public;
grant execute on function studio.set_budget_seen(jsonb, uuid, text, numeric, boolean, numeric, text) to authenticated;
