-- A grid of thousands is read from its beginning, and the bin by when a portrait went there.
create index if not exists portraits_in_order on public.character_portraits (character_id, sort_order, created_at desc, id)
  where deleted_at is null;
create index if not exists portraits_in_the_bin on public.character_portraits (character_id, deleted_at desc)
  where deleted_at is not null;
