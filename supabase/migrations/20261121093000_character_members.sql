-- Sharing one character with a colleague (SPEC "Data"): members see it and all that hangs on it, with can_edit they
-- change it. The path of a picture stays the owner's, a job stays who asked for it and whose budget pays (decision 0033).

create table studio.character_members (
  character_id uuid not null references public.characters (id) on delete cascade,
  user_id uuid not null,
  can_edit boolean not null default false,
  added_by uuid,
  added_at timestamptz not null default now(),
  primary key (character_id, user_id)
);
comment on table studio.character_members is 'a character that goes takes its members along; a member who loses the editor role keeps the row and sees nothing';
create index character_members_of_person on studio.character_members (user_id, character_id);
-- A member's pages of the library and the library of one character.
create index if not exists library_of_character on public.user_library
  ((roleplay_metadata ->> 'character_id'), created_at desc, id desc);

alter table studio.character_members enable row level security;
create policy studio_service on studio.character_members for all to service_role using (true) with check (true);
create policy reads on studio.character_members for select to authenticated
  using ((select studio.has_role('qa', 'product', 'admin')) or ((select studio.has_role('editor'))
         and (user_id = (select auth.uid()) or studio.owner_of(character_id) = (select auth.uid()))));
grant select on studio.character_members to authenticated;
grant all on studio.character_members to service_role;

-- Who may what -----------------------------------------------------------------------------------------------------

-- What others share with this person. Asked once a statement by the policies below: a hash of a few rows, not a
-- question for each row of a table.
create function studio.shared_characters() returns table (character_id uuid, owner uuid, can_edit boolean)
language sql stable security definer set search_path = '' rows 20 as $$
  select m.character_id, c.user_id, m.can_edit
  from studio.character_members m join public.characters c on c.id = m.character_id
  where m.user_id = auth.uid() and studio.has_role('editor')
$$;
revoke execute on function studio.shared_characters() from public;
grant execute on function studio.shared_characters() to authenticated;

create function studio.is_member(p_character uuid, p_to_change boolean) returns boolean
language sql stable security definer set search_path = '' as $$
  select studio.has_role('editor') and exists (
    select from studio.character_members m
    where m.character_id = p_character and m.user_id = auth.uid() and (m.can_edit or not p_to_change))
$$;
revoke execute on function studio.is_member(uuid, boolean) from public;

create function studio.may_read_character(p_character uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select coalesce((select studio.may_read(c.user_id) or studio.is_member(c.id, false)
                   from public.characters c where c.id = p_character), false)
$$;
revoke execute on function studio.may_read_character(uuid) from public;

create function studio.may_change_character(p_character uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select coalesce((select studio.may_change(c.user_id) or studio.is_member(c.id, true)
                   from public.characters c where c.id = p_character), false)
$$;
revoke execute on function studio.may_change_character(uuid) from public;

-- A job hangs on a character where it was allowed when it was asked (runner studio), or where its owner asked: users
-- write the platform's jobs themselves and could name any character.
create function studio.may_read_job_of(p_character uuid, p_asker uuid, p_runner text) returns boolean
language sql stable security definer set search_path = '' as $$
  select p_character is not null and studio.has_role('editor') and exists (
    select from public.characters c
    where c.id = p_character and (p_runner = 'studio' or c.user_id = p_asker)
      and (c.user_id = auth.uid() or studio.is_member(c.id, false)))
$$;
revoke execute on function studio.may_read_job_of(uuid, uuid, text) from public;

create function studio.may_change_job(p_job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select studio.has_role('editor') and exists (
    select from public.jobs j join public.characters c on c.id = j.character_id
    where j.id = p_job and j.runner = 'studio' and (c.user_id = auth.uid() or studio.is_member(c.id, true)))
$$;
revoke execute on function studio.may_change_job(uuid) from public;

-- The jobs of what others share with this person: their results lie in the owner's folder, whoever asked for them.
create function studio.shared_jobs() returns table (job_id uuid)
language sql stable security definer set search_path = '' rows 500 as $$
  select j.id from studio.shared_characters() s join public.jobs j on j.character_id = s.character_id
  where j.runner = 'studio' or j.user_id = s.owner
$$;
revoke execute on function studio.shared_jobs() from public;
grant execute on function studio.shared_jobs() to authenticated;

create or replace function studio.may_read_job(job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select studio.has_role('qa', 'product', 'admin')
      or exists (select from public.jobs j where j.id = job
                 and (studio.may_read(j.user_id) or studio.may_read_job_of(j.character_id, j.user_id, j.runner)))
$$;

-- Policies beside the standing ones ----------------------------------------------------------------------------------

create policy studio_members_read on public.characters for select to authenticated
  using ((select studio.has_role('editor')) and id in (select s.character_id from studio.shared_characters() s));
create policy studio_members_change on public.characters for update to authenticated
  using ((select studio.has_role('editor')) and id in (select s.character_id from studio.shared_characters() s where s.can_edit))
  with check ((select studio.has_role('editor')) and id in (select s.character_id from studio.shared_characters() s where s.can_edit));

do $$
declare
  name text;
  shared constant text :=
    '(select studio.has_role(''editor'')) and character_id in (select s.character_id from studio.shared_characters() s';
begin
  foreach name in array array['public.character_portraits', 'public.character_scenes', 'studio.character_versions',
    'studio.removed_scenes', 'studio.ratings', 'studio.character_cards', 'studio.reference_uploads'] loop
    execute format('create policy studio_members_read on %s for select to authenticated using (%s))', name, shared);
  end loop;
  execute format('create policy studio_members_change on public.character_portraits for update to authenticated '
    'using (%1$s where s.can_edit)) with check (%1$s where s.can_edit))', shared);
  execute format('create policy studio_members_change on public.character_scenes for all to authenticated '
    'using (%1$s where s.can_edit)) with check (%1$s where s.can_edit))', shared);
end $$;

create policy studio_members_read on public.user_library for select to authenticated
  using ((select studio.has_role('editor')) and (user_id, roleplay_metadata ->> 'character_id') in (
    select s.owner, s.character_id::text from studio.shared_characters() s));
create policy studio_members_change on public.user_library for update to authenticated
  using ((select studio.has_role('editor')) and (user_id, roleplay_metadata ->> 'character_id') in (
    select s.owner, s.character_id::text from studio.shared_characters() s where s.can_edit))
  with check ((select studio.has_role('editor')) and (user_id, roleplay_metadata ->> 'character_id') in (
    select s.owner, s.character_id::text from studio.shared_characters() s where s.can_edit));

-- Jobs by two sets that are made once a statement. What others asked for on one's own character is looked up by row,
-- for theirs alone: a set of all characters of an owner may hold a hundred thousand.
create policy studio_members_read on public.jobs for select to authenticated
  using ((select studio.has_role('editor')) and (
    id in (select s.job_id from studio.shared_jobs() s)
    or (runner = 'studio' and user_id <> (select auth.uid()) and character_id is not null
        and studio.owner_of(character_id) = (select auth.uid()))));
create policy studio_members_read on public.workspace_assets for select to authenticated
  using ((select studio.has_role('editor')) and job_id in (select s.job_id from studio.shared_jobs() s));
create policy studio_members_read on studio.cost_entries for select to authenticated
  using ((select studio.has_role('editor')) and (
    character_id in (select s.character_id from studio.shared_characters() s)
    or (user_id <> (select auth.uid()) and character_id is not null
        and studio.owner_of(character_id) = (select auth.uid()))));

-- A member does not remove a character, and by another client than the studio, which looks at every path, they do not
-- say where its pictures lie: those are shown to whoever may read the row. The arguments name the columns that stay.
-- (That it stays its owner's is a rule of 20261121092000.) Nobody could write another's row before, so no other writer's
-- statement changes.
create function studio.keep_owners_columns() returns trigger language plpgsql set search_path = '' as $$
declare
  stay constant text[] := case when studio.is_ours() then array['deleted_at', 'deleted_by'] else tg_argv end;
begin
  -- By itself: in one condition with the rest, every other role would need the right to call its functions.
  if current_user <> 'authenticated' then
    return new;
  end if;
  if studio.shares() or (studio.is_ours() and tg_table_name <> 'characters')
     or coalesce(to_jsonb(old) ->> 'user_id', studio.owner_of(studio.as_uuid(to_jsonb(old) ->> 'character_id'))::text)
        is not distinct from auth.uid()::text then
    return new;
  end if;
  return jsonb_populate_record(new, (
    select jsonb_object_agg(was.key, was.value) from jsonb_each(to_jsonb(old)) was where was.key = any (stay)));
end $$;
create trigger keep_owners_columns before update on public.characters for each row
  when ((new.deleted_at, new.image_url, new.reference_image_url, new.preview_image_url)
        is distinct from (old.deleted_at, old.image_url, old.reference_image_url, old.preview_image_url))
  execute function studio.keep_owners_columns('deleted_at', 'deleted_by', 'image_url', 'reference_image_url',
    'preview_image_url');
create trigger keep_owners_columns before update on public.character_portraits for each row
  when ((new.image_url, new.thumbnail_url) is distinct from (old.image_url, old.thumbnail_url))
  execute function studio.keep_owners_columns('image_url', 'thumbnail_url');
create trigger keep_owners_columns before update on public.character_scenes for each row
  when (new.image_url is distinct from old.image_url)
  execute function studio.keep_owners_columns('image_url');
create trigger keep_owners_columns before update on public.user_library for each row
  when ((new.storage_path, new.thumbnail_path, new.roleplay_metadata)
        is distinct from (old.storage_path, old.thumbnail_path, old.roleplay_metadata))
  execute function studio.keep_owners_columns('storage_path', 'thumbnail_path', 'roleplay_metadata');

-- A new scene of a member's other client has no picture yet.
create function studio.begin_without_picture() returns trigger language plpgsql set search_path = '' as $$
begin
  if current_user <> 'authenticated' or studio.is_ours() then
    return new;
  end if;
  if studio.owner_of(new.character_id) is distinct from auth.uid() then
    new.image_url := null;
  end if;
  return new;
end $$;
create trigger begin_without_picture before insert on public.character_scenes for each row
  when (new.image_url is not null) execute function studio.begin_without_picture();

-- Adding, changing, removing -----------------------------------------------------------------------------------------

-- The owner of a character that this person may share; raises for everybody else.
create function studio.owner_to_share(p_character uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  its_owner uuid := (select c.user_id from public.characters c where c.id = p_character and c.deleted_at is null);
begin
  if not studio.has_role('editor', 'admin') then
    raise exception 'Sharing characters needs the editor role. Ask an admin for it.'
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
revoke execute on function studio.owner_to_share(uuid) from public;

-- Adds or changes one member; the same again changes nothing and notes nothing.
create function studio.put_member(p_character uuid, p_person uuid, p_can_edit boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
  before studio.character_members;
begin
  perform pg_advisory_xact_lock(hashtextextended('members:' || p_character::text, 0));
  select * into before from studio.character_members m where m.character_id = p_character and m.user_id = p_person;
  if before.can_edit is not distinct from p_can_edit then
    return;
  end if;
  if before.user_id is null
     and (select count(*) from studio.character_members m where m.character_id = p_character) >= 50 then
    raise exception 'Fifty people work on this character, which is as many as can. Remove one first.'
      using errcode = 'PS409', detail = 'TOO_MANY_MEMBERS';
  end if;
  insert into studio.character_members (character_id, user_id, can_edit, added_by)
  values (p_character, p_person, p_can_edit, auth.uid())
  on conflict (character_id, user_id) do update set can_edit = excluded.can_edit;
  perform studio.note_audit(case when before.user_id is null then 'member_added' else 'member_changed' end,
    'characters', p_character::text,
    case when before.user_id is null then null else jsonb_build_object('member', p_person, 'can_edit', before.can_edit) end,
    jsonb_build_object('member', p_person, 'can_edit', p_can_edit));
end $$;
revoke execute on function studio.put_member(uuid, uuid, boolean) from public;

-- Shares a character with the person who signs in with that address. An address nobody has and one of somebody who
-- is no editor get the same answer: this tells nobody who the platform's customers are.
create function studio.add_member(p_character uuid, p_email text, p_can_edit boolean) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  its_owner uuid := studio.owner_to_share(p_character);
  wanted text := btrim(coalesce(p_email, ''));
  found_one uuid;
begin
  select u.id into found_one from auth.users u
  where u.email in (wanted, lower(wanted)) and u.raw_app_meta_data -> 'roles' ? 'editor'
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
revoke execute on function studio.add_member(uuid, text, boolean) from public;
grant execute on function studio.add_member(uuid, text, boolean) to authenticated;

create function studio.change_member(p_character uuid, p_person uuid, p_can_edit boolean) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.owner_to_share(p_character);
  if p_person = auth.uid() then
    raise exception 'You cannot change your own rights to somebody else''s character. Ask its owner.'
      using errcode = 'PS400', detail = 'NOT_ONESELF', hint = 'person';
  end if;
  if not exists (select from studio.character_members m where m.character_id = p_character and m.user_id = p_person) then
    raise exception 'This person is not a member any more. Add them again.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  perform studio.put_member(p_character, p_person, coalesce(p_can_edit, false));
end $$;
revoke execute on function studio.change_member(uuid, uuid, boolean) from public;
grant execute on function studio.change_member(uuid, uuid, boolean) to authenticated;

create function studio.take_member_out(p_character uuid, p_person uuid, p_action text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  gone studio.character_members;
begin
  delete from studio.character_members m where m.character_id = p_character and m.user_id = p_person returning * into gone;
  if gone.user_id is null then
    return false;
  end if;
  perform studio.note_audit(p_action, 'characters', p_character::text,
    jsonb_build_object('member', p_person, 'can_edit', gone.can_edit));
  return true;
end $$;
revoke execute on function studio.take_member_out(uuid, uuid, text) from public;

-- Somebody who is out already is no error: false.
create function studio.remove_member(p_character uuid, p_person uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.owner_to_share(p_character);
  return studio.take_member_out(p_character, p_person, 'member_removed');
end $$;
revoke execute on function studio.remove_member(uuid, uuid) from public;
grant execute on function studio.remove_member(uuid, uuid) to authenticated;

create function studio.leave_character(p_character uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
  if auth.uid() is null or not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return studio.take_member_out(p_character, auth.uid(), 'member_left');
end $$;
revoke execute on function studio.leave_character(uuid) from public;
grant execute on function studio.leave_character(uuid) to authenticated;

-- The owner first, then the members by name. The name is what signs in; somebody without an account any more has the
-- beginning of their id.
create function studio.members_of(p_character uuid)
returns table (person uuid, name text, is_owner boolean, can_edit boolean, is_editor boolean, added_at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') or not studio.may_read_character(p_character) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  return query
  select one.person, coalesce(nullif(u.email::text, ''), left(one.person::text, 8)), one.is_owner, one.can_edit,
         coalesce(u.raw_app_meta_data -> 'roles' ? 'editor', false), one.added_at
  from (
    select c.user_id as person, true as is_owner, true as can_edit, null::timestamptz as added_at
    from public.characters c where c.id = p_character
    union all
    select m.user_id, false, m.can_edit, m.added_at from studio.character_members m where m.character_id = p_character
  ) one
  left join auth.users u on u.id = one.person
  order by one.is_owner desc, 2;
end $$;
revoke execute on function studio.members_of(uuid) from public;
grant execute on function studio.members_of(uuid) to authenticated;

-- Whose characters these are, for a list of at most a page.
create function studio.owners_named(p_characters uuid[]) returns table (character_id uuid, name text)
language sql stable security definer set search_path = '' as $$
  select c.id, coalesce(nullif(u.email::text, ''), left(c.user_id::text, 8))
  from public.characters c left join auth.users u on u.id = c.user_id
  where c.id = any (p_characters[1:200]) and studio.has_role('editor', 'qa', 'product', 'admin')
    and (studio.may_read(c.user_id) or studio.is_member(c.id, false))
$$;
revoke execute on function studio.owners_named(uuid[]) from public;
grant execute on function studio.owners_named(uuid[]) to authenticated;

-- Telling the pages of all of them -----------------------------------------------------------------------------------

create function studio.readers_of(p_character uuid) returns uuid[]
language sql stable security definer set search_path = '' as $$
  select array_agg(one.id) from (
    select c.user_id as id from public.characters c where c.id = p_character
    union select m.user_id from studio.character_members m where m.character_id = p_character) one
$$;
revoke execute on function studio.readers_of(uuid) from public;

create or replace function studio.tell() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  it jsonb := to_jsonb(case tg_op when 'DELETE' then old else new end);
  character_id text := case tg_table_name when 'characters' then it ->> 'id' else it ->> 'character_id' end;
  its_character constant uuid := studio.as_uuid(coalesce(character_id, it -> 'roleplay_metadata' ->> 'character_id'));
  its_owner constant text := (select c.user_id::text from public.characters c where c.id = its_character);
  owner text := coalesce(it ->> 'user_id', its_owner);
  others uuid[];
begin
  -- A row of another writer may name anybody's character: only its owner's rows hang on it.
  if its_owner is not null and (owner = its_owner or it ->> 'runner' = 'studio') then
    others := array_remove(studio.readers_of(its_character), owner::uuid);
  end if;
  perform pg_notify('studio_events', jsonb_build_object(
    'table', tg_table_name, 'op', lower(tg_op), 'id', it ->> 'id', 'character_id', character_id, 'owner', owner,
    'job_id', case tg_table_name when 'jobs' then it ->> 'id' else it ->> 'job_id' end,
    'status', it ->> 'status', 'stage', it ->> 'stage', 'others', nullif(others, '{}'))::text);
  return null;
exception when others then
  return null;  -- a page that is not told reads its rows again anyway; a writer must not fail for it
end $$;

create function studio.tell_member() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  it studio.character_members := case tg_op when 'DELETE' then old else new end;
begin
  perform pg_notify('studio_events', jsonb_build_object(
    'table', 'character_members', 'op', lower(tg_op), 'id', it.user_id, 'character_id', it.character_id,
    'owner', studio.owner_of(it.character_id), 'others', array_append(studio.readers_of(it.character_id), it.user_id))::text);
  return null;
end $$;
create trigger tell after insert or update or delete on studio.character_members
  for each row execute function studio.tell_member();

-- What people cause, now also as members: each as it stood, asking for the character instead of its owner --------------

-- Of the owner's pictures a member matches those of characters that are shared with them, and what the owner chose:
-- the paths of both name their character.
create function studio.may_match(p_reference text, p_character uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select p_reference is null or split_part(p_reference, '/', 2) = auth.uid()::text
      or coalesce((select studio.may_change(c.user_id) or c.reference_image_url = p_reference or exists (
           select from studio.shared_characters() s
           where s.owner = c.user_id and position(s.character_id::text in p_reference) > 0)
         from public.characters c where c.id = p_character), false)
$$;
revoke execute on function studio.may_match(text, uuid) from public;

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

create or replace function studio.ask_scene(
  p_scene uuid, p_model uuid, p_prompt text, p_metadata jsonb, p_width integer, p_height integer,
  p_idempotency_key text, p_retried_from uuid, p_max_waiting integer
) returns table (job_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  its_character uuid;
  asked record;
begin
  select s.character_id into its_character from public.character_scenes s where s.id = p_scene;
  if its_character is null or not studio.may_change_character(its_character) then
    raise exception 'This scene does not exist any more, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  select a.job_id, a.created into asked
  from studio.ask(its_character, p_model, p_prompt, p_metadata, p_width, p_height, p_idempotency_key, p_retried_from,
                  p_max_waiting) a;
  if asked.created then
    update public.jobs j set job_type = 'character_scene',
      metadata = j.metadata || jsonb_build_object('destination', 'character_scene', 'scene_id', p_scene)
    where j.id = asked.job_id;
  end if;
  return query select asked.job_id, asked.created;
end $$;

create or replace function studio.cancel(p_job uuid) returns table (status text, stage text)
language plpgsql security definer set search_path = '' as $$
declare
  it public.jobs;
begin
  select * into it from public.jobs j where j.id = p_job for update;
  if it.id is null or not (
    (studio.has_role('editor') and (it.user_id = auth.uid() or studio.shares())) or studio.has_role('qa', 'admin')
    or studio.may_change_job(p_job)
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

create or replace function studio.dismiss(p_job uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
  update public.jobs j set metadata = j.metadata || '{"dismissed": true}'
  where j.id = p_job and j.status in ('failed', 'cancelled') and j.runner = 'studio'
    and studio.has_role('editor') and (j.user_id = auth.uid() or studio.shares() or studio.may_change_job(p_job));
  if not found then
    raise exception 'This picture has not failed, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
end $$;

create or replace function studio.owner_to_change(p_character uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  owner uuid := studio.owner_of(p_character);
begin
  if owner is null or not studio.may_change_character(p_character) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  return owner;
end $$;

create or replace function studio.keep_reference(
  p_character uuid, p_sha256 text, p_media_type text, p_file_size integer, p_width integer, p_height integer
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  owner uuid := studio.owner_of(p_character);
  kept uuid;
begin
  if me is null or not studio.has_role('editor') then
    raise exception 'Uploading a reference needs the editor role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if owner is null or not studio.may_change_character(p_character) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  insert into studio.reference_uploads as r
    (owner, character_id, path, sha256, media_type, file_size, width, height, uploaded_by, rights_confirmed_by)
  values (owner, p_character,
          owner::text || '/' || p_character::text || '/' || p_sha256 || case p_media_type when 'image/png' then '.png' else '.jpg' end,
          p_sha256, p_media_type, p_file_size, p_width, p_height, me, me)
  on conflict (path) do update set
    uploaded_at = now(),
    uploaded_by = case when r.deleted_at is null then r.uploaded_by else me end,
    rights_confirmed_by = case when r.deleted_at is null then r.rights_confirmed_by else me end,
    rights_confirmed_at = case when r.deleted_at is null then r.rights_confirmed_at else now() end,
    deleted_at = null, deleted_by = null
  returning r.id into kept;
  perform studio.note_audit('reference_uploaded', 'reference_uploads', kept::text, null,
    jsonb_build_object('character_id', p_character, 'sha256', p_sha256, 'rights_confirmed', true));
  return kept;
end $$;

create or replace function studio.erase_reference(p_reference uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  it studio.reference_uploads;
begin
  select * into it from studio.reference_uploads r where r.id = p_reference for update;
  if it.id is null or not (studio.may_change(it.owner) or studio.may_change_character(it.character_id)) then
    raise exception 'This reference does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  -- Other characters of the owner may follow it, which a member does not see.
  if not studio.may_change(it.owner) and it.uploaded_by is distinct from auth.uid() then
    raise exception 'This picture was uploaded by somebody else. Take it off the character, or ask its owner to erase it.'
      using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if not studio.may_change(it.owner) and exists (
    select from public.characters c
    where c.user_id = it.owner and c.id <> it.character_id and c.reference_image_url = 'reference_images/' || it.path
  ) then
    raise exception 'Another character of the owner follows this picture. Take it off this character, or ask the owner.'
      using errcode = 'PS409', detail = 'IN_USE';
  end if;
  if it.deleted_at is null then
    update studio.reference_uploads set deleted_at = now(), deleted_by = auth.uid() where id = it.id;
    update public.characters c
    set reference_image_url = null, reference_is_auto = false, match_reference = false
    where c.user_id = it.owner and c.reference_image_url = 'reference_images/' || it.path;
    perform studio.note_audit('reference_erased', 'reference_uploads', it.id::text);
  end if;
  return it.path;
end $$;

create or replace function studio.remove_scene(p_scene uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  gone public.character_scenes;
begin
  select * into gone from public.character_scenes s where s.id = p_scene for update;
  if gone.id is null or not studio.may_change_character(gone.character_id) then
    return false;
  end if;
  insert into studio.removed_scenes (id, character_id, scene, removed_by)
  values (gone.id, gone.character_id, to_jsonb(gone), auth.uid())
  on conflict (id) do update set scene = excluded.scene, removed_by = excluded.removed_by, removed_at = now();
  delete from public.character_scenes s where s.id = p_scene;
  return true;
end $$;

create or replace function studio.restore_scene(p_scene uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  kept studio.removed_scenes;
begin
  select * into kept from studio.removed_scenes r where r.id = p_scene for update;
  if kept.id is null or not studio.may_change_character(kept.character_id) then
    return false;
  end if;
  insert into public.character_scenes select * from jsonb_populate_record(null::public.character_scenes, kept.scene)
  on conflict (id) do nothing;
  delete from studio.removed_scenes r where r.id = p_scene;
  return true;
end $$;

create or replace function studio.rate_portrait(p_portrait uuid, p_favourite boolean, p_stars integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  of_character uuid := (select p.character_id from public.character_portraits p
                        where p.id = p_portrait and p.deleted_at is null);
begin
  if me is null or not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'Rating portraits needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if of_character is null or not studio.may_read_character(of_character) then
    raise exception 'This portrait does not exist any more, or it is not yours.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if p_stars not between 0 and 5 then
    raise exception 'A portrait has between one and five stars.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'stars';
  end if;
  insert into studio.ratings as r (portrait_id, user_id, character_id, is_favourite, stars)
  values (p_portrait, me, of_character, coalesce(p_favourite, false), nullif(p_stars, 0))
  on conflict (portrait_id, user_id) do update set
    is_favourite = coalesce(p_favourite, r.is_favourite),
    stars = case when p_stars is null then r.stars else nullif(p_stars, 0) end,
    rated_at = now();
  delete from studio.ratings r
  where r.portrait_id = p_portrait and r.user_id = me and not r.is_favourite and r.stars is null;
end $$;

create or replace function studio.ask_suggestion(
  p_character uuid, p_version integer, p_wanted text, p_model_key text, p_input_tokens integer, p_output_tokens integer,
  p_idempotency_key text, p_fingerprint text
) returns table (suggestion_id uuid, created boolean)
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  standing uuid;
  prices record;
  estimate numeric;
  made uuid;
begin
  if me is null or not studio.has_role('editor') then
    raise exception 'Suggestions need the editor role.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if p_character is not null and not studio.may_read_character(p_character) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if not coalesce(p_input_tokens between 1 and 1000000 and p_output_tokens between 1 and 1000000, false) then
    raise exception 'A suggestion takes 1 to 1000000 tokens.' using errcode = 'PS400', detail = 'BAD_REQUEST';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('suggestions:' || me::text, 0));
  if p_idempotency_key is not null then
    select s.id into standing from studio.suggestions s where s.user_id = me and s.idempotency_key = p_idempotency_key;
    if standing is not null then
      return query select standing, false;
      return;
    end if;
  end if;
  if (select count(*) from studio.suggestions s
      where s.user_id = me and s.outcome is null and s.asked_at > now() - interval '5 minutes') >= 5 then
    raise exception 'Five of your suggestions are being written already. Wait for one of them.'
      using errcode = 'PS429', detail = 'TOO_MANY';
  end if;
  select * into prices from studio.token_prices(p_model_key, now());
  estimate := round((p_input_tokens * prices.input_usd + p_output_tokens * prices.output_usd) / 1000000, 6);
  perform studio.hold_budget(me, estimate);
  insert into studio.suggestions (user_id, character_id, version, wanted, idempotency_key, fingerprint, model_key)
  values (me, p_character, p_version, p_wanted, p_idempotency_key, p_fingerprint, p_model_key)
  returning id into made;
  insert into studio.cost_entries (job_id, attempt, user_id, character_id, provider, model_key, kind, amount_usd, units)
  values (made, 1, me, p_character, 'chat', p_model_key, 'estimated', estimate,
          jsonb_build_object('unit', 'tokens', 'input_tokens', p_input_tokens, 'output_tokens', p_output_tokens));
  return query select made, true;
end $$;

create or replace function studio.tell_presence(p_page uuid, p_character uuid, p_op text, p_name text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  owner uuid := studio.owner_of(p_character);
begin
  if owner is null or not studio.may_read_character(p_character) or p_op not in ('arrived', 'here', 'left') then
    return false;
  end if;
  perform pg_notify('studio_events', jsonb_build_object(
    'table', 'presence', 'op', p_op, 'character_id', p_character, 'owner', owner, 'page', p_page, 'who', auth.uid(),
    'name', left(p_name, 80), 'others', studio.readers_of(p_character))::text);
  return true;
end $$;

create or replace function studio.line(p_limit integer) returns table (
  id uuid, user_id uuid, kind text, character_id uuid, character_name text, provider text, model text, status text,
  stage text, progress real, queue_position integer, place bigint, cancel_requested boolean, created_at timestamptz,
  started_at timestamptz, prompt text, mine boolean, may_read boolean
) language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'The queue needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return query
  select j.id, case when seen.may then j.user_id end, j.job_type, case when seen.may then j.character_id end,
         case when j.job_type = 'attribute_image' then (
                select concat_ws(', ', a.value, a.style) from studio.attribute_jobs a where a.job_id = j.id)
              when seen.may then coalesce(nullif(trim(c.name), ''), j.metadata ->> 'character_name') end,
         p.name, m.display_name, j.status, j.stage, j.progress, j.queue_position, waiting.place, j.cancel_requested,
         j.created_at, j.started_at,
         case when j.user_id = auth.uid() or studio.has_role('admin') then j.original_prompt end,
         j.user_id = auth.uid(), seen.may
  from public.jobs j
  left join public.api_models m on m.id = j.api_model_id
  left join public.api_providers p on p.id = m.provider_id
  left join public.characters c on c.id = j.character_id
  cross join lateral (
    select studio.may_read(j.user_id) or studio.may_read_job_of(j.character_id, j.user_id, j.runner) as may) seen
  left join lateral (
    select 1 + count(*) as place from studio_queue.pgqueuer ahead
    join studio_queue.pgqueuer its on its.dedupe_key = 'job:' || j.id::text and its.status = 'queued'
    where ahead.entrypoint = its.entrypoint and ahead.status = 'queued'
      and (ahead.priority > its.priority or (ahead.priority = its.priority and ahead.id < its.id))
  ) waiting on j.status = 'queued'
  where j.runner = 'studio' and j.status in ('queued', 'processing')
  order by j.status = 'queued', waiting.place nulls first, j.created_at
  limit least(p_limit, 500);
end $$;

create or replace function studio.characters_named(p_beginning text, p_limit integer) returns table (id uuid, name text)
language plpgsql stable security definer set search_path = '' as $$
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'This needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  return query
    select c.id, c.name::text from public.characters c
    where studio.plain_name(c.name) operator(pg_catalog.~>=~) studio.plain_name(p_beginning)
      and studio.plain_name(c.name) operator(pg_catalog.~<~) (studio.plain_name(p_beginning) || chr(1114111))
      and (studio.may_read(c.user_id) or studio.is_member(c.id, false))
    order by studio.plain_name(c.name) using operator(pg_catalog.~<~), c.created_at desc, c.id
    limit least(greatest(p_limit, 0), 200);
end $$;

-- A page of one's own and a page of what is shared, each by its index, then the first of both.
create or replace function studio.search_library(
  p_words text, p_only_characters boolean, p_tag text, p_model text, p_seed bigint, p_character uuid,
  p_from timestamptz, p_until timestamptz, p_bin boolean, p_before timestamptz, p_before_id uuid, p_limit integer
) returns table (id uuid, at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
declare
  everybodys constant boolean :=
    studio.has_role('qa', 'product', 'admin') or (studio.has_role('editor') and studio.shares());
  moment constant text := case when p_bin then 'l.deleted_at' else 'l.created_at' end;
  wanted constant text :=
    case when p_bin then 'l.deleted_at is not null' else 'l.deleted_at is null' end
    || case when p_words is null then '' else
       ' and studio.library_words(l.original_prompt, l.tags, l.model_used, l.generation_seed, l.roleplay_metadata,'
       || ' l.content_category) @@ to_tsquery(''simple'', $2)' end
    || case when p_only_characters then
       ' and (l.content_category = ''character'' or ''character'' = any (l.tags)'
       || ' or l.roleplay_metadata ->> ''type'' = ''character_portrait'')' else '' end
    || case when p_tag is null then '' else ' and $3 = any (l.tags)' end
    || case when p_model is null then '' else ' and l.model_used = $4' end
    || case when p_seed is null then '' else ' and l.generation_seed = $5' end
    || case when p_character is null then '' else ' and l.roleplay_metadata ->> ''character_id'' = $6::text' end
    || case when p_from is null then '' else ' and l.created_at >= $7' end
    || case when p_until is null then '' else ' and l.created_at < $8' end
    || case when p_before is null then '' else ' and (' || moment || ', l.id) < ($9, $10)' end;
  page constant text := ' order by ' || moment || ' desc, l.id desc limit $11';
  found_in constant text := 'select l.id, ' || moment || ' as at from public.user_library l';
  asked text;
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'The library needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  asked := found_in || ' where ' || case when everybodys then '' else 'l.user_id = $1 and ' end || wanted || page;
  if not everybodys and exists (select from studio.shared_characters()) then
    asked := 'select both_of.id, both_of.at from ((' || asked || ') union all (select mine.id, mine.at from '
      || 'studio.shared_characters() s cross join lateral (' || found_in || ' where l.user_id = s.owner and l.user_id <> $1'
      || ' and l.roleplay_metadata ->> ''character_id'' = s.character_id::text and ' || wanted || page || ') mine))'
      || ' both_of order by both_of.at desc, both_of.id desc limit $11';
  end if;
  -- The plan must know what is asked for: a generic one scans everything.
  return query execute asked
  using auth.uid(), p_words, p_tag, p_model, p_seed, p_character, p_from, p_until, p_before, p_before_id,
    least(p_limit, 1001);
end $$;

select studio.close_to_people();
