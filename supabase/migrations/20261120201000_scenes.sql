-- Scenes that a person removed, kept a week for the undo: the platform reads its own table without any mark of ours.

create table studio.removed_scenes (
  id uuid primary key,
  character_id uuid not null references public.characters (id) on delete cascade,
  scene jsonb not null,
  removed_by uuid,
  removed_at timestamptz not null default now()
);
create index on studio.removed_scenes (character_id, removed_at desc);
create index on studio.removed_scenes (removed_at);
create index if not exists scenes_in_order on public.character_scenes (character_id, priority, created_at, id);
alter table studio.removed_scenes enable row level security;
create policy studio_service on studio.removed_scenes for all to service_role using (true) with check (true);
create policy reads on studio.removed_scenes for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
grant select on studio.removed_scenes to authenticated;
grant all on studio.removed_scenes to service_role;

create function studio.remove_scene(p_scene uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  gone public.character_scenes;
begin
  select * into gone from public.character_scenes s where s.id = p_scene for update;
  if gone.id is null or not studio.may_change(studio.owner_of(gone.character_id)) then
    return false;
  end if;
  insert into studio.removed_scenes (id, character_id, scene, removed_by)
  values (gone.id, gone.character_id, to_jsonb(gone), auth.uid())
  on conflict (id) do update set scene = excluded.scene, removed_by = excluded.removed_by, removed_at = now();
  delete from public.character_scenes s where s.id = p_scene;
  return true;
end $$;
revoke execute on function studio.remove_scene(uuid) from public;
grant execute on function studio.remove_scene(uuid) to authenticated;

create function studio.restore_scene(p_scene uuid) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  kept studio.removed_scenes;
begin
  select * into kept from studio.removed_scenes r where r.id = p_scene for update;
  if kept.id is null or not studio.may_change(studio.owner_of(kept.character_id)) then
    return false;
  end if;
  insert into public.character_scenes select * from jsonb_populate_record(null::public.character_scenes, kept.scene)
  on conflict (id) do nothing;
  delete from studio.removed_scenes r where r.id = p_scene;
  return true;
end $$;
revoke execute on function studio.restore_scene(uuid) from public;
grant execute on function studio.restore_scene(uuid) to authenticated;
