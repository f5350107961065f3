-- Erasing one person, and what is kept for how long (SPEC "Data"; decision 0043).
--
-- A person who is erased leaves an id that stands for nobody in the ledger, the events and the rows of others: sums and
-- stories keep their shape. erase_user() is the one function that may redact them.

create table studio.erasures (
  id uuid primary key default gen_random_uuid(),
  person uuid,
  email text,
  stands_for uuid not null default gen_random_uuid(),
  asked_by uuid not null,
  asked_at timestamptz not null default clock_timestamp(),
  rows_gone_at timestamptz,
  finished_at timestamptz,
  rows_gone jsonb not null default '{}',
  objects_gone bigint not null default 0,
  trouble text,
  check ((person is null) = (finished_at is not null)),
  check (email is null or finished_at is null)
);
comment on table studio.erasures is 'people who were erased, without who they were';
comment on column studio.erasures.person is 'whom it is about, until it is finished; then nobody can tell';
comment on column studio.erasures.stands_for is 'the id that took the place of theirs in rows that stay';
comment on column studio.erasures.rows_gone is 'rows that went or were redacted, by table: {"public.jobs": 3, …}';
comment on column studio.erasures.trouble is 'why it does not go on now';
create unique index erasures_one_a_person on studio.erasures (person) where person is not null;
create index erasures_recent on studio.erasures (asked_at desc, id desc);

create table studio.retention_runs (
  id uuid primary key default gen_random_uuid(),
  kind text not null,
  began_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  looked_at bigint not null default 0,
  gone bigint not null default 0,
  kept bigint not null default 0,
  trouble text
);
comment on column studio.retention_runs.kept is 'what was old enough and stayed, because another row needs it or the store did not answer';
create index retention_runs_recent on studio.retention_runs (kind, began_at desc);

-- Objects whose last row went: written with that, in one transaction, and taken off when the object is gone.
create table studio.going_objects (
  bucket text not null,
  path text not null,
  since timestamptz not null default clock_timestamp(),
  primary key (bucket, path)
);
create index portraits_in_bin on public.character_portraits (deleted_at, id) where deleted_at is not null;
create index library_in_bin on public.user_library (deleted_at, id) where deleted_at is not null;

alter table studio.erasures enable row level security;
alter table studio.retention_runs enable row level security;
alter table studio.going_objects enable row level security;
revoke all on studio.erasures, studio.retention_runs, studio.going_objects from public, anon, authenticated, service_role;
grant all on studio.erasures, studio.retention_runs, studio.going_objects to service_role;
grant select on studio.erasures, studio.retention_runs to authenticated;
create policy studio_service on studio.erasures for all to service_role using (true) with check (true);
create policy studio_service on studio.retention_runs for all to service_role using (true) with check (true);
create policy studio_service on studio.going_objects for all to service_role using (true) with check (true);
create policy admins_read on studio.erasures for select to authenticated using ((select studio.has_role('admin')));
create policy team_reads on studio.retention_runs for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')));

-- Append-only but for one hand: erase_user() changes the columns that can name a person, and nothing else. Who calls is
-- told by the stack. A statement's own text stands there too and could pretend to be that function, so whoever changes
-- them must also hold the right to call it, which only the studio's own login does.
create or replace function studio.append_only() returns trigger language plpgsql set search_path = '' as $$
declare
  said text;
  redactable text[] := case tg_table_name
    when 'audit_events' then array['who', 'row_id', 'before', 'after', 'why']
    when 'cost_entries' then array['user_id', 'note', 'units'] end;
begin
  if tg_op = 'UPDATE' and tg_level = 'ROW' and redactable is not null and tg_table_schema = 'studio'
     and has_function_privilege('studio.erase_user(uuid)', 'execute') then
    get diagnostics said = pg_context;
    if position('function studio.erase_user(uuid) line' in said) > 0 and to_jsonb(new) - redactable = to_jsonb(old) - redactable then
      return new;
    end if;
  end if;
  raise exception '%.% is append-only', tg_table_schema, tg_table_name using errcode = 'PS409';
end $$;

-- True where auth.users is our own stand-in, and an account therefore ours to remove.
create function studio.keeps_accounts() returns boolean language sql stable security definer set search_path = '' as $$
  select exists (select from studio.schema_migrations m where m.version = '20261120090000')
$$;
revoke execute on function studio.keeps_accounts() from public;

-- An admin asks; the e-mail is typed a second time. The same person twice is one erasure. Their sessions end at once.
create function studio.begin_erasure(p_person uuid, p_email text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  known record;
  made uuid;
begin
  perform studio.refuse_all_but('admin');
  if p_person = auth.uid() then
    raise exception 'Nobody erases themselves: another admin does it.' using errcode = 'PS409', detail = 'ONESELF';
  end if;
  select u.email, u.raw_app_meta_data into known from auth.users u where u.id = p_person;
  if not found then
    raise exception 'There is no such person.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if lower(btrim(coalesce(p_email, ''))) is distinct from lower(btrim(known.email)) or coalesce(known.email, '') = '' then
    raise exception 'This is not that person''s e-mail address. Type it as it stands in their account.'
      using errcode = 'PS400', detail = 'EMAIL_DIFFERS', hint = 'email';
  end if;
  if not studio.keeps_accounts() and jsonb_typeof(known.raw_app_meta_data -> 'roles') = 'array'
     and jsonb_array_length(known.raw_app_meta_data -> 'roles') > 0 then
    raise exception 'This person still holds roles and could write meanwhile. Take the roles away first, then erase.'
      using errcode = 'PS409', detail = 'HOLDS_ROLES';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('erasure:' || p_person::text, 0));
  select e.id into made from studio.erasures e where e.person = p_person;
  if made is null then
    insert into studio.erasures (person, email, asked_by) values (p_person, known.email, auth.uid()) returning id into made;
    perform studio.note_audit('erasure_begun', 'erasures', made::text);
  end if;
  if to_regclass('studio.sessions') is not null then
    delete from studio.sessions s where s.person = p_person;
  end if;
  return made;
end $$;
revoke execute on function studio.begin_erasure(uuid, text) from public;
grant execute on function studio.begin_erasure(uuid, text) to authenticated;

-- Jobs that may still bring a picture into this person's rows: their own, and those of their characters.
create function studio.jobs_under_way_of(p_person uuid) returns table (job_id uuid, status text, stage text, runner text)
language sql stable set search_path = '' as $$
  select j.id, j.status, j.stage, j.runner from public.jobs j
  where j.status in ('queued', 'processing')
    and (j.user_id = p_person or j.character_id in (select c.id from public.characters c where c.user_id = p_person))
  order by j.created_at, j.id
$$;
revoke execute on function studio.jobs_under_way_of(uuid) from public;

-- Every statement's text that puts `stands_for` in the place of a person in one table; null where no column could hold one.
create function studio.redaction_of(p_table regclass) returns text language sql stable set search_path = '' as $$
  select format('update %s t set %s where strpos(t::text, $1::text) > 0 or ($3 is not null and strpos(lower(t::text), lower($3)) > 0)',
    p_table, string_agg(
      case
        when a.atttypid = 'uuid'::regtype then format('%1$I = case when t.%1$I = $1 then $2 else t.%1$I end', a.attname)
        when a.atttypid = 'uuid[]'::regtype then format('%1$I = array_replace(t.%1$I, $1, $2)', a.attname)
        else format('%1$I = studio.without_person(t.%1$I::text, $1, $2, $3)::%2$s', a.attname, format_type(a.atttypid, a.atttypmod))
      end, ', ' order by a.attnum))
  from pg_catalog.pg_attribute a
  where a.attrelid = p_table and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    and a.atttypid in ('uuid'::regtype, 'uuid[]'::regtype, 'text'::regtype, 'text[]'::regtype, 'varchar'::regtype, 'varchar[]'::regtype,
                       'json'::regtype, 'jsonb'::regtype)
$$;
revoke execute on function studio.redaction_of(regclass) from public;

-- A text with another id and no address. An address that is only part of a longer one is somebody else's.
create function studio.without_person(p_value text, p_person uuid, p_stands_for uuid, p_email text) returns text
language sql immutable set search_path = '' as $$
  select replace(
    case when p_email is null then p_value else regexp_replace(p_value,
      '(?<![[:alnum:]._%+-])' || regexp_replace(p_email, '([^[:alnum:]@])', '\\\1', 'g') || '(?![[:alnum:]-]|[.][[:alnum:]])',
      'erased', 'gi') end,
    p_person::text, p_stands_for::text)
$$;
revoke execute on function studio.without_person(text, uuid, uuid, text) from public;

-- What hangs on one person: characters, jobs, and the ids of every row that goes, as texts. What they asked for on somebody
-- else's character stays with that character, and so does the team's own work on attribute images; such a job only forgets
-- who asked.
create function studio.ids_of_person(p_person uuid, out mine uuid[], out asked uuid[], out gone text[])
language plpgsql stable set search_path = '' as $$
begin
  mine := array(select c.id from public.characters c where c.user_id = p_person);
  asked := array(
    select j.id from public.jobs j
    where j.user_id = p_person and j.job_type <> 'attribute_image'
      and (j.character_id is null or j.character_id = any (mine)
           or not exists (select from public.characters c where c.id = j.character_id)));
  gone := array(select unnest(mine)::text union select unnest(asked)::text
    union select x.id::text from public.character_portraits x where x.character_id = any (mine)
    union select x.id::text from public.character_scenes x where x.character_id = any (mine)
    union select x.id::text from public.user_library x where x.user_id = p_person
    union select x.id::text from public.workspace_assets x where x.user_id = p_person
    union select x.id::text from studio.reference_uploads x where x.owner = p_person);
end $$;
revoke execute on function studio.ids_of_person(uuid) from public;

-- Which rows are a person's: $1 the person, $2 their characters, $3 their jobs, $4 the ids of all that goes. `fate` is
-- `goes`; `follows` where a foreign key takes it along; `stays` where it keeps its ids and forgets the person.
create function studio.rows_of_person() returns table (place integer, named text, rule text, fate text)
language sql immutable set search_path = '' as $$
  select * from (values
    (1, 'studio.stock_objects', 'owner = $1 or strpos(path, $1::text) > 0', 'goes'),
    (2, 'studio.findings', 'row_id = any ($4) or id in (select m.finding_id from studio.stock_marks m where m.owner = $1)', 'goes'),
    (3, 'studio.suggestions', 'user_id = $1 or character_id = any ($2)', 'goes'),
    (4, 'studio.saved_views', 'owner = $1', 'goes'),
    (5, 'studio.budgets', 'user_id = $1', 'goes'),
    (6, 'studio.ratings', 'user_id = $1', 'goes'),
    (7, 'studio.character_members', 'user_id = $1', 'goes'),
    (8, 'studio.reference_uploads', 'owner = $1 or character_id = any ($2)', 'goes'),
    (9, 'studio.proof_results', 'job_id = any ($3)', 'goes'),
    (10, 'studio.recovery_steps', 'job_id = any ($3)', 'goes'),
    (11, 'studio.callbacks', 'job_id = any ($3)', 'goes'),
    (12, 'studio.submissions', 'job_id = any ($3)', 'goes'),
    (13, 'studio_queue.pgqueuer', 'split_part(dedupe_key, '':'', 2) = any (select unnest($3)::text)', 'goes'),
    (14, 'public.workspace_assets', 'user_id = $1 or job_id = any ($3)', 'goes'),
    (15, 'public.user_library', 'user_id = $1', 'goes'),
    (16, 'public.character_portraits', 'character_id = any ($2)', 'follows'),
    (17, 'public.character_scenes', 'character_id = any ($2)', 'follows'),
    (18, 'studio.character_versions', 'character_id = any ($2)', 'follows'),
    (19, 'studio.character_cards', 'character_id = any ($2)', 'follows'),
    (20, 'studio.removed_scenes', 'character_id = any ($2)', 'follows'),
    (21, 'public.characters', 'user_id = $1', 'goes'),
    (22, 'studio.removed_portraits', 'character_id = any ($2)', 'goes'),
    (23, 'public.jobs', 'id = any ($3)', 'goes'),
    (24, 'studio.removed_items', 'job_id = any ($3)', 'goes'),
    (25, 'studio.sessions', 'person = $1', 'goes'),
    (29, 'studio.going_objects', 'strpos(path, $1::text) > 0', 'goes'),
    (26, 'studio.job_events', 'job_id = any ($3)', 'stays'),
    (27, 'studio.cost_entries', 'user_id = $1', 'stays'),
    (28, 'studio.audit_events', 'who = $1', 'stays')
  ) owned
$$;
revoke execute on function studio.rows_of_person() from public;

-- The rows of one person go, and every other row forgets them, in one transaction. Objects are Python's duty, before and
-- after. Only the studio's own login calls it. Raises PS409 STILL_UNDER_WAY.
create function studio.erase_user(p_erasure uuid) returns jsonb language plpgsql set search_path = '' as $$
declare
  e studio.erasures;
  p uuid;
  its record;
  tally jsonb := '{}';
  one record;
  number bigint;
begin
  select * into e from studio.erasures x where x.id = p_erasure for update;
  if e.id is null or e.person is null then
    return coalesce(e.rows_gone, '{}');
  end if;
  p := e.person;
  perform from public.characters c where c.user_id = p order by c.id for update;
  if exists (select from studio.jobs_under_way_of(p)) then
    raise exception 'Pictures of this person are still under way. They are cancelled; the erasure goes on when they have ended.'
      using errcode = 'PS409', detail = 'STILL_UNDER_WAY';
  end if;
  select * into its from studio.ids_of_person(p);

  for one in select r.named, r.rule from studio.rows_of_person() r where r.fate = 'goes' order by r.place loop
    if to_regclass(one.named) is null then
      continue;
    end if;
    execute format('delete from %s where %s', one.named, one.rule) using p, its.mine, its.asked, its.gone;
    get diagnostics number = row_count;
    if number > 0 then
      tally := tally || jsonb_build_object(one.named, number);
    end if;
  end loop;

  -- What was said about rows that are gone may quote them.
  update studio.audit_events a set before = null, after = null
  where a.row_id = any (its.gone) and (a.before is not null or a.after is not null);
  get diagnostics number = row_count;
  tally := tally || jsonb_build_object('redacted: studio.audit_events about their rows', number);

  for one in
    select c.oid::regclass as of_table, studio.redaction_of(c.oid::regclass) as statement
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and not c.relispartition
      and (n.nspname in ('studio', 'studio_queue')
           or (n.nspname = 'public' and c.relname in ('characters', 'character_portraits', 'character_scenes', 'jobs',
             'workspace_assets', 'user_library', 'attribute_images', 'style_images', 'api_models', 'api_providers')))
      and (n.nspname, c.relname) not in (('studio', 'erasures'), ('studio', 'schema_migrations'), ('studio', 'sign_in_failures'))
    order by 1
  loop
    continue when one.statement is null;
    execute one.statement using p, e.stands_for, nullif(btrim(e.email), '');
    get diagnostics number = row_count;
    if number > 0 then
      tally := tally || jsonb_build_object('redacted: ' || one.of_table, number);
    end if;
  end loop;

  if studio.keeps_accounts() then
    delete from auth.users u where u.id = p;
    get diagnostics number = row_count;
    tally := tally || jsonb_build_object('auth.users', number);
  end if;
  update studio.erasures x set rows_gone = tally, rows_gone_at = clock_timestamp() where x.id = p_erasure;
  return tally;
end $$;
revoke execute on function studio.erase_user(uuid) from public;
