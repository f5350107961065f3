-- Character cards as they came: the whole object, so that what the studio has no field for survives until the export
-- (reference/character-cards.md §5; decision 0022). `mapped` says what each field of the character became at the
-- import: only what was edited since is written into the card.

create table studio.character_cards (
  character_id uuid primary key references public.characters (id) on delete cascade,
  form text not null check (form in ('V1', 'V2', 'V3', 'notepad')),
  card text not null,  -- as JSON, in pure ASCII: jsonb refuses \u0000 and rewrites numbers
  mapped jsonb not null,
  sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
  imported_by uuid,
  imported_at timestamptz not null default now()
);
create index on studio.character_cards (sha256);
alter table studio.character_cards enable row level security;
create policy studio_service on studio.character_cards for all to service_role using (true) with check (true);
create policy reads on studio.character_cards for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
grant select on studio.character_cards to authenticated;
grant all on studio.character_cards to service_role;

-- Raises where this person may not change the character; its owner else.
create function studio.owner_to_change(p_character uuid) returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
  owner uuid := studio.owner_of(p_character);
begin
  if owner is null or not studio.may_change(owner) then
    raise exception 'This character does not exist, or it is not yours.' using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  return owner;
end $$;
revoke execute on function studio.owner_to_change(uuid) from public;

create function studio.keep_card(p_character uuid, p_form text, p_card text, p_mapped jsonb, p_sha256 text) returns void
language plpgsql security definer set search_path = '' as $$
begin
  perform studio.owner_to_change(p_character);
  insert into studio.character_cards (character_id, form, card, mapped, sha256, imported_by)
  values (p_character, p_form, p_card, p_mapped, p_sha256, auth.uid())
  on conflict (character_id) do nothing;
  perform studio.note_audit('card_imported', 'characters', p_character::text, null,
    jsonb_build_object('form', p_form, 'sha256', p_sha256));
end $$;
revoke execute on function studio.keep_card(uuid, text, text, jsonb, text) from public;
grant execute on function studio.keep_card(uuid, text, text, jsonb, text) to authenticated;

-- A picture that a person brought, as a library item and a portrait; its path is built here from the character's
-- owner and the picture's hash, so a second run finds its rows. Who confirmed the rights stands in the audit.
create function studio.keep_brought_picture(
  p_character uuid, p_sha256 text, p_phash text, p_media_type text, p_file_size integer, p_width integer,
  p_height integer
) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
  owner uuid := studio.owner_to_change(p_character);
  stem text := owner::text || '/portraits/' || p_character::text || '/' || p_sha256;
  ending text := case p_media_type when 'image/png' then '.png' when 'image/jpeg' then '.jpg' end;
  its_name text;
  made uuid;
begin
  if ending is null or p_sha256 !~ '^[0-9a-f]{64}$' then
    raise exception 'A picture is kept as PNG or JPEG.' using errcode = 'PS400', detail = 'BAD_REQUEST';
  end if;
  perform 1 from public.characters c where c.id = p_character for update;
  select p.id into made from public.character_portraits p
  where p.character_id = p_character and p.image_url = 'user-library/' || stem || ending;
  if made is not null then
    return made;
  end if;
  select coalesce(nullif(trim(c.name), ''), 'Untitled') into its_name from public.characters c where c.id = p_character;
  insert into public.user_library (user_id, asset_type, storage_path, thumbnail_path, file_size_bytes, mime_type, width,
    height, tags, roleplay_metadata, content_category, sha256, phash, blank)
  values (owner, 'image', stem || ending, stem || '.thumb.webp', p_file_size, p_media_type, p_width, p_height,
    '{character,portrait,imported}',
    jsonb_build_object('type', 'character_portrait', 'character_id', p_character, 'character_name', its_name,
                       'origin', 'character_card'),
    'character', p_sha256, p_phash, false);
  insert into public.character_portraits (character_id, image_url, thumbnail_url, generation_metadata, is_primary,
    sort_order, width, height, sha256, phash)
  select p_character, 'user-library/' || stem || ending, 'user-library/' || stem || '.thumb.webp',
    jsonb_build_object('origin', 'character_card', 'storage_path', stem || ending),
    not exists (select from public.character_portraits p where p.character_id = p_character and p.is_primary),
    coalesce((select min(p.sort_order) - 1 from public.character_portraits p where p.character_id = p_character), 0),
    p_width, p_height, p_sha256, p_phash
  returning id into made;
  perform studio.note_audit('picture_imported', 'character_portraits', made::text, null,
    jsonb_build_object('character_id', p_character, 'sha256', p_sha256, 'rights_confirmed', true));
  return made;
end $$;
revoke execute on function studio.keep_brought_picture(uuid, text, text, text, integer, integer, integer) from public;
grant execute on function studio.keep_brought_picture(uuid, text, text, text, integer, integer, integer) to authenticated;
