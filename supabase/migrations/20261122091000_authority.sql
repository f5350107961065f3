-- Who may what, as core/authority.py has it (SPEC "People", "Data"): a role is read in one way from every account, who owns
-- a character is told to the team, and nobody says for themselves how much they may have waiting.

-- Roles of an account ---------------------------------------------------------------------------------------------

-- As studio.has_role reads a token: a role is an element of the list. A text or an object of that name is none.
create function studio.lists_role(p_metadata jsonb, variadic p_wanted text[]) returns boolean
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_typeof(p_metadata -> 'roles') = 'array' and p_metadata -> 'roles' ?| p_wanted, false)
$$;
revoke execute on function studio.lists_role(jsonb, text[]) from public;

-- The same text as before, but for who is an editor.
create or replace function studio.add_member(p_character uuid, p_email text, p_can_edit boolean) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  its_owner uuid := studio.owner_to_share(p_character);
  wanted text := btrim(coalesce(p_email, ''));
  found_one uuid;
begin
  select u.id into found_one from auth.users u
  where u.email in (wanted, lower(wanted)) and studio.lists_role(u.raw_app_meta_data, 'editor')
  order by u.email = wanted desc limit 1;
  if wanted = '' or found_one is null then
    raise exception 'No editor of this studio signs in with that e-mail address. Check its spelling, or ask an admin to give them the editor role.'
      using errcode = 'PS404', detail = 'NO_SUCH_EDITOR';
  end if;
  if found_one in (its_owner, auth.uid()) then
    raise exception '%', case when found_one = its_owner
        then 'The owner works on the character already. Enter the address of somebody else.'
        else 'You cannot add yourself to somebody else''s character. Ask its owner.' end
      using errcode = 'PS400', detail = 'NOT_ONESELF', hint = 'email';
  end if;
  perform studio.put_member(p_character, found_one, coalesce(p_can_edit, false));
  return found_one;
end $$;

create or replace function studio.members_of(p_character uuid)
returns table (person uuid, name text, is_owner boolean, can_edit boolean, is_editor boolean, added_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') or not studio.may_read_character(p_character) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  return query
  select one.person, coalesce(nullif(u.email::text, ''), left(one.person::text, 8)), one.is_owner, one.can_edit,
         studio.lists_role(u.raw_app_meta_data, 'editor'), one.added_at
  from (
    select c.user_id as person, true as is_owner, true as can_edit, null::timestamptz as added_at
    from public.characters c where c.id = p_character
    union all
    select m.user_id, false, m.can_edit, m.added_at from studio.character_members m where m.character_id = p_character
  ) one
  left join auth.users u on u.id = one.person
  order by one.is_owner desc, 2;
end $$;

create or replace function studio.team() returns table (id uuid, name text)
language plpgsql stable security definer set search_path = '' as $$
begin
  perform studio.refuse_unless_reviewing();
  return query
    select u.id, coalesce(nullif(u.email::text, ''), left(u.id::text, 8)) from auth.users u
    where u.id = auth.uid()
       or studio.lists_role(u.raw_app_meta_data, 'editor', 'qa', 'product', 'admin')
       or u.id in (select e.who from (
            select a.who from studio.audit_events a order by a.at desc, a.id desc limit 2000) e where e.who is not null)
       or u.id in (select f.owner from studio.findings f where f.owner is not null)
    order by 2 limit 500;
end $$;

create or replace function studio.owner_to_share(p_character uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  its_owner uuid := (select c.user_id from public.characters c where c.id = p_character and c.deleted_at is null);
begin
  if not studio.has_role('editor', 'admin') then
    raise exception 'Sharing characters needs the editor or admin role. Ask an admin for one.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if its_owner is null or not (studio.has_role('admin') or studio.may_read_character(p_character)) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if its_owner is distinct from auth.uid() and not studio.has_role('admin') then
    raise exception 'Only the owner of a character or an admin says who works on it. Ask one of them.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return its_owner;
end $$;

-- Whose a character is ----------------------------------------------------------------------------------------------

-- Policies and triggers ask it of people with a role; somebody without one hears of their own characters only.
create or replace function studio.owner_of(p_character uuid) returns uuid
language sql stable security definer set search_path = '' as $$
  select c.user_id from public.characters c
  where c.id = p_character and (c.user_id = auth.uid() or not studio.is_stranger())
$$;

-- How much one person may have waiting ------------------------------------------------------------------------------

-- The deployment's limit comes with the call (MAX_WAITING); whoever calls, nobody has more than this waiting.
create function studio.most_waiting(p_asked integer) returns integer language sql immutable set search_path = '' as $$
  select least(greatest(coalesce(p_asked, 1), 1), 5000)
$$;
revoke execute on function studio.most_waiting(integer) from public;

create or replace function studio.ask(
  p_character uuid, p_model uuid, p_prompt text, p_metadata jsonb, p_width integer, p_height integer,
  p_idempotency_key text, p_retried_from uuid, p_max_waiting integer
) returns table (job_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  owner uuid;
  model record;
  price record;
  most constant integer := studio.most_waiting(p_max_waiting);
  waiting integer;
  standing uuid;
  made uuid;
begin
  if me is null or not studio.has_role('editor') then
    raise exception 'Making pictures needs the editor role. Ask an admin for it.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if not (p_width between 64 and 8192 and p_height between 64 and 8192) then
    raise exception 'A picture has 64 to 8192 pixels a side.' using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'size';
  end if;
  if p_character is not null then
    owner := studio.owner_of(p_character);
    if owner is null or not studio.may_change_character(p_character) then
      raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
    end if;
  end if;
  -- The use case looked at the reference; a caller who went past it gains nothing.
  if split_part(p_metadata ->> 'reference_image_url', '/', 2) not in (me::text, coalesce(owner, me)::text)
     or not studio.may_match(p_metadata ->> 'reference_image_url', p_character) then
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
    limit most
  ) open_jobs;
  if waiting >= most then
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
  most constant integer := studio.most_waiting(p_max_waiting);
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
    limit most
  ) open_jobs;
  if waiting >= most then
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

select studio.close_to_people();
