-- Options of the character-creation form that a team adds, or switches off, without code (SPEC "Attribute images"). The
-- shipped ones stand in the catalogue; core/options.py reads both as one.

create table studio.attribute_options (
  category text not null check (category ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(category) <= 40),
  value text not null check (value = btrim(value) and length(value) between 1 and 40),
  label text check (length(label) between 1 and 60),
  prompt_words text check (length(prompt_words) between 1 and 200),
  aliases text[] not null default '{}',
  tags text[] not null default '{}',
  active boolean not null default true,
  added_by uuid not null,
  added_at timestamptz not null default now(),
  changed_by uuid not null,
  changed_at timestamptz not null default now(),
  primary key (category, value)
);
comment on table studio.attribute_options is
  'a row without prompt_words only says whether a shipped option is active; one with them is a team''s own option';
comment on column studio.attribute_options.category is 'a category of the catalogue, or ''style'' for a style';
create unique index attribute_options_in_any_case on studio.attribute_options (category, lower(value));

alter table studio.attribute_options enable row level security;
grant all on studio.attribute_options to service_role;
grant select on studio.attribute_options to authenticated;
create policy studio_service on studio.attribute_options for all to service_role using (true) with check (true);
-- An editor reads them too: the create page offers them.
create policy reads on studio.attribute_options for select to authenticated
  using (studio.has_role('editor', 'qa', 'product', 'admin'));

-- Adults only, fully clothed, whoever asks: the plain words here, every disguise in core/policy. An age begins at 20.
create function studio.refuse_unfit_option(p_category text, p_texts text[]) returns void
language plpgsql stable set search_path = '' as $$
begin
  if exists (
    select from unnest(p_texts) t(said)
    where lower(said) ~ '\m(teen\w*|child\w*|kids?|minors?|under-?age\w*|toddlers?|infants?|bab(y|ies)|pre-?teens?|school ?(girl|boy|kid)s?|lol(i|ita)s?|shota\w*|juveniles?|adolescen\w*|tweens?|girls?|boys?)\M'
      or (p_category = 'age' and exists (select from regexp_matches(said, '\d+', 'g') m where m[1]::numeric < 20))
  ) then
    raise exception 'Every option shows an adult: ages begin with the twenties. Change the words or numbers that say otherwise.'
      using errcode = 'PS422', detail = 'POLICY_MINOR', hint = 'value';
  end if;
  if exists (
    select from unnest(p_texts) t(said)
    where lower(said) ~ '\m(nud(e|es|ity)|naked|topless|bottomless|undressed|unclothed|underwear|lingerie|bikinis?|swimwear|swimsuits?|bare ?-?(chest|breast)\w*|nsfw)\M'
  ) then
    raise exception 'Every option shows a fully clothed person. Leave out words that say otherwise.'
      using errcode = 'PS422', detail = 'POLICY_CLOTHED', hint = 'words';
  end if;
end $$;
revoke execute on function studio.refuse_unfit_option(text, text[]) from public;

-- A new option of a category, or a new style. Its names may not be another one's.
create function studio.add_attribute_option(
  p_category text, p_value text, p_label text, p_words text, p_aliases text[], p_tags text[]
) returns void language plpgsql security definer set search_path = '' as $$
declare
  names text[] := array(select lower(btrim(n)) from unnest(coalesce(p_aliases, '{}') || p_value) n);
begin
  perform studio.refuse_unless_product();
  if p_words is null or p_label is null or cardinality(names) > 11 or cardinality(p_tags) > 8
     or exists (select from unnest(coalesce(p_aliases, '{}') || coalesce(p_tags, '{}')) t(said)
                where said is null or length(said) not between 1 and 60) then
    raise exception 'An option has a name, a label, words for its picture, at most 10 older names and at most 8 tags.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'value';
  end if;
  perform studio.refuse_unfit_option(p_category, array[p_value, p_label, p_words] || coalesce(p_aliases, '{}') || coalesce(p_tags, '{}'));
  perform pg_advisory_xact_lock(hashtextextended('attribute_options:' || p_category, 0));
  if exists (
    select from studio.attribute_options o
    where o.category = p_category and (lower(o.value) = any (names)
      or exists (select from unnest(o.aliases) a where lower(btrim(a)) = any (names)))
  ) then
    raise exception 'There is an option of that name already. Choose another name, or switch that one on.'
      using errcode = 'PS409', detail = 'OPTION_EXISTS';
  end if;
  insert into studio.attribute_options (category, value, label, prompt_words, aliases, tags, added_by, changed_by)
  values (p_category, p_value, p_label, p_words, coalesce(p_aliases, '{}'), coalesce(p_tags, '{}'), auth.uid(), auth.uid());
  perform studio.note_audit('attribute_option_added', 'attribute_options', p_category || '/' || p_value, null,
    jsonb_build_object('category', p_category, 'value', p_value, 'label', p_label, 'aliases', p_aliases, 'tags', p_tags));
end $$;
revoke execute on function studio.add_attribute_option(text, text, text, text, text[], text[]) from public;
grant execute on function studio.add_attribute_option(text, text, text, text, text[], text[]) to authenticated;

-- On: its pictures are wanted. Off: they are not required, and nobody is offered the option. Nothing is deleted.
-- False where it stood so already: then nothing is recorded either.
create function studio.switch_attribute_option(p_category text, p_value text, p_active boolean, p_why text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
  was boolean;
begin
  perform studio.refuse_unless_product();
  if p_active is null or length(p_why) > 500 then
    raise exception 'An option is switched on or off, with a reason of at most 500 characters.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'why';
  end if;
  perform pg_advisory_xact_lock(hashtextextended('attribute_options:' || p_category, 0));
  was := coalesce((select o.active from studio.attribute_options o
                   where o.category = p_category and lower(o.value) = lower(p_value)), true);
  if was = p_active then
    return false;
  end if;
  update studio.attribute_options o set active = p_active, changed_by = auth.uid(), changed_at = now()
  where o.category = p_category and lower(o.value) = lower(p_value);
  if not found then
    insert into studio.attribute_options (category, value, active, added_by, changed_by)
    values (p_category, p_value, p_active, auth.uid(), auth.uid());
  end if;
  perform studio.note_audit('attribute_option_switched', 'attribute_options', p_category || '/' || p_value,
    jsonb_build_object('active', was), jsonb_build_object('active', p_active), nullif(btrim(p_why), ''));
  return true;
end $$;
revoke execute on function studio.switch_attribute_option(text, text, boolean, text) from public;
grant execute on function studio.switch_attribute_option(text, text, boolean, text) to authenticated;
