-- Versions of a character: which fields changed from what to what, and by whom (SPEC "Data", character_versions).

create table studio.character_versions (
  id bigint generated always as identity primary key,
  character_id uuid not null references public.characters (id) on delete cascade,
  version bigint not null,
  who uuid,
  began_at timestamptz not null default now(),
  at timestamptz not null default now(),
  changes jsonb not null
);
create index on studio.character_versions (character_id, id desc);
alter table studio.character_versions enable row level security;
create policy studio_service on studio.character_versions for all to service_role using (true) with check (true);
create policy reads on studio.character_versions for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
grant select on studio.character_versions to authenticated;
grant all on studio.character_versions to service_role;

-- {field: [before, after]} of the fields that editors write.
create function studio.changed_fields(old_row jsonb, new_row jsonb) returns jsonb
language sql immutable set search_path = '' as $$
  select coalesce(jsonb_object_agg(field, jsonb_build_array(old_row -> field, new_row -> field)), '{}')
  from unnest(array['name', 'description', 'gender', 'content_rating', 'is_public', 'role', 'traits', 'persona',
    'personality_traits', 'appearance_tags', 'clothing_tags', 'voice_tone', 'mood', 'first_message', 'system_prompt',
    'alternate_greetings', 'forbidden_phrases', 'voice_examples', 'match_reference']) as field
  where old_row -> field is distinct from new_row -> field
$$;
grant execute on function studio.changed_fields(jsonb, jsonb) to anon, authenticated, service_role;

-- Edits of one person within ten minutes are one version: its first "before", its last "after".
create function studio.keep_version() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  fresh jsonb := studio.changed_fields(to_jsonb(old), to_jsonb(new));
  latest studio.character_versions;
  merged jsonb;
begin
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
  return null;
end $$;
create trigger keep_version after update on public.characters
  for each row when (old.version is distinct from new.version) execute function studio.keep_version();
