-- An adopted character is rated nsfw because that was the platform's default, not because somebody chose it: the studio
-- asks once (SPEC "Policy"). Null: nobody was asked, and nobody chose.
alter table public.characters add column if not exists rating_settled_at timestamptz;
comment on column public.characters.rating_settled_at is
  'when a person of the studio chose or confirmed the content rating; null: it is still the one it came with';

-- The selector: the characters last worked on, one owner's, page by page.
create index if not exists characters_recent_of_owner on public.characters (user_id, updated_at desc, id desc)
  where deleted_at is null;
