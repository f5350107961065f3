-- Pictures that people upload to be matched (SPEC "reference_uploads"), with who confirmed the rights to them and when.
-- The path is built here from the character's owner, so a row never names another's folder.

create table studio.reference_uploads (
  id uuid primary key default gen_random_uuid(),
  owner uuid not null,
  character_id uuid not null,
  path text not null unique,
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  media_type text not null check (media_type in ('image/png', 'image/jpeg')),
  file_size integer not null check (file_size > 0),
  width integer not null check (width > 0),
  height integer not null check (height > 0),
  uploaded_by uuid not null,
  uploaded_at timestamptz not null default now(),
  rights_confirmed_by uuid not null,
  rights_confirmed_at timestamptz not null default now(),
  deleted_at timestamptz,
  deleted_by uuid
);
comment on column studio.reference_uploads.path is 'inside the bucket reference_images: {owner}/{character}/{sha256}.{ext}';
create index reference_uploads_by_owner on studio.reference_uploads (owner, uploaded_at desc) where deleted_at is null;
create index reference_uploads_by_person on studio.reference_uploads (uploaded_by, uploaded_at desc) where deleted_at is null;

alter table studio.reference_uploads enable row level security;
create policy studio_service on studio.reference_uploads for all to service_role using (true) with check (true);
create policy reads on studio.reference_uploads for select to authenticated using (studio.may_read(owner));
grant select on studio.reference_uploads to authenticated;
grant all on studio.reference_uploads to service_role;

-- The row of an uploaded picture. The same picture twice is one row: the first confirmation stands, and one that was
-- erased meanwhile comes back with the new one.
create function studio.keep_reference(
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
  if owner is null or not studio.may_change(owner) then
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
revoke execute on function studio.keep_reference(uuid, text, text, integer, integer, integer) from public;
grant execute on function studio.keep_reference(uuid, text, text, integer, integer, integer) to authenticated;

-- A person erases an uploaded picture: no character of its owner follows it any more. Returns its path, also the second
-- time, so that an object whose removal failed can be removed again.
create function studio.erase_reference(p_reference uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
  it studio.reference_uploads;
begin
  select * into it from studio.reference_uploads r where r.id = p_reference for update;
  if it.id is null or not studio.may_change(it.owner) then
    raise exception 'This reference does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
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
revoke execute on function studio.erase_reference(uuid) from public;
grant execute on function studio.erase_reference(uuid) to authenticated;
