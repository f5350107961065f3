-- Beside the platform: our triggers never wait for a lock inside another writer's statement, and swallow nothing
-- silently.
--
-- Who waits in a trigger holds what its statement holds, and Postgres then ends one of those who wait in a ring: any of
-- them, the platform's too. So a trigger asks for what it needs again and again for a while, and where it is not to be
-- had gives way and leaves a finding. While it only asks it stands in no ring, so it never costs another writer an error;
-- and where somebody waits for it meanwhile it asks for a moment only.

-- True where another session waits for a row that this transaction holds.
create function studio.is_waited_for() returns boolean
language sql volatile security definer set search_path = '' as $$
  select exists (
    select from pg_catalog.pg_locks waiting
    join pg_catalog.pg_locks held on held.locktype = 'transactionid' and held.transactionid = waiting.transactionid
    where waiting.locktype = 'transactionid' and not waiting.granted and held.granted
      and held.pid = pg_catalog.pg_backend_pid())
$$;
revoke execute on function studio.is_waited_for() from public;

-- True where it is no use to ask on: after `p_patience`, or, where somebody waits for us, after a tenth of a second. Our
-- own transactions ask for a quarter of a second at most: they let go of everything and come again.
create function studio.gives_way(p_since timestamptz, p_patience interval) returns boolean
language sql volatile security definer set search_path = '' as $$
  select pg_catalog.clock_timestamp() > p_since + least(p_patience, case when studio.is_ours() then interval '250 milliseconds' end)
      or (pg_catalog.clock_timestamp() > p_since + interval '100 milliseconds' and studio.is_waited_for())
$$;
revoke execute on function studio.gives_way(timestamptz, interval) from public;

-- The turn of `p_key`, until this transaction ends; false where it is somebody else's for longer than we ask.
create function studio.takes_turn(p_key text, p_patience interval) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  since constant timestamptz := clock_timestamp();
begin
  loop
    if pg_try_advisory_xact_lock(hashtextextended(p_key, 0)) then
      return true;
    end if;
    if studio.gives_way(since, p_patience) then
      return false;
    end if;
    perform pg_sleep(0.005);
  end loop;
end $$;
revoke execute on function studio.takes_turn(text, interval) from public;

-- Findings from inside another writer's statement ------------------------------------------------------------------

create function studio.write_finding(p_rule text, p_table text, p_row text, p_sentence text) returns void
language sql security definer set search_path = '' as $$
  insert into studio.findings (rule, table_name, row_id, sentence) values (p_rule, p_table, p_row, p_sentence)
  on conflict (rule, table_name, row_id) do update
    set last_seen = now(), times = studio.findings.times + 1, sentence = excluded.sentence,
        mended_at = null, mended_by = null
$$;
revoke execute on function studio.write_finding(text, text, text, text) from public;

-- The same, which waits no longer than it must for somebody who writes that very finding.
create function studio.write_finding_soon(p_rule text, p_table text, p_row text, p_sentence text) returns void
language plpgsql security definer set search_path = '' set lock_timeout = '300ms' as $$
begin
  perform studio.write_finding(p_rule, p_table, p_row, p_sentence);
exception when lock_not_available or deadlock_detected then
  -- It stands there already, and is being written at this very moment.
  raise warning 'The finding % of %.% was just being written and was not counted again.', p_rule, p_table, p_row;
end $$;
revoke execute on function studio.write_finding_soon(text, text, text, text) from public;

create or replace function studio.note_finding(p_rule text, p_table text, p_row text, p_sentence text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_direct_call();
  if studio.is_ours() then
    perform studio.write_finding(p_rule, p_table, p_row, p_sentence);
  else
    perform studio.write_finding_soon(p_rule, p_table, p_row, p_sentence);
  end if;
end $$;

-- What a trigger could not do for another writer's row. It never raises itself.
create function studio.note_failure(p_table text, p_row text, p_rule_of text, p_state text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.refuse_direct_call();
  perform studio.note_finding('trigger.failed', p_table, p_row, format(
    'The row was written as it is, but a rule of the studio could not be applied to it (%s, state %s).',
    p_rule_of, p_state));
exception when others then
  raise warning 'A rule of the studio (%) could not be applied to %.%: %', p_rule_of, p_table, p_row, p_state;
end $$;
revoke execute on function studio.note_failure(text, text, text, text) from public;
grant execute on function studio.note_failure(text, text, text, text) to anon, authenticated, service_role;

-- jobs -------------------------------------------------------------------------------------------------------------

create or replace function studio.guard_job() returns trigger language plpgsql set search_path = '' as $$
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
  perform studio.note_failure('jobs', coalesce(new.id, old.id)::text, 'guard_job', sqlstate);
  return case tg_op when 'DELETE' then old else new end;
end $$;

create or replace function studio.record_job_event() returns trigger
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
  perform studio.note_failure('jobs', new.id::text, 'record_job_event', sqlstate);
  return null;
end $$;

-- The asset completes its job: another writer's statement asks for the job's row and never waits for it ----------------

create or replace function studio.lock_job(job uuid) returns table (user_id uuid, runner text)
language plpgsql security definer set search_path = '' as $$
declare
  since constant timestamptz := clock_timestamp();
begin
  perform studio.refuse_direct_call();
  if studio.is_ours() then
    return query select j.user_id, j.runner from public.jobs j where j.id = job for update;
    return;
  end if;
  loop
    begin
      return query select j.user_id, j.runner from public.jobs j where j.id = job for update nowait;
      return;
    exception when lock_not_available then
      null;
    end;
    if studio.gives_way(since, interval '1500 milliseconds') then
      return query select j.user_id, j.runner from public.jobs j where j.id = job;
      return;
    end if;
    perform pg_sleep(0.005);
  end loop;
end $$;

create or replace function studio.guard_asset() returns trigger language plpgsql set search_path = '' as $$
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
  perform studio.note_failure('workspace_assets', new.id::text, 'guard_asset', sqlstate);
  return new;
end $$;

create or replace function studio.complete_job() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if not studio.is_ours() then
    perform from public.jobs j where j.id = new.job_id and j.status <> 'completed' for update nowait;
  end if;
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

-- Portraits and library: a job's row is taken by turns, ours included ------------------------------------------------

-- Before we write the library row or the portrait of a job: nobody else is about to. Raises lock_not_available, on
-- which our own writes repeat.
create function studio.take_job_rows(p_job uuid) returns void language plpgsql set search_path = '' as $$
begin
  if not pg_try_advisory_xact_lock(hashtextextended('user_library:' || p_job::text, 0))
     or not pg_try_advisory_xact_lock(hashtextextended('character_portraits:' || p_job::text, 0)) then
    raise exception 'Somebody else is saving the picture of this job.' using errcode = 'lock_not_available';
  end if;
end $$;
revoke execute on function studio.take_job_rows(uuid) from public;
grant execute on function studio.take_job_rows(uuid) to service_role;

create or replace function studio.claim_job_for(p_table text, p_row uuid, p_job uuid, p_owner uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  taken boolean;
  asked_by uuid;
  its_character uuid;
begin
  if p_job is null then
    return null;
  end if;
  if not studio.takes_turn(p_table || ':' || p_job::text, interval '1 second') then
    taken := true;  -- another row of this job is being written just now
  elsif p_table = 'character_portraits' then
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

create or replace function studio.guard_portrait() returns trigger
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
  perform studio.note_failure('character_portraits', new.id::text, 'guard_portrait', sqlstate);
  return new;
end $$;

create or replace function studio.guard_library() returns trigger
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
  perform studio.note_failure('user_library', new.id::text, 'guard_library', sqlstate);
  return new;
end $$;

-- One primary ------------------------------------------------------------------------------------------------------

-- One transaction at a time chooses among the portraits of a character. Who waits for the turn may hold a row that the
-- one who has it needs: that one says so (the second lock), and the other gives way at once.
create function studio.takes_primary_turn(p_character uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  since constant timestamptz := clock_timestamp();
  turn constant bigint := hashtextextended('primary:' || p_character::text, 0);
  wanted constant bigint := hashtextextended('primary wanted:' || p_character::text, 0);
begin
  loop
    if pg_try_advisory_xact_lock(turn) then
      return true;
    end if;
    if not pg_try_advisory_lock_shared(wanted) then
      return false;
    end if;
    perform pg_advisory_unlock_shared(wanted);
    if studio.gives_way(since, interval '1500 milliseconds') then
      return false;
    end if;
    perform pg_sleep(0.005);
  end loop;
end $$;
revoke execute on function studio.takes_primary_turn(uuid) from public;

-- One try to leave this portrait the only primary; false where another writer holds what it needs. The constraint is
-- checked here, where waiting for others who choose is bounded: at the commit it would not be. Later statements of the
-- same transaction may choose anew, so it is deferred again.
create function studio.settles_primary(p_portrait uuid, p_character uuid) returns boolean
language plpgsql security definer set search_path = '' set lock_timeout = '20ms' as $$
begin
  perform from public.character_portraits other
  where other.character_id = p_character and other.id <> p_portrait and other.is_primary
  for update nowait;
  update public.character_portraits other set is_primary = false, primary_pinned = false
  where other.character_id = p_character and other.id <> p_portrait and other.is_primary
    and exists (select from public.character_portraits me where me.id = p_portrait and me.is_primary);
  if exists (
    select from pg_catalog.pg_constraint c
    where c.conrelid = 'public.character_portraits'::regclass and c.conname = 'portraits_one_primary'
  ) then
    set constraints public.portraits_one_primary immediate;
    set constraints public.portraits_one_primary deferred;
  end if;
  return true;
exception when lock_not_available or deadlock_detected then
  return false;
end $$;
revoke execute on function studio.settles_primary(uuid, uuid) from public;

-- The row made primary last wins; who gives way leaves the primary that is, and a finding.
create or replace function studio.keep_one_primary() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  since constant timestamptz := clock_timestamp();
begin
  if studio.takes_primary_turn(new.character_id) then
    loop
      if studio.settles_primary(new.id, new.character_id) then
        return null;
      end if;
      exit when studio.gives_way(since, interval '1500 milliseconds');
      perform pg_try_advisory_xact_lock(hashtextextended('primary wanted:' || new.character_id::text, 0));
      perform pg_sleep(0.005);
    end loop;
  end if;
  if studio.is_ours() then
    raise exception 'Somebody else chose a primary portrait of this character at the same moment.'
      using errcode = 'lock_not_available';  -- our own writes repeat on it
  end if;
  update public.character_portraits set is_primary = false where id = new.id;
  perform studio.note_finding('portrait.choice_lost', 'character_portraits', new.id::text,
    'This portrait was chosen while another writer held the portraits of its character; the choice gave way.');
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  -- Two primaries would be refused at the commit.
  update public.character_portraits set is_primary = false where id = new.id;
  perform studio.note_failure('character_portraits', new.id::text, 'keep_one_primary', sqlstate);
  return null;
end $$;

-- Deleting the primary hands it to the newest left; a row that vanishes is remembered as removed on purpose.
create or replace function studio.hand_on_primary() returns trigger
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
  if gone.is_primary then
    perform studio.crown_the_newest(gone.character_id);
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_failure('character_portraits', gone.id::text, 'hand_on_primary', sqlstate);
  return null;
end $$;

-- The newest portrait becomes primary where there is none; one that another writer holds for long is passed over.
-- Where the turn is somebody else's, that one is choosing.
create function studio.crown_the_newest(p_character uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
  since constant timestamptz := clock_timestamp();
  heir uuid;
begin
  if not studio.takes_primary_turn(p_character) then
    if studio.is_ours() then
      raise exception 'Somebody else is choosing a primary portrait of this character.' using errcode = 'lock_not_available';
    end if;
    return;
  end if;
  while heir is null and exists (
    select from public.character_portraits p where p.character_id = p_character and p.deleted_at is null
  ) and not exists (
    select from public.character_portraits p where p.character_id = p_character and p.is_primary
  ) loop
    begin
      select p.id into heir from public.character_portraits p
      where p.character_id = p_character and p.deleted_at is null
      order by p.created_at desc, p.id desc limit 1 for update nowait;
    exception when lock_not_available then
      if studio.gives_way(since, interval '500 milliseconds') then
        select p.id into heir from public.character_portraits p
        where p.character_id = p_character and p.deleted_at is null
        order by p.created_at desc, p.id desc limit 1 for update skip locked;
        exit when heir is null;
      end if;
      perform pg_sleep(0.005);
    end;
  end loop;
  update public.character_portraits set is_primary = true where id = heir;
end $$;
revoke execute on function studio.crown_the_newest(uuid) from public;

-- Characters ---------------------------------------------------------------------------------------------------------

create or replace function studio.guard_character() returns trigger language plpgsql set search_path = '' as $$
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
  perform studio.note_failure('characters', new.id::text, 'guard_character', sqlstate);
  return new;
end $$;

create or replace function studio.adopt_picture() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  path text := regexp_replace(new.image_url, '^user-library/', '');
  job uuid := studio.job_of_path(new.image_url);
  pinned boolean;
begin
  if studio.is_ours() or split_part(path, '/', 1) <> new.user_id::text then
    return null;
  end if;
  if job is not null and not studio.takes_turn('character_portraits:' || job::text, interval '1 second') then
    perform studio.note_finding('character.picture_without_portrait', 'characters', new.id::text,
      'The platform set a picture of this character whose portrait another writer was just writing.');
    return null;
  end if;
  if exists (
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

create or replace function studio.keep_version() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  fresh jsonb;
  latest studio.character_versions;
  merged jsonb;
begin
  fresh := studio.changed_fields(to_jsonb(old), to_jsonb(new));
  if fresh = '{}' then
    return null;
  end if;
  select * into latest from studio.character_versions v where v.character_id = new.id order by v.id desc limit 1;
  if latest.id is null or latest.who is distinct from auth.uid() or latest.at < now() - interval '10 minutes' then
    insert into studio.character_versions (character_id, version, who, changes)
    values (new.id, new.version, auth.uid(), fresh);
    return null;
  end if;
  select coalesce(jsonb_object_agg(field, pair), '{}') into merged from (
    select field, jsonb_build_array(coalesce(latest.changes -> field -> 0, fresh -> field -> 0),
                                    coalesce(fresh -> field -> 1, latest.changes -> field -> 1)) as pair
    from jsonb_object_keys(latest.changes || fresh) as field
  ) fields where pair -> 0 is distinct from pair -> 1;
  if merged = '{}' then
    delete from studio.character_versions v where v.id = latest.id;
  else
    update studio.character_versions v set changes = merged, version = new.version, at = now() where v.id = latest.id;
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_failure('characters', new.id::text, 'keep_version', sqlstate);
  return null;
end $$;

-- Matching -----------------------------------------------------------------------------------------------------------

-- Where another transaction is putting the same entry, one is enough; should that one be undone, recovery looks again.
create or replace function studio.put_match(p_job uuid, p_delay double precision) returns void
language sql security definer set search_path = '' as $$
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key, execute_after)
  select 'match', convert_to(p_job::text, 'UTF8'), 0, 'queued', 'match:' || p_job::text,
         now() + make_interval(secs => p_delay)
  where pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('match:' || p_job::text, 0))
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing
$$;

create or replace function studio.match_waiting_jobs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.put_match(j.id, case tg_op when 'INSERT' then 0 else 61 end)
  from public.jobs j
  where j.user_id = new.user_id and j.character_id is null and (j.metadata ->> 'destination') = 'character_portrait'
    and j.created_at > now() - interval '24 hours'
    and (studio.name_of_job(j.metadata) = studio.plain_name(new.name)
         or j.id in (studio.job_of_path(new.image_url), studio.job_of_path(new.reference_image_url)))
  order by j.created_at desc limit 50;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_failure('characters', new.id::text, 'match_waiting_jobs', sqlstate);
  return null;  -- recovery looks again
end $$;

create or replace function studio.match_completed_job() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.put_match(new.id, 0);
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_failure('jobs', new.id::text, 'match_completed_job', sqlstate);
  return null;
end $$;

create or replace function studio.publish_completed_job() returns trigger
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
  perform studio.note_failure('jobs', new.id::text, 'publish_completed_job', sqlstate);
  return null;  -- recovery looks again
end $$;

create or replace function studio.note_removed_item() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  its_job uuid := coalesce(old.job_id, studio.job_of_path(old.storage_path));
begin
  if its_job is not null then
    insert into studio.removed_items (job_id) values (its_job) on conflict do nothing;
  end if;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  perform studio.note_failure('user_library', old.id::text, 'note_removed_item', sqlstate);
  return null;
end $$;


-- Roles of the platform's own --------------------------------------------------------------------------------------

-- A job that runs by the clock, or a script with a login of its own, writes these tables too. What a trigger asks as
-- whoever writes, every role may ask: without these, each of their statements would fail for our triggers. Customers
-- have all of it already, and what writes a finding or locks a job refuses to be called but by a trigger.
grant usage on schema studio to public;
grant execute on function studio.plain_address(text), studio.job_move_is_legal(text, text, uuid), studio.lock_job(uuid),
  studio.note_finding(text, text, text, text), studio.note_failure(text, text, text, text) to public;
