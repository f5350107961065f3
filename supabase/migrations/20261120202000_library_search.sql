-- The library page: words, filters and pages over a large library (SPEC "Studio", Library page).

-- What a library row can be found by. Never fails for any writer: long texts are cut, the rest is text already.
create or replace function studio.library_words(
  p_prompt text, p_tags text[], p_model text, p_seed bigint, p_about jsonb, p_category text
) returns tsvector language sql immutable set search_path = '' as $$
  select to_tsvector('simple'::regconfig, left(
    coalesce(left(p_prompt, 4000), '') || ' ' || coalesce(left(p_tags::text, 1000), '') || ' '
    || coalesce(replace(replace(p_model, '/', ' '), '-', ' '), '') || ' ' || coalesce(p_seed::text, '') || ' '
    || coalesce(left(p_about ->> 'character_name', 200), '') || ' ' || coalesce(p_category, ''), 8000))
$$;
grant execute on function studio.library_words(text, text[], text, bigint, jsonb, text) to anon, authenticated, service_role;

create index if not exists library_by_words on public.user_library using gin
  (studio.library_words(original_prompt, tags, model_used, generation_seed, roleplay_metadata, content_category));
create index if not exists library_newest on public.user_library (created_at desc, id desc) where deleted_at is null;
create index if not exists library_bin on public.user_library (deleted_at desc, id desc) where deleted_at is not null;

-- One page of ids, the newest first. Row-level security would keep the index of words from being used (its operator
-- is not leakproof), so the person's right is checked here, once.
create function studio.search_library(
  p_words text, p_only_characters boolean, p_tag text, p_model text, p_seed bigint, p_character uuid,
  p_from timestamptz, p_until timestamptz, p_bin boolean, p_before timestamptz, p_before_id uuid, p_limit integer
) returns table (id uuid, at timestamptz)
language plpgsql stable security definer set search_path = '' as $$
declare
  everybodys boolean := studio.has_role('qa', 'product', 'admin') or (studio.has_role('editor') and studio.shares());
begin
  if not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'The library needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  -- The plan must know what is asked for: a generic one scans everything.
  return query execute
    'select l.id, ' || case when p_bin then 'l.deleted_at' else 'l.created_at' end || ' from public.user_library l where '
    || case when p_bin then 'l.deleted_at is not null' else 'l.deleted_at is null' end
    || case when everybodys then '' else ' and l.user_id = $1' end
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
    || case when p_before is null then '' else
       ' and (' || case when p_bin then 'l.deleted_at' else 'l.created_at' end || ', l.id) < ($9, $10)' end
    || ' order by ' || case when p_bin then 'l.deleted_at' else 'l.created_at' end || ' desc, l.id desc limit $11'
  using auth.uid(), p_words, p_tag, p_model, p_seed, p_character, p_from, p_until, p_before, p_before_id,
    least(p_limit, 1001);
end $$;
revoke execute on function studio.search_library(text, boolean, text, text, bigint, uuid, timestamptz, timestamptz,
  boolean, timestamptz, uuid, integer) from public;
grant execute on function studio.search_library(text, boolean, text, text, bigint, uuid, timestamptz, timestamptz,
  boolean, timestamptz, uuid, integer) to authenticated;
