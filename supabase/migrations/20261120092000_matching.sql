-- Portrait jobs that were asked for before their character existed (SPEC "Matching a portrait job without
-- character_id"): a new or renamed character, and a completion, put an entry into the queue; the rule is in core/matching.py.

alter table public.characters add column if not exists named_at timestamptz;
comment on column public.characters.named_at is 'when the name was last changed; null: it still has its first one';

create index jobs_unmatched on public.jobs (user_id, created_at desc)
  where character_id is null and (metadata ->> 'destination') = 'character_portrait';
-- A name of another writer may be longer than an index takes.
create index characters_by_name on public.characters (user_id, left(lower(btrim(name)), 200));

create function studio.name_of_job(metadata jsonb) returns text language sql immutable set search_path = '' as $$
  select nullif(left(lower(btrim(coalesce(metadata ->> 'character_name', metadata ->> 'characterName'))), 200), '')
$$;

create function studio.put_match(p_job uuid, p_delay double precision) returns void
language sql security definer set search_path = '' as $$
  insert into studio_queue.pgqueuer (entrypoint, payload, priority, status, dedupe_key, execute_after)
  values ('match', convert_to(p_job::text, 'UTF8'), 0, 'queued', 'match:' || p_job::text,
          now() + make_interval(secs => p_delay))
  on conflict (dedupe_key) where status in ('queued', 'picked') and dedupe_key is not null do nothing
$$;
revoke execute on function studio.put_match(uuid, double precision) from public;

-- A rename counts once it has stood for 60 s: it is noted here, and looked at a moment after.
create function studio.note_name() returns trigger language plpgsql set search_path = '' as $$
begin
  if new.name is distinct from old.name then
    new.named_at := now();
  end if;
  return new;
end $$;
create trigger note_name before update of name on public.characters
  for each row execute function studio.note_name();

create function studio.match_waiting_jobs() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.put_match(j.id, case tg_op when 'INSERT' then 0 else 61 end)
  from public.jobs j
  where j.user_id = new.user_id and j.character_id is null and (j.metadata ->> 'destination') = 'character_portrait'
    and j.created_at > now() - interval '24 hours'
    and (studio.name_of_job(j.metadata) = left(lower(btrim(new.name)), 200)
         or j.id in (studio.job_of_path(new.image_url), studio.job_of_path(new.reference_image_url)))
  order by j.created_at desc limit 50;
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;  -- recovery looks again
end $$;
create trigger match_new_character after insert on public.characters
  for each row execute function studio.match_waiting_jobs();
create trigger match_changed_character after update of name, image_url, reference_image_url on public.characters
  for each row when (new.name is distinct from old.name or new.image_url is distinct from old.image_url
                     or new.reference_image_url is distinct from old.reference_image_url)
  execute function studio.match_waiting_jobs();

create function studio.match_completed_job() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.put_match(new.id, 0);
  return null;
exception when others then
  if studio.is_ours() then
    raise;
  end if;
  return null;
end $$;
create trigger match_completed_job after update of status on public.jobs
  for each row when (new.status = 'completed' and old.status <> 'completed' and new.character_id is null
                     and (new.metadata ->> 'destination') = 'character_portrait')
  execute function studio.match_completed_job();
