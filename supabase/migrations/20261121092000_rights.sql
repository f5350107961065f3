-- Rights (SPEC "Data"): what a customer could set is not believed, what a person may write down is bounded, whoever may
-- change a row may not carry it off, and what stands in schema studio is open to nobody by accident.

-- Whose word counts -----------------------------------------------------------------------------------------------

-- A role is an element of the list in app_metadata.roles. A string or an object of that name is a mistake, not a role.
create or replace function studio.has_role(variadic wanted text[]) returns boolean
language sql stable set search_path = '' as $$
  select coalesce(jsonb_typeof(auth.jwt() -> 'app_metadata' -> 'roles') = 'array'
    and auth.jwt() -> 'app_metadata' -> 'roles' ?| wanted, false)
$$;

-- True where this session was opened with the studio's own login. Whoever comes over REST (`authenticator`), or signs in
-- as anon or authenticated, has no part in the role that owns schema studio, whatever settings they make.
create function studio.is_own_session() returns boolean language sql stable set search_path = '' as $$
  select pg_has_role(session_user, n.nspowner, 'member') from pg_catalog.pg_namespace n where n.nspname = 'studio'
$$;

create or replace function studio.is_ours() returns boolean language sql stable set search_path = '' as $$
  select case when current_setting('studio.writer', true) = 'studio' then studio.is_own_session() else false end
$$;

create or replace function studio.shares() returns boolean language sql stable set search_path = '' as $$
  select case when current_setting('studio.team_sharing', true) = 'on' then studio.is_own_session() else false end
$$;

-- True for a person without a role: a customer of the platform, or nobody at all. Our own work without a person is none.
create function studio.is_stranger() returns boolean language sql stable set search_path = '' as $$
  select (current_setting('role', true) in ('anon', 'authenticated') or session_user in ('anon', 'authenticated'))
     and not studio.has_role('editor', 'qa', 'product', 'admin')
$$;

-- What a person may write down ------------------------------------------------------------------------------------

-- An event that a use case in Python notes in a person's name. Everything else people do is noted by the function that
-- does it, so a list of these few is enough: nobody writes that they purged, settled or refunded what they did not.
create function studio.note_deed(
  p_action text, p_table text, p_row text, p_before jsonb, p_after jsonb, p_why text
) returns void language plpgsql security definer set search_path = '' as $$
declare
  needed text[] := case
    when p_action in ('character_deleted', 'character_restored', 'library_deleted', 'library_restored', 'scene_deleted',
                      'scene_restored', 'test_portrait') then array['editor']
    when p_action in ('portrait_deleted', 'portrait_restored', 'foreign_path_refused')
      then array['editor', 'qa', 'product', 'admin']
    when p_action in ('autosave_repaired', 'character_decided') then array['qa', 'admin']
  end;
begin
  if auth.uid() is null or needed is null or not studio.has_role(variadic needed) then
    raise exception 'This event is noted by the studio when it happens; nobody writes it down for themselves.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if length(p_table) > 60 or length(p_row) > 300 or length(p_why) > 500
     or pg_column_size(p_before) > 20000 or pg_column_size(p_after) > 20000 then
    raise exception 'An event is a few words. Say less.' using errcode = 'PS400', detail = 'BAD_REQUEST';
  end if;
  insert into studio.audit_events (who, action, table_name, row_id, before, after, why)
  values (auth.uid(), p_action, p_table, p_row, p_before, p_after, p_why);
end $$;
revoke execute on function studio.note_deed(text, text, text, jsonb, jsonb, text) from public;
grant execute on function studio.note_deed(text, text, text, jsonb, jsonb, text) to authenticated;

-- Runs as its caller: a person is led to the list above, a function of ours writes what it did.
create or replace function studio.note_audit(
  p_action text, p_table text, p_row text, p_before jsonb default null, p_after jsonb default null, p_why text default null
) returns void language plpgsql security invoker set search_path = '' as $$
begin
  if current_user in ('anon', 'authenticated') then
    perform studio.note_deed(p_action, p_table, p_row, p_before, p_after, p_why);
    return;
  end if;
  insert into studio.audit_events (who, action, table_name, row_id, before, after, why)
  values (auth.uid(), p_action, p_table, p_row, p_before, p_after, p_why);
end $$;

-- Definer functions that answered a customer too ------------------------------------------------------------------

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
  where not studio.is_stranger()
$$;

create or replace function studio.is_sketched(p_job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select not studio.is_stranger() and exists (
    select from public.jobs j where j.id = p_job and j.metadata ->> 'provider' = 'sketch')
$$;

-- An editor's bulk action is theirs: others who hold only that role neither take it over nor stop it.
create function studio.refuse_others_bulk(p_action studio.bulk_actions) returns void
language plpgsql stable set search_path = '' as $$
begin
  if p_action.id is null
     or not (p_action.asked_by = auth.uid() or studio.has_role('qa', 'product', 'admin')) then
    raise exception 'There is no such bulk action.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
end $$;

create or replace function studio.take_bulk(p_action uuid, p_runner uuid, p_silent double precision) returns void
language plpgsql security definer set search_path = '' as $$
declare
  it studio.bulk_actions;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  select * into it from studio.bulk_actions a where a.id = p_action for update;
  perform studio.refuse_others_bulk(it);
  perform studio.refuse_bulk(it.kind);
  if it.ended_at is not null then
    raise exception 'This bulk action has ended. Its report says what became of each row.' using errcode = 'PS409', detail = 'BULK_ENDED';
  end if;
  if it.runner is not null and it.runner <> p_runner
     and it.beat_at > clock_timestamp() - make_interval(secs => greatest(p_silent, 1)) then
    raise exception 'This bulk action is being carried out already. Wait for its report.' using errcode = 'PS409', detail = 'BULK_RUNNING';
  end if;
  update studio.bulk_actions set runner = p_runner, run_by = auth.uid(), runs = runs + 1, beat_at = clock_timestamp()
  where id = p_action;
  if it.runs > 0 then
    perform studio.note_audit('bulk_resumed', 'bulk_actions', p_action::text, null, jsonb_build_object('kind', it.kind, 'run', it.runs + 1));
  end if;
end $$;

create or replace function studio.stop_bulk(p_action uuid, p_silent double precision) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  it studio.bulk_actions;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  select * into it from studio.bulk_actions a where a.id = p_action for update;
  perform studio.refuse_others_bulk(it);
  perform studio.refuse_bulk(it.kind);
  if it.ended_at is null and it.stop_asked_at is null then
    update studio.bulk_actions set stop_asked_at = clock_timestamp() where id = p_action;
    perform studio.note_audit('bulk_stopped', 'bulk_actions', p_action::text, null, jsonb_build_object('kind', it.kind));
  end if;
  return it.ended_at is null and it.runner is not null
    and it.beat_at > clock_timestamp() - make_interval(secs => greatest(p_silent, 1));
end $$;

-- Once a statement, not once a row: a role is asked for in a sub-select, so that indexes on the rest stay usable ------

alter policy reads on studio.attribute_image_versions using ((select studio.has_role('qa', 'product', 'admin')));
alter policy reads on studio.attribute_jobs using ((select studio.has_role('qa', 'product', 'admin')));
alter policy reads on studio.attribute_runs using ((select studio.has_role('qa', 'product', 'admin')));
alter policy team_reads_findings on studio.findings using ((select studio.has_role('qa', 'product', 'admin')));
alter policy team_reads_audit on studio.audit_events using ((select studio.has_role('qa', 'product', 'admin')));
alter policy reads on studio.qa_samples using ((select studio.has_role('qa', 'product', 'admin')));
alter policy reads on studio.qa_sample_items using ((select studio.has_role('qa', 'product', 'admin')));
alter policy reads on studio.qa_verdicts using ((select studio.has_role('qa', 'product', 'admin'))
  and (person = (select auth.uid()) or studio.may_see_verdicts(sample_id, portrait_id)));
alter policy reads on studio.attribute_options using ((select studio.has_role('editor', 'qa', 'product', 'admin')));
alter policy reads on studio.model_prices using ((select studio.has_role('editor', 'qa', 'product', 'admin')));
alter policy reads on studio.provider_state using ((select studio.has_role('editor', 'qa', 'product', 'admin')));
alter policy reads on studio.workers using ((select studio.has_role('editor', 'qa', 'product', 'admin')));
alter policy reads on studio.suggestions using ((select studio.has_role('editor')) and user_id = (select auth.uid()));
-- Without a role nobody reads a budget either, not even one that carries their name.
alter policy reads on studio.budgets using ((select studio.has_role('qa', 'product', 'admin'))
  or ((select studio.has_role('editor')) and user_id = (select auth.uid())));

-- What schema studio opens, and nothing besides -------------------------------------------------------------------

-- service_role passes everywhere but in the record of migrations, which is ours alone.
create policy studio_service on studio.callbacks for all to service_role using (true) with check (true);
create policy studio_service on studio.counted for all to service_role using (true) with check (true);
create policy studio_service on studio.counters for all to service_role using (true) with check (true);

-- A project may have been set up so that whatever its login makes is granted to everybody (ALTER DEFAULT PRIVILEGES).
-- What was granted beside this list goes. `python -m core migrate` calls it after the files it applied; a later file
-- may call it too.
create function studio.close_to_people() returns void language plpgsql set search_path = '' as $$
declare
  it record;
  one record;
  readable constant text[] := array(
    select distinct p.tablename::text from pg_catalog.pg_policies p
    where p.schemaname = 'studio' and 'authenticated' = any (p.roles) and p.cmd = 'SELECT');
begin
  for it in
    select n.nspname as schema, c.relname as name, c.relkind as kind, c.oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('studio', 'studio_queue') and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  loop
    execute format('revoke all on %s %I.%I from public, anon', case it.kind when 'S' then 'sequence' else 'table' end,
      it.schema, it.name);
    if it.kind in ('r', 'p') and (it.schema = 'studio_queue' or it.name <> all (readable) or exists (
         select from pg_catalog.pg_attribute a where a.attrelid = it.oid and a.attacl is not null)) or it.kind = 'S' then
      -- Read column by column, or not at all. REVOKE on a table takes its columns' grants with it: they are put back.
      for one in
        select string_agg(quote_ident(a.attname), ', ') as columns from pg_catalog.pg_attribute a
        cross join lateral pg_catalog.aclexplode(a.attacl) g
        where a.attrelid = it.oid and g.grantee = 'authenticated'::pg_catalog.regrole and g.privilege_type = 'SELECT'
      loop
        execute format('revoke all on %s %I.%I from authenticated', case it.kind when 'S' then 'sequence' else 'table' end,
          it.schema, it.name);
        if one.columns is not null then
          execute format('grant select (%s) on %I.%I to authenticated', one.columns, it.schema, it.name);
        end if;
      end loop;
    else
      execute format('revoke insert, update, delete, truncate, references, trigger on %I.%I from authenticated',
        it.schema, it.name);
      if current_setting('server_version_num')::integer >= 170000 then
        execute format('revoke maintain on %I.%I from authenticated', it.schema, it.name);
      end if;
    end if;
    if it.schema = 'studio_queue' then
      execute format('revoke all on %s %I.%I from service_role', case it.kind when 'S' then 'sequence' else 'table' end,
        it.schema, it.name);
    end if;
  end loop;
  -- With an empty path alone, types are looked for among a session's temporary ones first: whoever could make a domain
  -- pg_temp.uuid had its check run with the studio's rights. Named last, pg_temp is asked last (decision 0031).
  for it in
    select p.oid::pg_catalog.regprocedure as name from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname = 'studio' and 'search_path=""' = any (p.proconfig)
  loop
    execute format('alter function %s set search_path = '''', pg_temp', it.name);
  end loop;
  -- A trigger's function needs nobody's right to fire; with one, it could be hung on another table.
  for it in
    select p.oid::pg_catalog.regprocedure as name from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('studio', 'studio_queue') and p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
  loop
    execute format('revoke execute on function %s from public, anon, authenticated, service_role', it.name);
  end loop;
end $$;
revoke execute on function studio.close_to_people() from public;
select studio.close_to_people();
revoke all on studio.schema_migrations from service_role;
revoke all on schema studio_queue from public, anon, authenticated, service_role;

-- Beside the platform ---------------------------------------------------------------------------------------------

-- No row-level rule stands before TRUNCATE, so it would empty what guard_job and the portraits' triggers keep; with
-- REFERENCES or TRIGGER somebody could hang a table or a function on these. Nobody needs them, and REST offers none of
-- the three: on a database of our own they go. What a platform granted in its database stands as it stood. A version
-- before this one wrote down no adoption: there the platform's table is older than our first one.
do $$
declare
  name text;
begin
  if exists (select from studio.adoptions)
     or 'public.characters'::regclass::oid < 'studio.schema_migrations'::regclass::oid then
    return;
  end if;
  foreach name in array array['characters', 'character_portraits', 'character_scenes', 'jobs', 'workspace_assets',
    'user_library', 'api_models', 'api_providers', 'attribute_images', 'style_images'] loop
    execute format('revoke truncate, references, trigger on public.%I from public, anon, authenticated', name);
    if current_setting('server_version_num')::integer >= 170000 then
      execute format('revoke maintain on public.%I from public, anon, authenticated', name);
    end if;
  end loop;
end $$;

-- Rows of a person, and rows that hang on a character: the team's roles, the editor's and TEAM_SHARING are asked for
-- once, and only what is left is compared row by row.
do $$
declare
  it record;
  team constant text := '(select studio.has_role(''qa'', ''product'', ''admin''))';
  editor constant text := '(select studio.has_role(''editor'')) and ((select studio.shares()) or %s = (select auth.uid()))';
begin
  for it in
    select * from (values
      ('public.characters', 'studio_reads', 'user_id'),
      ('public.jobs', 'studio_reads', 'user_id'),
      ('public.workspace_assets', 'studio_reads', 'user_id'),
      ('public.user_library', 'studio_reads', 'user_id'),
      ('public.character_portraits', 'studio_reads', 'studio.owner_of(character_id)'),
      ('public.character_scenes', 'studio_reads', 'studio.owner_of(character_id)'),
      ('studio.cost_entries', 'reads', 'user_id'),
      ('studio.reference_uploads', 'reads', 'owner'),
      ('studio.character_versions', 'reads', 'studio.owner_of(character_id)'),
      ('studio.character_cards', 'reads', 'studio.owner_of(character_id)'),
      ('studio.ratings', 'reads', 'studio.owner_of(character_id)'),
      ('studio.removed_scenes', 'reads', 'studio.owner_of(character_id)')
    ) as listed (table_name, policy, owner)
  loop
    execute format('alter policy %I on %s using (%s or (%s))', it.policy, it.table_name, team, format(editor, it.owner));
  end loop;
  for it in
    select * from (values
      ('public.characters', 'user_id'), ('public.user_library', 'user_id'),
      ('public.character_portraits', 'studio.owner_of(character_id)'),
      ('public.character_scenes', 'studio.owner_of(character_id)')
    ) as listed (table_name, owner)
  loop
    execute format('alter policy studio_changes on %s using (%2$s) with check (%2$s)', it.table_name, format(editor, it.owner));
  end loop;
end $$;

-- Who may change another's row may not make it their own or give it away, nor move what hangs on a character to somebody
-- else's: the {user_id} of every stored path is the owner's. Policies are joined by OR, and each half of a pair may come
-- from another one, so only a restrictive policy says no. It looks at the row as it stands before the statement, and
-- lets a customer through unasked: the platform's own policies already hold them to their rows.
create function studio.owner_stays(p_table text, p_row uuid, p_owner uuid) returns boolean
language plpgsql stable security definer set search_path = '' as $$
declare
  was uuid;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    return true;
  end if;
  was := case p_table
    when 'characters' then (select c.user_id from public.characters c where c.id = p_row)
    when 'user_library' then (select l.user_id from public.user_library l where l.id = p_row)
    when 'character_portraits' then (select c.user_id from public.character_portraits p
      join public.characters c on c.id = p.character_id where p.id = p_row)
    when 'character_scenes' then (select c.user_id from public.character_scenes s
      join public.characters c on c.id = s.character_id where s.id = p_row)
  end;
  return was = case when p_table in ('characters', 'user_library') then p_owner
    else (select c.user_id from public.characters c where c.id = p_owner) end;
end $$;
revoke execute on function studio.owner_stays(text, uuid, uuid) from public;
grant execute on function studio.owner_stays(text, uuid, uuid) to authenticated;

create policy studio_owner_stays on public.characters as restrictive for update to authenticated
  with check (studio.owner_stays('characters', id, user_id));
create policy studio_owner_stays on public.character_portraits as restrictive for update to authenticated
  with check (studio.owner_stays('character_portraits', id, character_id));
create policy studio_owner_stays on public.character_scenes as restrictive for update to authenticated
  with check (studio.owner_stays('character_scenes', id, character_id));
create policy studio_owner_stays on public.user_library as restrictive for update to authenticated
  with check (studio.owner_stays('user_library', id, user_id));
