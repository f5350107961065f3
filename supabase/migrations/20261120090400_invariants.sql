-- The invariants that every writer's rows obey. Triggers on the platform's tables never raise for other writers:
-- what they cannot keep becomes a finding (SPEC "Adoption"). Each body therefore ends in the same handler.

-- jobs: whose columns, which moves -------------------------------------------------------------------------------

create function studio.job_move_is_legal(old_status text, new_status text, job uuid) returns boolean
language sql stable security definer set search_path = '' as $$
  select case
    when old_status = new_status then true
    when old_status = 'queued' then new_status in ('processing', 'completed', 'failed', 'cancelled')
    when old_status = 'processing' and new_status = 'queued' then studio.is_ours() and not exists (
      select from studio.submissions s where s.job_id = job and s.outcome is distinct from 'not_accepted')
    when old_status = 'processing' then new_status in ('completed', 'failed', 'cancelled')
    when old_status in ('failed', 'cancelled') and new_status = 'completed' then
      exists (select from public.workspace_assets a where a.job_id = job)
    else false
  end
$$;
revoke execute on function studio.job_move_is_legal(text, text, uuid) from public;
grant execute on function studio.job_move_is_legal(text, text, uuid) to anon, authenticated, service_role;
grant execute on function studio.note_finding(text, text, text, text) to anon, authenticated, service_role;

-- Runs as the writer, so that current_user tells a customer from an edge function or from us.
create function studio.guard_job() returns trigger language plpgsql set search_path = '' as $$
declare
  by_user boolean := current_user in ('anon', 'authenticated');
begin
  if tg_op = 'DELETE' then
    if by_user and old.runner = 'studio' then
      perform studio.note_finding('job.deleted_by_user', 'jobs', old.id::text,
        'A user tried to delete a job of the studio; it was kept, because its cost and its picture hang on it.');
      return null;
    end if;
    return old;
  end if;
  if tg_op = 'INSERT' then
    if by_user then
      new.runner := 'platform';
      new.lease := 0; new.attempts := 0; new.cost_usd := null; new.cancel_requested := false;
      new.idempotency_key := null; new.retried_from := null; new.heartbeat_at := null; new.stage := null;
    end if;
    new.character_id := coalesce(new.character_id, studio.as_uuid(new.metadata ->> 'character_id'));
    return new;
  end if;
  if by_user and old.runner = 'studio' then
    -- The words were checked and the price was agreed when it was asked; neither changes afterwards.
    return old;
  end if;
  if by_user then
    new.runner := old.runner;
    new.lease := old.lease; new.attempts := old.attempts; new.cost_usd := old.cost_usd;
    new.cancel_requested := old.cancel_requested; new.idempotency_key := old.idempotency_key;
  end if;
  if not studio.job_move_is_legal(old.status, new.status, old.id) then
    if studio.is_ours() then
      raise exception 'A job cannot go from % to %.', old.status, new.status using errcode = 'PS409', detail = 'ILLEGAL_MOVE';
    end if;
    perform studio.note_finding('job.illegal_move', 'jobs', old.id::text, format(
      'Another writer tried to move this job from %s to %s; the status was kept, its other columns were written.',
      old.status, new.status));
    new.status := old.status;
    new.completed_at := coalesce(old.completed_at, new.completed_at);
  end if;
  if new.status is distinct from old.status then
    if new.status = 'processing' then
      new.started_at := coalesce(new.started_at, now());
    elsif new.status in ('completed', 'failed', 'cancelled') then
      new.completed_at := coalesce(new.completed_at, now());
    end if;
  end if;
  return new;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger guard_job before insert or update or delete on public.jobs
  for each row execute function studio.guard_job();

create function studio.record_job_event() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if tg_op = 'INSERT' then
    insert into studio.job_events (job_id, to_status, stage, note) values (new.id, new.status, new.stage, new.runner);
  elsif (new.status, new.stage, new.lease, new.error_code, new.cancel_requested)
        is distinct from (old.status, old.stage, old.lease, old.error_code, old.cancel_requested) then
    insert into studio.job_events (job_id, from_status, to_status, stage, lease, error_code, note)
    values (new.id, old.status, new.status, new.stage, new.lease, new.error_code,
            case when new.cancel_requested and not old.cancel_requested then 'cancel asked' end);
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;
end $$;
create trigger record_job_event after insert or update on public.jobs
  for each row execute function studio.record_job_event();

-- workspace_assets: the asset completes its job ------------------------------------------------------------------

create function studio.guard_asset() returns trigger language plpgsql set search_path = '' as $$
declare
  job record;
begin
  if tg_op = 'UPDATE' then
    if new.job_id is distinct from old.job_id and current_user in ('anon', 'authenticated') then
      perform studio.note_finding('asset.foreign_job', 'workspace_assets', new.id::text,
        'A user tried to hang a result on another job; the row kept the job it had.');
      new.job_id := old.job_id;
    end if;
    return new;
  end if;
  if new.job_id is null then
    return new;
  end if;
  select j.user_id, j.runner into job from studio.lock_job(new.job_id) j;
  if job.user_id is null then
    return new;  -- purged, or never ours to know
  end if;
  if current_user in ('anon', 'authenticated') and (job.user_id <> new.user_id or job.runner = 'studio') then
    perform studio.note_finding('asset.foreign_job', 'workspace_assets', new.id::text,
      'A user wrote a result for a job that is not theirs to finish; the row was kept without the job.');
    new.job_id := null;
  end if;
  return new;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return new;
end $$;

create function studio.lock_job(job uuid) returns table (user_id uuid, runner text)
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_direct_call();
  return query select j.user_id, j.runner from public.jobs j where j.id = job for update;
end $$;
revoke execute on function studio.lock_job(uuid) from public;
grant execute on function studio.lock_job(uuid) to anon, authenticated, service_role;

create trigger guard_asset before insert or update of job_id on public.workspace_assets
  for each row execute function studio.guard_asset();

create function studio.complete_job() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  update public.jobs set status = 'completed', completed_at = now()
  where id = new.job_id and status <> 'completed';
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_finding('asset.job_not_completed', 'workspace_assets', new.id::text,
    'A result came for a job that could not be completed by itself; recovery looks at it.');
  return null;
end $$;
create trigger complete_job after insert on public.workspace_assets
  for each row when (new.job_id is not null) execute function studio.complete_job();

-- portraits and library: which job, plain addresses ---------------------------------------------------------------

-- The job a row of another writer belongs to, or null with a finding where it is taken or somebody else's.
create function studio.claim_job_for(p_table text, p_row uuid, p_job uuid, p_owner uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  taken boolean;
  asked_by uuid;
  its_character uuid;
begin
  if p_job is null then
    return null;
  end if;
  perform pg_advisory_xact_lock(hashtextextended(p_table || ':' || p_job::text, 0));
  if p_table = 'character_portraits' then
    taken := exists (select from public.character_portraits p where p.job_id = p_job and p.id <> p_row);
  else
    taken := exists (select from public.user_library l where l.job_id = p_job and l.id <> p_row);
  end if;
  if taken then
    perform studio.note_finding(p_table || '.job_taken', p_table, p_row::text,
      'This row names a job that another row belongs to already; it was kept without the job.');
    return null;
  end if;
  select j.user_id, j.character_id into asked_by, its_character from public.jobs j where j.id = p_job;
  if asked_by is not null and asked_by <> p_owner and not exists (
    select from public.characters c where c.id = its_character and c.user_id = p_owner
  ) then
    perform studio.note_finding(p_table || '.foreign_job', p_table, p_row::text,
      'This row names a job of somebody else; it was kept without the job.');
    return null;
  end if;
  return p_job;
end $$;
revoke execute on function studio.claim_job_for(text, uuid, uuid, uuid) from public;

create function studio.guard_portrait() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  new.image_url := studio.plain_address(new.image_url);
  new.thumbnail_url := studio.plain_address(new.thumbnail_url);
  if studio.is_ours() then
    null;
  elsif tg_op = 'INSERT' then
    new.job_id := studio.claim_job_for('character_portraits', new.id,
      coalesce(studio.as_uuid(new.generation_metadata ->> 'job_id'), studio.job_of_path(new.image_url)),
      (select c.user_id from public.characters c where c.id = new.character_id));
  else
    new.job_id := old.job_id;
    new.updated_at := now();
  end if;
  if new.deleted_at is not null then
    new.is_primary := false;
  end if;
  return new;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return new;
end $$;
create trigger guard_portrait before insert or update on public.character_portraits
  for each row execute function studio.guard_portrait();

create function studio.guard_library() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if studio.is_ours() then
    return new;
  end if;
  if tg_op = 'INSERT' then
    new.job_id := studio.claim_job_for('user_library', new.id, studio.job_of_path(new.storage_path), new.user_id);
  else
    new.job_id := old.job_id;
  end if;
  return new;
exception when others then
  return new;
end $$;
create trigger guard_library before insert or update on public.user_library
  for each row execute function studio.guard_library();

-- One primary: the row made primary last wins. A transaction that has chosen checks the constraint at its end and
-- waits there for everybody who chose beside it; if they waited for it too, Postgres would stop one with an error. So
-- whoever comes second asks for its turn a while and then gives way quietly, and whoever has the turn waits for a
-- locked row only when the other side's own look for a deadlock (once, after a second) is past.
create function studio.keep_one_primary() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  asked_at constant timestamptz := clock_timestamp();
  my_turn boolean := false;
begin
  while not my_turn and clock_timestamp() < asked_at + interval '200 milliseconds' loop
    my_turn := pg_try_advisory_xact_lock(hashtextextended('primary:' || new.character_id::text, 0));
    if not my_turn then
      perform pg_sleep(0.005);
    end if;
  end loop;
  while my_turn loop
    begin
      if clock_timestamp() < asked_at + interval '1500 milliseconds' then
        perform from public.character_portraits other
        where other.character_id = new.character_id and other.id <> new.id and other.is_primary
        for update nowait;
      end if;
      update public.character_portraits other set is_primary = false, primary_pinned = false
      where other.character_id = new.character_id and other.id <> new.id and other.is_primary
        and exists (select from public.character_portraits me where me.id = new.id and me.is_primary);
      return null;
    exception
      when lock_not_available then
        perform pg_sleep(0.005);
      when deadlock_detected then
        my_turn := false;
    end;
  end loop;
  if studio.is_ours() then
    raise exception 'Somebody else chose a primary portrait of this character at the same moment.'
      using errcode = 'deadlock_detected';  -- our own writes repeat on it
  end if;
  update public.character_portraits set is_primary = false where id = new.id;
  return null;
end $$;
create trigger keep_one_primary after insert or update of is_primary on public.character_portraits
  for each row when (new.is_primary) execute function studio.keep_one_primary();

-- Deleting the primary hands it to the newest left; a row that vanishes is remembered as removed on purpose.
create function studio.hand_on_primary() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  gone public.character_portraits := old;
begin
  if not exists (select from public.characters c where c.id = gone.character_id) then
    return null;  -- the whole character went
  end if;
  if tg_op = 'DELETE' and gone.job_id is not null then
    insert into studio.removed_portraits (job_id, character_id) values (gone.job_id, gone.character_id)
    on conflict do nothing;
  end if;
  if gone.is_primary and not exists (
    select from public.character_portraits p where p.character_id = gone.character_id and p.is_primary
  ) then
    update public.character_portraits set is_primary = true
    where id = (select p.id from public.character_portraits p
                where p.character_id = gone.character_id and p.deleted_at is null
                order by p.created_at desc, p.id desc limit 1);
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;
end $$;
create trigger hand_on_primary_deleted after delete on public.character_portraits
  for each row execute function studio.hand_on_primary();
create trigger hand_on_primary_hidden after update of deleted_at on public.character_portraits
  for each row when (old.deleted_at is null and new.deleted_at is not null) execute function studio.hand_on_primary();

-- characters: version, plain addresses, pictures the platform sets ------------------------------------------------

create function studio.guard_character() returns trigger language plpgsql set search_path = '' as $$
begin
  new.image_url := studio.plain_address(new.image_url);
  new.reference_image_url := studio.plain_address(new.reference_image_url);
  if tg_op = 'INSERT' then
    return new;
  end if;
  new.version := old.version;
  if (new.name, new.description, new.gender, new.content_rating, new.is_public, new.role, new.traits, new.persona,
      new.personality_traits, new.appearance_tags, new.clothing_tags, new.voice_tone, new.mood, new.first_message,
      new.system_prompt, new.alternate_greetings, new.forbidden_phrases, new.voice_examples, new.default_presets,
      new.scene_behavior_rules, new.match_reference, new.deleted_at)
     is distinct from
     (old.name, old.description, old.gender, old.content_rating, old.is_public, old.role, old.traits, old.persona,
      old.personality_traits, old.appearance_tags, old.clothing_tags, old.voice_tone, old.mood, old.first_message,
      old.system_prompt, old.alternate_greetings, old.forbidden_phrases, old.voice_examples, old.default_presets,
      old.scene_behavior_rules, old.match_reference, old.deleted_at) then
    new.version := old.version + 1;
    new.updated_at := now();
  end if;
  return new;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return new;
end $$;
grant execute on function studio.plain_address(text) to anon, authenticated, service_role;
create trigger guard_character before insert or update on public.characters
  for each row execute function studio.guard_character();

-- The platform shows a library picture that has no portrait row: it gets one and follows the primary rule.
create function studio.adopt_picture() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  path text := regexp_replace(new.image_url, '^user-library/', '');
  job uuid := studio.job_of_path(new.image_url);
  pinned boolean;
begin
  if studio.is_ours() or split_part(path, '/', 1) <> new.user_id::text or exists (
    select from public.character_portraits p
    where p.character_id = new.id and (p.image_url = new.image_url or p.job_id = job)
  ) then
    return null;
  end if;
  pinned := exists (select from public.character_portraits p where p.character_id = new.id and p.primary_pinned);
  insert into public.character_portraits (character_id, image_url, generation_metadata, is_primary)
  values (new.id, new.image_url, jsonb_build_object('job_id', job, 'storage_path', path), not pinned);
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_finding('character.picture_without_portrait', 'characters', new.id::text,
    'The platform set a picture of this character that could not get a portrait row by itself.');
  return null;
end $$;
create trigger adopt_picture after update of image_url on public.characters
  for each row when (new.image_url like 'user-library/%' and new.image_url is distinct from old.image_url)
  execute function studio.adopt_picture();

-- Telling open pages ------------------------------------------------------------------------------------------------

create function studio.tell() returns trigger language plpgsql security definer set search_path = '' as $$
declare
  it jsonb := to_jsonb(case tg_op when 'DELETE' then old else new end);
  character_id text := case tg_table_name when 'characters' then it ->> 'id' else it ->> 'character_id' end;
  owner text := coalesce(it ->> 'user_id',
    (select c.user_id::text from public.characters c where c.id = studio.as_uuid(it ->> 'character_id')));
begin
  perform pg_notify('studio_events', jsonb_build_object(
    'table', tg_table_name, 'op', lower(tg_op), 'id', it ->> 'id', 'character_id', character_id, 'owner', owner,
    'job_id', case tg_table_name when 'jobs' then it ->> 'id' else it ->> 'job_id' end,
    'status', it ->> 'status', 'stage', it ->> 'stage')::text);
  return null;
exception when others then
  return null;  -- a page that is not told reads its rows again anyway; a writer must not fail for it
end $$;
create trigger tell after insert or delete on public.jobs for each row execute function studio.tell();
create trigger tell_changed after update on public.jobs for each row
  when ((new.status, new.stage, new.progress, new.queue_position, new.error_code, new.cancel_requested, new.character_id,
         new.metadata)
        is distinct from
        (old.status, old.stage, old.progress, old.queue_position, old.error_code, old.cancel_requested, old.character_id,
         old.metadata))
  execute function studio.tell();  -- heartbeats say nothing to a page
create trigger tell after insert or update or delete on public.character_portraits
  for each row execute function studio.tell();
create trigger tell after insert or update or delete on public.characters
  for each row execute function studio.tell();
create trigger tell after insert or update or delete on public.user_library
  for each row execute function studio.tell();
