-- What people think of a portrait (SPEC "ratings"): a favourite or not, and one to five stars, each person for themselves.

create table studio.ratings (
  portrait_id uuid not null references public.character_portraits (id) on delete cascade,
  user_id uuid not null,
  character_id uuid not null,
  is_favourite boolean not null default false,
  stars smallint check (stars between 1 and 5),
  rated_at timestamptz not null default now(),
  primary key (portrait_id, user_id)
);
create index on studio.ratings (character_id, user_id);
alter table studio.ratings enable row level security;
create policy studio_service on studio.ratings for all to service_role using (true) with check (true);
create policy reads on studio.ratings for select to authenticated
  using (studio.may_read(studio.owner_of(character_id)));
grant select on studio.ratings to authenticated;
grant all on studio.ratings to service_role;

-- A null leaves what stands; zero stars take the rating back. A row that says nothing is removed.
create function studio.rate_portrait(p_portrait uuid, p_favourite boolean, p_stars integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
  me uuid := auth.uid();
  of_character uuid := (select p.character_id from public.character_portraits p
                        where p.id = p_portrait and p.deleted_at is null);
begin
  if me is null or not studio.has_role('editor', 'qa', 'product', 'admin') then
    raise exception 'Rating portraits needs a role in the studio.' using errcode = 'PS403', detail = 'NOT_ALLOWED';
  end if;
  if of_character is null or not studio.may_read(studio.owner_of(of_character)) then
    raise exception 'This portrait does not exist any more, or it is not yours.'
      using errcode = 'PS404', detail = 'NOT_FOUND';
  end if;
  if p_stars not between 0 and 5 then
    raise exception 'A portrait has between one and five stars.'
      using errcode = 'PS400', detail = 'BAD_REQUEST', hint = 'stars';
  end if;
  insert into studio.ratings as r (portrait_id, user_id, character_id, is_favourite, stars)
  values (p_portrait, me, of_character, coalesce(p_favourite, false), nullif(p_stars, 0))
  on conflict (portrait_id, user_id) do update set
    is_favourite = coalesce(p_favourite, r.is_favourite),
    stars = case when p_stars is null then r.stars else nullif(p_stars, 0) end,
    rated_at = now();
  delete from studio.ratings r
  where r.portrait_id = p_portrait and r.user_id = me and not r.is_favourite and r.stars is null;
end $$;
revoke execute on function studio.rate_portrait(uuid, boolean, integer) from public;
grant execute on function studio.rate_portrait(uuid, boolean, integer) to authenticated;
